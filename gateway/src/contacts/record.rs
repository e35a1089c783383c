// SPDX-License-Identifier: AGPL-3.0-or-later
//! The record of a contact in the database, under its address.
//!
//! | field | bytes | |
//! |---|---|---|
//! | version | 1 | 1 |
//! | has trust | 1 | 0 or 1 |
//! | trust | 4 | big-endian; 0 where there is none |
//! | name | 0–63 | none where there is none |

use crate::config::is_contact_name;

const VERSION: u8 = 1;
const HEAD: usize = 6;

/// What the operator says of an address; at least one of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: Option<String>,
    pub(crate) trust: Option<u32>,
}

/// Why a record is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Written by a later version of this program.
    #[error("expected version {VERSION} of a contact's record, got {0}")]
    Version(u8),
    /// It is no record, or one that says nothing.
    #[error("a contact's record that cannot be read")]
    Form,
}

impl Record {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, self.trust.is_some().into()];
        bytes.extend(self.trust.unwrap_or_default().to_be_bytes());
        bytes.extend(self.name.iter().flat_map(|name| name.bytes()));
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        match bytes.first() {
            Some(&VERSION) | None => {}
            Some(&other) => return Err(Damage::Version(other)),
        }
        let (head, name) = bytes.split_first_chunk::<HEAD>().ok_or(Damage::Form)?;
        let [_, flag, trust @ ..] = *head;
        let trust = match (flag, u32::from_be_bytes(trust)) {
            (0, 0) => None,
            (1, trust) => Some(trust),
            _ => return Err(Damage::Form),
        };
        let name = match name {
            [] => None,
            name => {
                let name = std::str::from_utf8(name).ok().filter(|name| is_contact_name(name));
                Some(name.ok_or(Damage::Form)?.to_owned())
            }
        };
        let record = Self { name, trust };
        if record.says_nothing() { Err(Damage::Form) } else { Ok(record) }
    }

    /// Whether there is nothing to be kept.
    pub(crate) const fn says_nothing(&self) -> bool {
        self.name.is_none() && self.trust.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(name: Option<&str>, trust: Option<u32>) -> Record {
        Record { name: name.map(str::to_owned), trust }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        for (record, bytes) in [
            (record(Some("ann"), None), &b"\x01\x00\x00\x00\x00\x00ann"[..]),
            (record(Some("ann"), Some(258)), b"\x01\x01\x00\x00\x01\x02ann"),
            (record(None, Some(0)), b"\x01\x01\x00\x00\x00\x00"),
        ] {
            assert_eq!(record.to_bytes(), bytes);
            assert_eq!(Record::parse(bytes), Ok(record));
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        assert_eq!(Record::parse(b"\x02\x00"), Err(Damage::Version(2)));
        let long = [&b"\x01\x01\x00\x00\x00\x00"[..], &[b'a'; 64]].concat();
        for wrong in [
            &b""[..],
            b"\x01\x01\x00\x00\x00",
            b"\x01\x00\x00\x00\x00\x00",
            b"\x01\x00\x00\x00\x00\x01ann",
            b"\x01\x02\x00\x00\x00\x01ann",
            b"\x01\x01\x00\x00\x00\x01a nn",
            b"\x01\x01\x00\x00\x00\x01\xff",
            b"\x01\x01\x00\x00\x00\x01any",
            &long,
        ] {
            assert_eq!(Record::parse(wrong), Err(Damage::Form), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_encodes_to_the_same_bytes(
            head in prop::sample::select(vec![[1_u8, 0], [1, 1], [2, 0], [1, 9]]),
            rest in prop::collection::vec(any::<u8>(), 0..8),
            name in "[a-z_-]{0,6}",
        ) {
            let bytes = [&head[..], &rest, name.as_bytes()].concat();
            if let Ok(record) = Record::parse(&bytes) {
                prop_assert_eq!(record.to_bytes(), bytes);
            }
        }
    }
}
