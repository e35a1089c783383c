// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which addresses of clients take part in which namespaces. Keys of namespaces are in memory only, and shown again after a restart;
//! that an address takes part outlives it, so that what comes is not gone when the first of them is back and has taken it.

use std::collections::BTreeSet;
use std::sync::Arc;

use ratman_types::{Address, Namespace};
use ratman_wire::{DecodeError, Reader, Writer};

use crate::by_address::{ByAddress, Record};
use crate::message_plane::MAX_NAMESPACES_OF_ONE;
use crate::store::{Store, StoreError, Table};

/// The version of a record.
const VERSION: u8 = 1;

/// The namespaces of one address, in the order in which it joined them.
// INVARIANT: at most MAX_NAMESPACES_OF_ONE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Joined(Vec<Namespace>);

impl Record for Joined {
    const TABLE: Table = Table::Memberships;

    /// Version ‖ namespaces, 32 bytes each.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.u8(VERSION);
        self.0.iter().for_each(|namespace| _ = writer.bytes(namespace.as_bytes()));
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version(VERSION)?;
        let mut joined = Self::default();
        while !reader.rest().is_empty() && joined.0.len() < MAX_NAMESPACES_OF_ONE {
            joined.0.push(Namespace::from_bytes(reader.array("namespace")?));
        }
        reader.end()?;
        Ok(joined)
    }
}

/// Those of all addresses. Changes wait for the disk: not to be made where others wait.
#[derive(Debug)]
pub struct Memberships(ByAddress<Joined>);

impl Memberships {
    /// Those in `store`. What is damaged is told with an ERROR each, and left where it is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open(store: Arc<Store>) -> Result<Self, StoreError> {
        ByAddress::open(store).map(Self)
    }

    /// Notes that an address takes part in a namespace; false where that was noted. An address has [`MAX_NAMESPACES_OF_ONE`]: the one
    /// that it joined first is forgotten for another.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn note(&self, address: Address, namespace: Namespace) -> Result<bool, StoreError> {
        self.0.change(address, |Joined(joined)| {
            let is_new = !joined.contains(&namespace);
            if is_new {
                joined.push(namespace);
                joined.drain(..joined.len().saturating_sub(MAX_NAMESPACES_OF_ONE));
            }
            Ok(is_new)
        })
    }

    /// Forgets that an address takes part in a namespace, if it is noted.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn remove(&self, address: Address, namespace: &Namespace) -> Result<(), StoreError> {
        self.0.change(address, |Joined(joined)| {
            joined.retain(|of| of != namespace);
            Ok(())
        })
    }

    /// All of them: who took part in what.
    pub fn list(&self) -> Vec<(Address, Vec<Namespace>)> {
        self.0.list().into_iter().map(|(address, Joined(joined))| (address, joined)).collect()
    }

    /// Forgets those of an address that is gone for good.
    ///
    /// # Errors
    /// The database does not do it.
    pub fn forget(&self, address: &Address) -> Result<(), StoreError> {
        self.0.forget(address)
    }

    /// Forgets those of all addresses but these.
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

    fn namespace(number: usize) -> Namespace {
        let mut bytes = [5; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Namespace::from_bytes(bytes)
    }

    fn open(dir: &tempfile::TempDir) -> Memberships {
        Memberships::open(Arc::new(Store::open(dir.path(), &StoreConfig::default()).unwrap())).unwrap()
    }

    #[test]
    fn who_takes_part_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let memberships = open(&dir);
        for (of, number) in [(1, 1), (1, 2), (2, 1), (3, 3)] {
            assert!(memberships.note(address(of), namespace(number)).unwrap());
        }
        assert!(!memberships.note(address(1), namespace(1)).unwrap(), "it was noted");
        memberships.remove(address(1), &namespace(1)).unwrap();
        memberships.remove(address(3), &namespace(3)).unwrap();
        drop(memberships);
        let memberships = open(&dir);
        assert_eq!(memberships.list(), [(address(1), vec![namespace(2)]), (address(2), vec![namespace(1)])]);
        memberships.forget(&address(1)).unwrap();
        assert!(memberships.note(address(4), namespace(4)).unwrap());
        memberships.keep(&BTreeSet::from([address(4)])).unwrap();
        drop(memberships);
        assert_eq!(open(&dir).list(), [(address(4), vec![namespace(4)])]);
    }

    #[test]
    fn an_address_has_so_many_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let memberships = open(&dir);
        (0..=MAX_NAMESPACES_OF_ONE)
            .for_each(|number| _ = memberships.note(address(1), namespace(number)).unwrap());
        let expected = (1..=MAX_NAMESPACES_OF_ONE).map(namespace).collect();
        drop(memberships);
        assert_eq!(open(&dir).list(), [(address(1), expected)]);
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = Joined(vec![namespace(1), namespace(2)]).encode();
        for length in (0..bytes.len()).filter(|length| *length != 1 && *length != 33) {
            assert!(Joined::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        let more = vec![namespace(1); MAX_NAMESPACES_OF_ONE + 1];
        assert!(Joined::decode(&Joined(more).encode()).is_err());
        assert_eq!(Joined::decode(&[&[9], &bytes[1..]].concat()), Err(DecodeError::Version(9)));
    }
}
