// SPDX-License-Identifier: AGPL-3.0-or-later
//! Filters: which streams an address of a client takes, as its clients say.

use std::collections::BTreeSet;
use std::sync::Arc;

use ratman_types::{Address, ByteCount};
use ratman_wire::api::{FilterAction, FilterEntry, FilterRule, Senders};
use ratman_wire::{DecodeError, Reader, Writer};

use crate::by_address::{ByAddress, Record};
use crate::store::{Store, StoreError, Table};

/// Filters of one address: each stream to it is held against all of them.
pub const MAX_FILTERS: usize = 64;

/// The version of a record.
const VERSION: u8 = 1;

/// Why a filter is not added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The address has as many as may be.
    #[error("expected at most {MAX_FILTERS} filters of one address; remove one that is no longer of use")]
    Full,
    /// The database does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The filters of one address, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    /// The number of the next.
    next: u32,
    // At most MAX_FILTERS, in the order of their numbers.
    entries: Vec<FilterEntry>,
}

impl Record for Kept {
    const TABLE: Table = Table::Filters;

    /// Version ‖ next number ‖ entries: number ‖ 0 anybody, 1 and an address, 2 contacts or 3 strangers ‖ least length ‖ 1 accept or 2
    /// deny.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.u8(VERSION).u32(self.next);
        for FilterEntry { filter, rule: FilterRule { from, at_least, action } } in &self.entries {
            writer.u32(*filter);
            match from {
                Senders::Anybody => writer.u8(0),
                Senders::Address(from) => writer.u8(1).bytes(from.as_bytes()),
                Senders::Contacts => writer.u8(2),
                Senders::Strangers => writer.u8(3),
            };
            writer.option(*at_least, |writer, least| {
                writer.u64(least.0);
            });
            writer.u8(match action {
                FilterAction::Accept => 1,
                FilterAction::Deny => 2,
            });
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let mut kept = Self { next: reader.u32("next")?, entries: Vec::new() };
        while !reader.rest().is_empty() && kept.entries.len() < MAX_FILTERS {
            let filter = reader.u32("filter")?;
            let from = match reader.u8("from")? {
                0 => Senders::Anybody,
                1 => Senders::Address(Address::from_bytes(reader.array("from")?)),
                2 => Senders::Contacts,
                3 => Senders::Strangers,
                tag => return Err(DecodeError::Tag { field: "from", tag }),
            };
            let at_least =
                reader.option("least length", |reader| reader.u64("least length").map(ByteCount))?;
            let action = match reader.u8("action")? {
                1 => FilterAction::Accept,
                2 => FilterAction::Deny,
                tag => return Err(DecodeError::Tag { field: "action", tag }),
            };
            kept.entries.push(FilterEntry { filter, rule: FilterRule { from, at_least, action } });
        }
        reader.end()?;
        Ok(kept)
    }
}

/// Those of all addresses. Changes wait for the disk: not to be made where others wait.
#[derive(Debug)]
pub struct Filters(ByAddress<Kept>);

