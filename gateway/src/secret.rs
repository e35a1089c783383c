// SPDX-License-Identifier: AGPL-3.0-or-later
//! Secrets of 32 bytes that people and programs hand on as 64 hexadecimal digits, auth tokens and the keys of namespaces, and the
//! buffers through which they go: from the line that is read to the use nothing stays behind (decisions/secrets-in-memory.md).

use std::fmt;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ratman_types::blake2b;
use serde::de::Visitor;
use serde::{Deserializer, Serializer};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The digits of a secret.
const DIGITS: usize = 64;

/// What is longer than a secret by more than the end of a line is none.
const MOST: usize = 128;

/// What is read at once of whatever may have a secret in it.
const CHUNK: usize = 8 * 1024;

/// A secret: in one place in memory, however often it is handed on, and zeroised there; printed by nobody.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret(Box<[u8; 32]>);

impl Secret {
    pub(crate) fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let mut secret = Self(Box::new([0; 32]));
        secret.0.copy_from_slice(&bytes);
        bytes.zeroize();
        secret
    }

    /// One that `fill` makes.
    pub(crate) fn made<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::new([0; 32]));
        fill(&mut secret.0).map(|()| secret)
    }

    /// That of 64 digits, of which each may be large or small.
    pub(crate) fn parse(digits: &[u8]) -> Option<Self> {
        let digits: &[u8; DIGITS] = digits.try_into().ok()?;
        let nibble = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        Self::made(|bytes| {
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                let [Some(high), Some(low)] = [nibble(&pair[0]), nibble(&pair[1])] else { return Err(()) };
                *byte = high << 4 | low;
            }
            Ok(())
        })
        .ok()
    }

    /// That which is all there is to be read, but for spaces around it; nothing if that is something else. Of `from` nothing is kept in
    /// a buffer; whether it keeps something itself is the caller's care.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(mut from: impl Read) -> io::Result<Option<Self>> {
        let mut text = Zeroizing::new([0; MOST]);
        let mut length = 0;
        while length < MOST {
            match from.read(&mut text[length..]) {
                Ok(0) => return Ok(Self::parse(text[..length].trim_ascii())),
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its digits, for the one whose it is.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(DIGITS));
        text.extend(digits(&*self.0));
        text
    }

    /// For fields of the control socket, whose other end the kernel has named.
    pub(crate) fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }

    /// The other way round; `expected` says what it is, in errors that do not show it. What is read is not copied before.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
        expected: &'static str,
    ) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Expected(expected))
    }
}

/// Compares hashes: how long that takes tells nothing about the secrets.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        blake2b(&[&*self.0]) == blake2b(&[&*other.0])
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

struct Expected(&'static str);

impl Visitor<'_> for Expected {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
        Secret::parse(text.as_bytes()).ok_or_else(|| E::custom(format_args!("expected {}", self.0)))
    }
}

/// The hexadecimal digits of bytes, two for each.
pub(crate) fn digits(bytes: &[u8]) -> impl Iterator<Item = char> + '_ {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
    nibbles.map(|nibble| char::from_digit(nibble.into(), 16).expect("invariant: four bits are one digit"))
}

/// Bytes that may hold secrets: zeroised when they are dropped, and where they were before there was too little room.
#[derive(Default)]
pub(crate) struct WipedBytes(Vec<u8>);

impl WipedBytes {
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let length = self.0.len() + bytes.len();
        if length > self.0.capacity() {
            let mut larger = Vec::with_capacity(length.next_power_of_two().max(256));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// What is there goes, and the room for it stays.
    pub(crate) fn clear(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for WipedBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl core::ops::Deref for WipedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for WipedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WipedBytes({})", self.0.len())
    }
}

impl Write for WipedBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads in pieces, as a buffered reader does, and keeps nothing of what was taken out of it.
pub(crate) struct WipedReader<R> {
    inner: R,
    buffer: Zeroizing<Box<[u8]>>,
    // INVARIANT: what was read and not taken; everything else in the buffer is zero.
    from: usize,
    to: usize,
}

impl<R> WipedReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, buffer: Zeroizing::new(vec![0; CHUNK].into()), from: 0, to: 0 }
    }
}

