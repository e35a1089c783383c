// SPDX-License-Identifier: AGPL-3.0-or-later
//! What can be asked of the store: its tables, the forms of their keys, and the changes of a batch.

use std::fmt;

/// The longest key: that of tables by address.
pub const MAX_KEY: usize = 32;

/// The longest value: a frame of any link with room to spare. What is longer is refused ([`super::StoreError::TooLong`]).
pub const MAX_VALUE: usize = 64 * 1024;

/// A table of the store, with keys of one length in it.
///
/// Numbers in keys are big-endian, so that keys are in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Blocks and frames by [`Key::entry`], so that those of a group lie together: reading, and removing them, is one pass.
    Blocks,
    /// What each of them is called and whatever else has to be known of it at a start, under the same key: small, so that the
    /// router's index of the journal is read without reading the blocks.
    References,
    /// What is known of a group, the blocks of one stream or the frames that are carried for one: [`Key::group`].
    Streams,
    /// The sealed keys of local clients' addresses: [`Key::address`].
    Addresses,
    /// What the operator says of addresses of others: [`Key::address`].
    Contacts,
    /// What clients have subscribed to, by names of 32 random bytes.
    Subscriptions,
    /// Which streams addresses of clients take: [`Key::address`].
    Filters,
    /// In which namespaces addresses of clients take part: [`Key::address`].
    Memberships,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Blocks,
        Self::References,
        Self::Streams,
        Self::Addresses,
        Self::Contacts,
        Self::Subscriptions,
        Self::Filters,
        Self::Memberships,
    ];

    /// How long its keys are, in bytes.
    pub const fn key_length(self) -> usize {
        match self {
            Self::Blocks | Self::References => 12,
            Self::Streams => 8,
            Self::Addresses | Self::Contacts | Self::Subscriptions | Self::Filters | Self::Memberships => 32,
        }
    }

    /// What it is called in the file.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::References => "references",
            Self::Streams => "streams",
            Self::Addresses => "addresses",
            Self::Contacts => "contacts",
            Self::Subscriptions => "subscriptions",
            Self::Filters => "filters",
            Self::Memberships => "memberships",
        }
    }

    /// What it is called in keys of the ends of values: a byte that no other table has, or had, in the file for good. 4 was that
    /// of a table in which there never was anything.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Blocks => 1,
            Self::References => 2,
            Self::Streams => 3,
            Self::Addresses => 5,
            Self::Contacts => 6,
            Self::Subscriptions => 7,
            Self::Filters => 8,
            Self::Memberships => 9,
        }
    }
}

/// A key, or the beginning of keys: at most [`MAX_KEY`] bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: [u8; MAX_KEY],
    length: usize,
}

impl Key {
    /// The beginning of every key.
    pub const EMPTY: Self = Self { bytes: [0; MAX_KEY], length: 0 };

    /// A key of these bytes; `None` where there are more than [`MAX_KEY`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut key = Self::EMPTY;
        key.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        key.length = bytes.len();
        Some(key)
    }

    /// A block or a frame: the number of its group, 8 bytes, and its own in it, 4 bytes.
    pub fn entry(group: u64, number: u32) -> Self {
        Self::of(&[&group.to_be_bytes(), &number.to_be_bytes()])
    }

    /// A group: its number, 8 bytes.
    pub fn group(group: u64) -> Self {
        Self::of(&[&group.to_be_bytes()])
    }

    /// An address: its 32 bytes.
    pub fn address(address: &[u8; 32]) -> Self {
        Self::of(&[address])
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut key = Self::EMPTY;
        for part in parts {
            key.bytes[key.length..key.length + part.len()].copy_from_slice(part);
            key.length += part.len();
        }
        key
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One change; a batch of them is made as a whole, in its order, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Stores a value, in place of what was there.
    Put {
        /// In which table.
        table: Table,
        /// Under which key, of the table's length.
        key: Key,
        /// What: at most [`MAX_VALUE`] bytes.
        value: Vec<u8>,
    },
    /// Removes a value, if it is there.
    Remove {
        /// From which table.
        table: Table,
        /// Its key, of the table's length.
        key: Key,
    },
    /// Removes every value whose key begins so.
    ///
    /// Takes as long as reading all of it, during which nothing else is stored: a large stream is best removed in parts, by
    /// the first bytes of its blocks' numbers, a batch for each.
    RemovePrefix {
        /// From which table.
        table: Table,
        /// With what the keys begin; all keys begin with the empty one.
        prefix: Key,
    },
}

impl Change {
    /// What it takes while it waits, in bytes.
    pub(super) fn memory(&self) -> usize {
        let value = match self {
            Self::Put { value, .. } => value.capacity(),
            Self::Remove { .. } | Self::RemovePrefix { .. } => 0,
        };
        size_of::<Self>() + value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_length_of_their_table_and_the_order_of_their_numbers() {
        for (table, key) in [
            (Table::Blocks, Key::entry(1, 2)),
            (Table::References, Key::entry(1, 2)),
            (Table::Streams, Key::group(1)),
            (Table::Addresses, Key::address(&[3; 32])),
            (Table::Contacts, Key::address(&[3; 32])),
            (Table::Subscriptions, Key::address(&[3; 32])),
            (Table::Filters, Key::address(&[3; 32])),
        ] {
            assert_eq!(key.as_bytes().len(), table.key_length(), "{table:?}");
        }
        assert!(Key::entry(1, 0x100) > Key::entry(1, 0xff) && Key::entry(0x100, 0) > Key::entry(0xff, 1));
        assert_eq!(format!("{:?}", Key::entry(1, 0xabc)), "000000000000000100000abc");
    }

    #[test]
    fn tables_differ_in_name_and_code() {
        let names: std::collections::BTreeSet<_> = Table::ALL.iter().map(|table| table.name()).collect();
        let codes: std::collections::BTreeSet<_> = Table::ALL.iter().map(|table| table.code()).collect();
        assert_eq!((names.len(), codes.len()), (Table::ALL.len(), Table::ALL.len()));
    }

    #[test]
    fn a_key_has_a_longest_length() {
        assert_eq!(Key::new(&[7; MAX_KEY]).unwrap().as_bytes(), [7; MAX_KEY]);
        assert_eq!(Key::new(&[7; MAX_KEY + 1]), None);
        assert_eq!(Key::new(&[]), Some(Key::EMPTY));
    }
}
