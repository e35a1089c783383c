// SPDX-License-Identifier: AGPL-3.0-or-later
//! Encoding frames: the primitive encodings that every structure is made of (source: manual, "A word on
//! encoding"; the tagged options are the wire page's).

use ratman_types::{Address, Namespace, Recipient};

/// Why bytes are not the structure that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("{field}: {missing} bytes missing")]
    Truncated {
        /// The field that is cut off.
        field: &'static str,
        /// How many bytes it lacks.
        missing: usize,
    },
    /// Bytes stand behind the last field.
    #[error("{0} bytes too many")]
    Trailing(usize),
    /// A version that this router does not speak; 1 is the form of 0.6 routers.
    #[error("version {0}, expected 2")]
    Version(u8),
    /// A tag byte with a value that means nothing.
    #[error("{field}: tag {tag} means nothing")]
    Tag {
        /// The tagged field.
        field: &'static str,
        /// The tag that was found.
        tag: u8,
    },
    /// A length above its limit.
    #[error("{field}: {length} bytes, at most {limit}")]
    TooLong {
        /// The field with a length.
        field: &'static str,
        /// The length that was claimed.
        length: usize,
        /// The largest permitted length.
        limit: usize,
    },
    /// A field whose value contradicts another field or the page.
    #[error("{0}: value not permitted here")]
    Value(&'static str),
}

/// Takes fields from the front of a slice; every method fails with the name of the field that is missing.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been taken yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, rest)) = self.rest.split_at_checked(length) else {
            return Err(DecodeError::Truncated { field, missing: length - self.rest.len() });
        };
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes by value.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let Some((head, rest)) = self.rest.split_first_chunk() else {
            return Err(DecodeError::Truncated { field, missing: N - self.rest.len() });
        };
        self.rest = rest;
        Ok(*head)
    }

    /// The version that a structure begins with, of which one is read.
    ///
    /// # Errors
    /// [`DecodeError::Version`] for another one, and where the input ends.
    pub fn version(&mut self, expected: u8) -> Result<(), DecodeError> {
        match self.u8("version")? {
            version if version == expected => Ok(()),
            other => Err(DecodeError::Version(other)),
        }
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// A tag byte that is 0 or 1, and the value behind it if it is 1.
    pub fn option<T>(
        &mut self,
        field: &'static str,
        value: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8(field)? {
            0 => Ok(None),
            1 => value(self).map(Some),
            tag => Err(DecodeError::Tag { field, tag }),
        }
    }

    /// Tag 0 for nobody, 1 and an address, or 2 and a namespace.
    pub fn recipient(&mut self, field: &'static str) -> Result<Option<Recipient>, DecodeError> {
        match self.u8(field)? {
            0 => Ok(None),
            1 => Ok(Some(Recipient::Address(Address::from_bytes(self.array(field)?)))),
            2 => Ok(Some(Recipient::Namespace(Namespace::from_bytes(self.array(field)?)))),
            tag => Err(DecodeError::Tag { field, tag }),
        }
    }

    /// Ends the reading: nothing may be left.
    pub const fn end(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.rest.len())) }
    }
}

/// Appends fields to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Appends to `buffer`, which keeps what it holds.
    pub const fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer }
    }

    /// Raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.buffer.extend_from_slice(bytes);
        self
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// The tag of a recipient, 1 address or 2 namespace, and its key.
    pub fn recipient(&mut self, recipient: &Recipient) -> &mut Self {
        match recipient {
            Recipient::Address(address) => self.u8(1).bytes(address.as_bytes()),
            Recipient::Namespace(namespace) => self.u8(2).bytes(namespace.as_bytes()),
        }
    }

    /// Tag 0 for nothing, else tag 1 and the value.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                write(self, value);
                self
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_in_order() {
        let mut buffer = vec![9];
        Writer::new(&mut buffer)
            .u8(1)
            .u16(2)
            .u32(3)
            .u64(4)
            .option(Some(5_u8), |writer, value| {
                writer.u8(value);
            })
            .option(None::<u8>, |_, _| ());
        let mut reader = Reader::new(&buffer);
        assert_eq!(reader.bytes("kept", 1), Ok(&[9][..]));
        assert_eq!(reader.u8("a"), Ok(1));
        assert_eq!(reader.u16("b"), Ok(2));
        assert_eq!(reader.u32("c"), Ok(3));
        assert_eq!(reader.u64("d"), Ok(4));
        assert_eq!(reader.option("e", |reader| reader.u8("e")), Ok(Some(5)));
        assert_eq!(reader.clone().end(), Err(DecodeError::Trailing(1)));
        assert_eq!(reader.option("f", |reader| reader.u8("f")), Ok(None));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn a_cut_field_is_named() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u64("time"), Err(DecodeError::Truncated { field: "time", missing: 5 }));
        assert_eq!(reader.rest(), [1, 2, 3], "a failed read takes nothing");
        assert_eq!(reader.bytes("body", 4), Err(DecodeError::Truncated { field: "body", missing: 1 }));
        assert_eq!(
            Reader::new(&[7]).option("x", |r| r.u8("x")),
            Err(DecodeError::Tag { field: "x", tag: 7 })
        );
    }
}