impl Filters {
    /// Those in `store`. What is damaged is told with an ERROR each, and left where it is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open(store: Arc<Store>) -> Result<Self, StoreError> {
        ByAddress::open(store).map(Self)
    }

    /// Adds one behind those that an address has, and says its number, which no other of the address has or had.
    ///
    /// # Errors
    /// Every variant of [`FilterError`].
    pub fn add(&self, address: Address, rule: FilterRule) -> Result<u32, FilterError> {
        self.0.change(address, |kept| {
            let filter = kept.next;
            if kept.entries.len() >= MAX_FILTERS {
                return Err(FilterError::Full);
            }
            kept.next = filter.checked_add(1).ok_or(FilterError::Full)?;
            kept.entries.push(FilterEntry { filter, rule });
            Ok(filter)
        })
    }

    /// Takes one back; false where the address has none of this number.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn remove(&self, address: Address, filter: u32) -> Result<bool, StoreError> {
        self.0.change(address, |kept| {
            let before = kept.entries.len();
            kept.entries.retain(|entry| entry.filter != filter);
            Ok(kept.entries.len() < before)
        })
    }

    /// Those of an address, in their order.
    pub fn of(&self, address: &Address) -> Vec<FilterEntry> {
        self.0.of(address).entries
    }

    /// What those of an address say, in their order.
    pub fn rules_of(&self, address: &Address) -> Vec<FilterRule> {
        self.of(address).into_iter().map(|entry| entry.rule).collect()
    }

    /// Forgets those of an address that is gone for good.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn forget(&self, address: &Address) -> Result<(), StoreError> {
        self.0.forget(address)
    }

    /// Forgets those of all addresses but these: of one that was destroyed just before the daemon ended.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn keep(&self, addresses: &BTreeSet<Address>) -> Result<(), StoreError> {
        self.0.keep(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreConfig;

    fn address(byte: u8) -> Address {
        Address::from_bytes([byte; 32])
    }

    fn open(dir: &tempfile::TempDir) -> Filters {
        Filters::open(Arc::new(Store::open(dir.path(), &StoreConfig::default()).unwrap())).unwrap()
    }

    fn rules() -> Vec<FilterRule> {
        let senders = [Senders::Anybody, Senders::Address(address(9)), Senders::Contacts, Senders::Strangers];
        let rule = |(turn, from): (u64, Senders)| FilterRule {
            from,
            at_least: (turn % 2 == 0).then_some(ByteCount(turn)),
            action: if turn < 2 { FilterAction::Accept } else { FilterAction::Deny },
        };
        (0..).zip(senders).map(rule).collect()
    }

    #[test]
    fn what_was_added_is_there_after_a_restart_under_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let filters = open(&dir);
        let numbers: Vec<_> =
            rules().into_iter().map(|rule| filters.add(address(1), rule).unwrap()).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
        assert_eq!(filters.add(address(2), rules()[0].clone()).unwrap(), 0);
        drop(filters);
        let filters = open(&dir);
        assert_eq!(filters.rules_of(&address(1)), rules());
        assert!(filters.remove(address(1), 3).unwrap() && filters.remove(address(1), 1).unwrap());
        assert!(!filters.remove(address(1), 1).unwrap() && !filters.remove(address(3), 0).unwrap());
        drop(filters);
        let filters = open(&dir);
        assert_eq!(filters.of(&address(1)).iter().map(|entry| entry.filter).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(filters.add(address(1), rules()[0].clone()).unwrap(), 4, "no number comes twice");
        filters.keep(&BTreeSet::from([address(2)])).unwrap();
        assert_eq!((filters.of(&address(1)).len(), filters.of(&address(2)).len()), (0, 1));
        filters.forget(&address(2)).unwrap();
        drop(filters);
        assert!(open(&dir).of(&address(2)).is_empty());
    }

    #[test]
    fn an_address_has_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let filters = open(&dir);
        let add = |byte| filters.add(address(byte), rules()[1].clone());
        assert_eq!((0..MAX_FILTERS + 1).filter(|_| add(1).is_ok()).count(), MAX_FILTERS);
        assert!(matches!(add(1), Err(FilterError::Full)));
        assert!(add(2).is_ok());
        drop(filters);
        assert_eq!(open(&dir).of(&address(1)).len(), MAX_FILTERS);
    }

    #[test]
    fn other_bytes_are_refused() {
        let entries = (0..).zip(rules()).map(|(filter, rule)| FilterEntry { filter, rule }).collect();
        let kept = Kept { next: 7, entries };
        let bytes = kept.encode();
        assert_eq!(Kept::decode(&bytes), Ok(kept));
        assert!(Kept::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(Kept::decode(&[&bytes[..], &[0]].concat()).is_err());
        for at in [0, 9, 10] {
            let mut wrong = bytes.clone();
            wrong[at] = 99;
            assert!(Kept::decode(&wrong).is_err(), "{at}");
        }
    }
}
