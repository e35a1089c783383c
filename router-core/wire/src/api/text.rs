// SPDX-License-Identifier: AGPL-3.0-or-later
//! Texts and lists with a limit.

use core::fmt;
use core::ops::Deref;

use super::field::{Field, Optional};
use crate::{DecodeError, Reader, Writer};

/// UTF-8 of at most `MAX` bytes without NUL. `Display` escapes control characters, so that what somebody else wrote can be
/// shown on a terminal.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes a text; nothing if it is too long or has a NUL.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (text.len() <= MAX && !text.contains('\0')).then_some(Self(text))
    }

    /// As much of a text as may be, without its NULs.
    pub fn of(text: &str) -> Self {
        let mut kept = text.replace('\0', "");
        kept.truncate(kept.floor_char_boundary(MAX));
        Self(kept)
    }

    /// The text, control characters and all.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What `bytes` are as a text.
    pub(super) fn parse(bytes: &[u8], field: &'static str) -> Result<Self, DecodeError> {
        if bytes.len() > MAX {
            return Err(DecodeError::TooLong { field, length: bytes.len(), limit: MAX });
        }
        let text = core::str::from_utf8(bytes).map_err(|_| DecodeError::Value(field))?;
        Self::new(text).ok_or(DecodeError::Value(field))
    }

    /// Up to and with a NUL, as deployed routers end texts.
    pub(super) fn read_terminated(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let within = reader.rest().iter().take(MAX + 1);
        let Some(length) = within.clone().position(|byte| *byte == 0) else {
            let truncated = DecodeError::Truncated { field, missing: 1 };
            let too_long = DecodeError::TooLong { field, length: within.len(), limit: MAX };
            return Err(if within.len() > MAX { too_long } else { truncated });
        };
        let text = Self::parse(reader.bytes(field, length)?, field)?;
        reader.u8(field)?;
        Ok(text)
    }

    pub(super) fn write_terminated(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.0.as_bytes()).u8(0);
    }
}

/// Length u16 ‖ bytes.
impl<const MAX: usize> Field for Text<MAX> {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let length = usize::from(reader.u16(field)?);
        if length > MAX {
            return Err(DecodeError::TooLong { field, length, limit: MAX });
        }
        Self::parse(reader.bytes(field, length)?, field)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        const { assert!(MAX < 1 << 16) };
        writer.u16(u16::try_from(self.0.len()).expect("invariant: MAX fits")).bytes(self.0.as_bytes());
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        let length = random.below(MAX + 1).min(random.below(20));
        let letters = (0..length).map(|_| ['a', 'ß', '\n', ' ', 'Z'][random.below(5)]);
        Self::of(&letters.collect::<String>())
    }
}

impl<const MAX: usize> Optional for Text<MAX> {}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character.is_control() {
                true => write!(f, "{}", character.escape_default())?,
                false => write!(f, "{character}")?,
            }
        }
        Ok(())
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// At most `MAX` values: n u16 ‖ n values.
#[derive(Clone, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes values; nothing if they are too many.
    pub fn new(values: Vec<T>) -> Option<Self> {
        (values.len() <= MAX).then_some(Self(values))
    }

    /// The values of it.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

/// The first `MAX` of them.
impl<T, const MAX: usize> FromIterator<T> for List<T, MAX> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().take(MAX).collect())
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: fmt::Debug, const MAX: usize> fmt::Debug for List<T, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Field, const MAX: usize> Field for List<T, MAX> {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let length = usize::from(reader.u16(field)?);
        if length > MAX {
            return Err(DecodeError::TooLong { field, length, limit: MAX });
        }
        // Each takes bytes: no more room is made than bytes have come.
        let mut values = Vec::new();
        for _ in 0..length {
            values.push(T::read(reader, field)?);
        }
        Ok(Self(values))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        const { assert!(MAX < 1 << 16) };
        writer.u16(u16::try_from(self.0.len()).expect("invariant: MAX fits"));
        self.0.iter().for_each(|value| value.write(writer));
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        let length = random.below(4).min(MAX);
        Self((0..length).map(|_| T::draw(random)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Field>(bytes: &[u8]) -> Result<T, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = T::read(&mut reader, "x")?;
        reader.end().map(|()| value)
    }

    #[test]
    fn texts_have_a_limit_and_no_nul() {
        assert_eq!(read::<Text<3>>(b"\0\x03abc"), Ok(Text::of("abc")));
        let too_long = DecodeError::TooLong { field: "x", length: 4, limit: 3 };
        assert_eq!(read::<Text<3>>(b"\0\x04abcd"), Err(too_long));
        assert_eq!(read::<Text<3>>(b"\0\x02a\0"), Err(DecodeError::Value("x")));
        assert_eq!(read::<Text<3>>(b"\0\x01\xFF"), Err(DecodeError::Value("x")));
        assert_eq!(
            read::<Text<3>>(b"\xFF\xFFa").unwrap_err(),
            DecodeError::TooLong { field: "x", length: 65_535, limit: 3 }
        );
        assert_eq!(Text::<3>::new("abcd"), None);
        assert_eq!(Text::<3>::new("a\0"), None);
        assert_eq!(Text::<3>::of("a\0ßß").as_str(), "aß", "no half of a character");
    }

    #[test]
    fn terminated_texts_end_at_their_nul() {
        let read = |bytes| Text::<3>::read_terminated(&mut Reader::new(bytes), "x");
        assert_eq!(read(b"abc\0d"), Ok(Text::of("abc")));
        assert_eq!(read(b"\0"), Ok(Text::of("")));
        assert_eq!(read(b"abc"), Err(DecodeError::Truncated { field: "x", missing: 1 }));
        assert_eq!(read(b"abcd\0"), Err(DecodeError::TooLong { field: "x", length: 4, limit: 3 }));
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        let text = Text::<20>::of("a\x1b[2Jß\n");
        assert_eq!(text.to_string(), "a\\u{1b}[2Jß\\n");
        assert_eq!(text.as_str(), "a\x1b[2Jß\n");
    }

    #[test]
    fn a_list_is_no_longer_than_it_may_be() {
        assert_eq!(read::<List<u8, 2>>(&[0, 2, 7, 8]), Ok(List(vec![7, 8])));
        let too_long = DecodeError::TooLong { field: "x", length: 3, limit: 2 };
        assert_eq!(read::<List<u8, 2>>(&[0, 3, 7, 8, 9]), Err(too_long));
        assert_eq!(read::<List<u8, 2>>(&[0, 2, 7]), Err(DecodeError::Truncated { field: "x", missing: 1 }));
        assert_eq!(List::<u8, 2>::new(vec![1, 2, 3]), None);
        assert_eq!([1, 2, 3].into_iter().collect::<List<u8, 2>>().into_vec(), [1, 2]);
    }
}
