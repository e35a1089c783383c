// SPDX-License-Identifier: AGPL-3.0-or-later
//! Lists of any length in pages.

use super::field::{Field, record};
use super::text::List;
use crate::{DecodeError, Reader, Writer};

/// The most entries of a page: the longest entries have about 1 KB, so that it stays far below what clients take.
pub const MAX_ENTRIES: usize = 256;

/// Where in a list a page ends, as the router says it: at most 128 bytes, which mean nothing to a client. Empty at the
/// beginning, and when nothing follows.
pub type Cursor = List<u8, 128>;

record! {
    /// A page of a list.
    pub struct PageOf {
        /// Where the page before it ended.
        pub after: Cursor,
        /// The most entries, 1 to [`MAX_ENTRIES`]; the router may send fewer.
        pub limit: u16,
    }
}

impl PageOf {
    /// The first page, as long as may be.
    pub fn first() -> Self {
        Self::after(Cursor::default())
    }

    /// The page after one that ended there, as long as may be.
    pub const fn after(after: Cursor) -> Self {
        Self { after, limit: 256 }
    }
}

/// Some entries of a list. What is added or removed between two pages may be missed or not; nothing else is, and nothing comes
/// twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// At most [`MAX_ENTRIES`].
    pub entries: List<T, MAX_ENTRIES>,
    /// For the page after it; empty when nothing follows.
    pub next: Cursor,
}

impl<T: Field> Field for Page<T> {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Ok(Self { entries: Field::read(reader, field)?, next: Field::read(reader, "cursor")? })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        self.entries.write(writer);
        self.next.write(writer);
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        Self { entries: Field::draw(random), next: Field::draw(random) }
    }
}
