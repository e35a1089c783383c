// SPDX-License-Identifier: AGPL-3.0-or-later
//! Bytes of a connection become microframes as they come.

use core::fmt;

use zeroize::Zeroizing;

use super::{AUTHENTICATED, BARE, MAX_HEADER, Microframe, MicroframeError, PREFIX, PayloadLimit};
use crate::api::{ApiMode, AuthToken};

/// Takes microframes from the bytes of one connection. It holds at most one of them, and no more room than twice the bytes
/// that have come of it, whatever its header claims.
pub struct MicroframeDecoder {
    limit: PayloadLimit,
    header: Zeroizing<[u8; MAX_HEADER]>,
    // INVARIANT: at most MAX_HEADER.
    header_len: usize,
    payload: Zeroizing<Vec<u8>>,
    broken: Option<MicroframeError>,
}

impl MicroframeDecoder {
    /// For a connection of which nothing has been read.
    pub fn new(limit: PayloadLimit) -> Self {
        let header = Zeroizing::new([0; MAX_HEADER]);
        Self { limit, header, header_len: 0, payload: Zeroizing::default(), broken: None }
    }

    /// Takes bytes from the front of `input` until a microframe is whole; nothing if `input` ends before. What follows a
    /// microframe stays in `input`: the next one, or content of a stream.
    ///
    /// # Errors
    /// [`MicroframeError`]; the same again ever after.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Microframe>, MicroframeError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let result = self.advance(input);
        if let Err(error) = &result {
            self.broken = Some(*error);
        }
        result
    }

    /// Whether all that came is whole microframes: the connection may end here.
    pub const fn is_between_frames(&self) -> bool {
        self.header_len == 0
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Microframe>, MicroframeError> {
        if !self.fill_header(PREFIX, input) {
            return Ok(None);
        }
        let length = self.header_length()?;
        if !self.fill_header(PREFIX + usize::from(length), input) {
            return Ok(None);
        }
        let (mode, auth, size) = self.parse_header(length)?;
        let missing = size - self.payload.len();
        self.append(take(input, missing), size);
        if self.payload.len() < size {
            return Ok(None);
        }
        self.header_len = 0;
        Ok(Some(Microframe { mode, auth, payload: core::mem::take(&mut self.payload) }))
    }

    /// Whether the header has `length` bytes by now.
    fn fill_header(&mut self, length: usize, input: &mut &[u8]) -> bool {
        let bytes = take(input, length.saturating_sub(self.header_len));
        self.header[self.header_len..][..bytes.len()].copy_from_slice(bytes);
        self.header_len += bytes.len();
        self.header_len >= length
    }

    fn header_length(&self) -> Result<u8, MicroframeError> {
        let [a, b, c, d, ..] = *self.header;
        match [a, b, c, d] {
            [0, 0, 0, length @ (BARE | AUTHENTICATED)] => Ok(length),
            other => Err(MicroframeError::HeaderLength(u32::from_be_bytes(other))),
        }
    }

    fn parse_header(&self, length: u8) -> Result<(ApiMode, Option<AuthToken>, usize), MicroframeError> {
        let header = &self.header[PREFIX..PREFIX + usize::from(length)];
        let (mode, rest) = header.split_first_chunk().expect("invariant: a header has a mode");
        let (auth, size) = rest.split_last_chunk().expect("invariant: a header has a payload size");
        let (mode, size) = (ApiMode(u16::from_be_bytes(*mode)), u32::from_be_bytes(*size));
        let auth = match *auth {
            [0] => None,
            [other] => return Err(MicroframeError::NoToken(other)),
            _ => Some(AuthToken::from_bytes(auth.try_into().expect("invariant: a token has 32 bytes"))),
        };
        if size > self.limit.as_bytes() {
            return Err(MicroframeError::PayloadTooLong { mode, size, limit: self.limit });
        }
        Ok((mode, auth, usize::try_from(size).expect("invariant: 32 bits fit")))
    }

    /// As a vector grows, but what it held before is zeroised.
    fn append(&mut self, bytes: &[u8], size: usize) {
        let length = self.payload.len() + bytes.len();
        if length > self.payload.capacity() {
            let room = length.max(2 * self.payload.capacity()).min(size);
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.payload);
            self.payload = larger;
        }
        self.payload.extend_from_slice(bytes);
    }
}

impl fmt::Debug for MicroframeDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, header_len, payload, broken, .. } = self;
        let bytes = header_len + payload.len();
        write!(f, "MicroframeDecoder({bytes} bytes of a frame, {limit:?}, broken: {broken:?})")
    }
}

/// At most `length` bytes from the front.
fn take<'a>(input: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (head, rest) = input.split_at(length.min(input.len()));
    *input = rest;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_is_made_for_bytes_that_have_not_come() {
        let mut decoder = MicroframeDecoder::new(PayloadLimit::from_bytes(u32::MAX));
        let header = b"\0\0\0\x07\0\x10\0\xFF\xFF\xFF\xFF";
        assert_eq!(decoder.decode(&mut &header[..]), Ok(None));
        assert_eq!(decoder.payload.capacity(), 0);
        for come in 1..=5_000 {
            assert_eq!(decoder.decode(&mut &[1][..]), Ok(None));
            assert!(decoder.payload.capacity() <= 2 * come, "{come} bytes");
        }
    }
}