impl<R: AsyncRead + Unpin> AsyncBufRead for WipedReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.from == this.to {
            let mut piece = ReadBuf::new(&mut this.buffer);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut piece))?;
            (this.from, this.to) = (0, piece.filled().len());
        }
        Poll::Ready(Ok(&this.buffer[this.from..this.to]))
    }

    fn consume(self: Pin<&mut Self>, taken: usize) {
        let this = self.get_mut();
        let end = (this.from + taken).min(this.to);
        this.buffer[this.from..end].zeroize();
        this.from = end;
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for WipedReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Content, which is large, need not go through the buffer.
        if self.from == self.to && into.remaining() >= CHUNK {
            return Pin::new(&mut self.inner).poll_read(context, into);
        }
        let there = ready!(self.as_mut().poll_fill_buf(context))?;
        let taken = there.len().min(into.remaining());
        into.put_slice(&there[..taken]);
        self.consume(taken);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt};

    use super::*;

    const TEXT: &str = "0123456789abcdefABCDEF00112233445566778899aabbccddeeff0011223344";

    #[test]
    fn digits_are_read_and_shown() {
        let secret = Secret::parse(TEXT.as_bytes()).unwrap();
        assert_eq!((secret.as_bytes()[0], secret.as_bytes()[8], secret.as_bytes()[31]), (0x01, 0xAB, 0x44));
        assert_eq!(*secret.text(), TEXT.to_lowercase());
        assert_eq!(secret.text().capacity(), DIGITS, "it never grew");
        for wrong in ["", "01", &TEXT[1..], &format!("{TEXT}0"), &TEXT.replace('f', "g"), &"é".repeat(32)] {
            assert_eq!(Secret::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_of_it_is_printed_and_it_is_compared_as_a_whole() {
        let secret = Secret::from_bytes([0xAB; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret, secret.clone());
        for index in 0..32 {
            let mut other = [0xAB; 32];
            other[index] ^= 1;
            assert_ne!(secret, Secret::from_bytes(other), "{index}");
        }
    }

    #[test]
    fn it_is_read_with_its_line_end_and_nothing_else_is_taken_for_one() {
        /// A byte at a time.
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let length = into.len().min(1);
                Read::read(&mut self.0, &mut into[..length])
            }
        }
        for text in [TEXT.to_owned(), format!("{TEXT}\n"), format!(" {TEXT}\r\n")] {
            let secret = Secret::read(Slow(text.as_bytes())).unwrap().unwrap();
            assert_eq!(*secret.text(), TEXT.to_lowercase());
        }
        for wrong in [String::new(), TEXT[1..].to_owned(), format!("{TEXT}\n{TEXT}\n"), "a".repeat(9_000_000)]
        {
            assert_eq!(Secret::read(wrong.as_bytes()).unwrap(), None);
        }
    }

    #[test]
    fn what_has_to_move_is_wiped_where_it_was() {
        let mut bytes = WipedBytes::default();
        let mut expected = Vec::new();
        for piece in TEXT.as_bytes().chunks(5).cycle().take(1_000) {
            bytes.extend(piece);
            expected.extend_from_slice(piece);
            assert!(*bytes == *expected);
        }
        let room = bytes.0.capacity();
        bytes.clear();
        assert_eq!((bytes.len(), bytes.0.capacity()), (0, room));
        bytes.extend(&vec![7; room]);
        assert_eq!(bytes.0.capacity(), room);
        assert!(!format!("{bytes:?}").contains('7'));
    }

    #[tokio::test]
    async fn a_reader_keeps_nothing_of_what_was_taken() {
        let content: Vec<u8> =
            (0..60_000_u32).map(|number| u8::try_from(number % 255 + 1).unwrap()).collect();
        let mut reader = WipedReader::new(&content[..]);
        let mut read = Vec::new();
        for length in [1, 7, 5_000, 4_000, CHUNK, 20_000, 1].into_iter().cycle() {
            if length % 2 == 0 {
                let taken = reader.fill_buf().await.unwrap().len().min(length);
                read.extend_from_slice(&reader.fill_buf().await.unwrap()[..taken]);
                Pin::new(&mut reader).consume(taken);
            } else {
                let mut piece = vec![0; length];
                let taken = reader.read(&mut piece).await.unwrap();
                read.extend_from_slice(&piece[..taken]);
            }
            let is_taken = |index: usize| !(reader.from..reader.to).contains(&index);
            assert!((0..CHUNK).filter(|index| is_taken(*index)).all(|index| reader.buffer[index] == 0));
            if read.len() == content.len() {
                break;
            }
        }
        assert!(read == content);
        assert_eq!(reader.read(&mut [0; 4]).await.unwrap(), 0, "the end");
    }
}
