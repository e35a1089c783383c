// SPDX-License-Identifier: AGPL-3.0-or-later
//! The times that a restart must know, and their file: `version = 1`, then a table per kind, keyed by address.

use std::collections::BTreeMap;

use ratman_types::{Address, WallTime};
use serde::{Deserialize, Serialize};

/// Local addresses whose origin time is kept: the gateway has one, a router serves few applications.
const MAX_ORIGINS: usize = 1024;

/// Remotes whose initiation times are kept: twice as many as can be configured, so that a changed configuration does
/// not push out remotes in use.
const MAX_REMOTES: usize = 2 * crate::config::MAX_ROUTES;

const VERSION: u32 = 1;

/// The file is not what [`Times::to_text`] writes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected version {VERSION} of the file of times: {0}")]
pub(super) struct ParseTimesError(pub(super) String);

/// Times of session initiations, as inside their first Noise message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionTimes {
    /// The newest that we sent; the next must be above it.
    pub sent: Option<WallTime>,
    /// The newest that the remote sent; older ones and this one again are replays.
    pub received: Option<WallTime>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    // INVARIANT: at most MAX_ORIGINS and MAX_REMOTES entries; the one with the oldest time leaves for a new one.
    origins: BTreeMap<Address, WallTime>,
    sessions: BTreeMap<Address, SessionTimes>,
    forgotten: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    #[serde(default)]
    origin_ceiling: BTreeMap<Address, u64>,
    #[serde(default)]
    session: BTreeMap<Address, SessionRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<u64>,
}

impl Times {
    pub(super) fn origin(&self, address: &Address) -> Option<WallTime> {
        self.origins.get(address).copied()
    }

    /// The latest of all.
    pub(super) fn latest_origin(&self) -> Option<WallTime> {
        self.origins.values().copied().max()
    }

    pub(super) fn set_origin(&mut self, address: Address, time: WallTime) {
        self.forgotten += make_room(&mut self.origins, &address, MAX_ORIGINS, |time| Some(*time));
        self.origins.insert(address, time);
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn session(&self, remote: &Address) -> SessionTimes {
        self.sessions.get(remote).copied().unwrap_or_default()
    }

    pub(super) fn update_session(&mut self, remote: Address, update: impl FnOnce(&mut SessionTimes)) {
        self.forgotten +=
            make_room(&mut self.sessions, &remote, MAX_REMOTES, |times| times.sent.max(times.received));
        update(self.sessions.entry(remote).or_default());
    }

    pub(super) fn to_text(&self) -> String {
        let document = Document {
            version: VERSION,
            origin_ceiling: self.origins.iter().map(|(address, time)| (*address, stored(*time))).collect(),
            session: self.sessions.iter().map(|(remote, times)| (*remote, row(times))).collect(),
        };
        toml::to_string(&document).expect("tables of integers have a TOML form")
    }

    pub(super) fn parse(text: &str) -> Result<Self, ParseTimesError> {
        let document: Document =
            toml::from_str(text).map_err(|error| ParseTimesError(error.message().to_owned()))?;
        if document.version != VERSION {
            return Err(ParseTimesError(format!("got version {}", document.version)));
        }
        let mut times = Self::default();
        for (address, time) in document.origin_ceiling {
            times.set_origin(address, WallTime::from_micros(time));
        }
        for (remote, row) in document.session {
            let read = SessionTimes {
                sent: row.sent.map(WallTime::from_micros),
                received: row.received.map(WallTime::from_micros),
            };
            times.update_session(remote, |times| *times = read);
        }
        Ok(times)
    }
}

/// TOML integers end at `i64::MAX`, 290 000 years from now: a time beyond it comes from a broken clock.
fn stored(time: WallTime) -> u64 {
    time.as_micros().min(i64::MAX.unsigned_abs())
}

fn row(times: &SessionTimes) -> SessionRow {
    SessionRow { sent: times.sent.map(stored), received: times.received.map(stored) }
}

/// Forgets the oldest entry where a new one finds no room, and tells how many that were.
fn make_room<V>(
    map: &mut BTreeMap<Address, V>,
    new: &Address,
    limit: usize,
    age: impl Fn(&V) -> Option<WallTime>,
) -> u64 {
    if map.len() < limit || map.contains_key(new) {
        return 0;
    }
    let oldest = map.iter().min_by_key(|(_, value)| age(value)).map(|(address, _)| *address);
    let Some(oldest) = oldest else { return 0 };
    map.remove(&oldest);
    tracing::warn!(address = %oldest.short(), limit, "table of stored times is full, the oldest is forgotten");
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(n: usize) -> Address {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        Address::from_bytes(bytes)
    }

    fn time(n: usize) -> WallTime {
        WallTime::from_micros(n.try_into().unwrap())
    }

    #[test]
    fn full_tables_forget_the_oldest() {
        let mut times = Times::default();
        for n in 0..=MAX_ORIGINS {
            times.set_origin(address(n), time(n));
        }
        assert_eq!(times.origins.len(), MAX_ORIGINS);
        assert_eq!((times.origin(&address(0)), times.origin(&address(1))), (None, Some(time(1))));
        for n in 0..=MAX_REMOTES {
            times.update_session(address(n), |times| times.received = Some(time(n + 1)));
        }
        assert_eq!((times.sessions.len(), times.forgotten()), (MAX_REMOTES, 2));
        assert_eq!(times.session(&address(0)), SessionTimes::default());
        assert_eq!(times.session(&address(MAX_REMOTES)).received, Some(time(MAX_REMOTES + 1)));
    }

    #[test]
    fn other_documents_are_refused() {
        for text in
            ["", "version = 2", "version = 1\nfoo = 1", "version = 1\n[origin_ceiling]\nAB = 1", "\u{0}"]
        {
            assert!(Times::parse(text).is_err(), "{text:?}");
        }
        let negative = format!("version = 1\n[origin_ceiling]\n{} = -1", address(1));
        assert!(Times::parse(&negative).is_err());
    }

    proptest! {
        #[test]
        fn the_file_round_trips(
            origins in prop::collection::btree_map(any::<[u8; 32]>(), 0..=i64::MAX.unsigned_abs(), 0..20),
            sessions in prop::collection::btree_map(any::<[u8; 32]>(), any::<(Option<u32>, Option<u32>)>(), 0..20),
        ) {
            let mut times = Times::default();
            for (address, time) in origins {
                times.set_origin(Address::from_bytes(address), WallTime::from_micros(time));
            }
            for (remote, (sent, received)) in sessions {
                let wall = |time: Option<u32>| time.map(|time| WallTime::from_micros(time.into()));
                times.update_session(Address::from_bytes(remote), |times| {
                    *times = SessionTimes { sent: wall(sent), received: wall(received) };
                });
            }
            prop_assert_eq!(Times::parse(&times.to_text()), Ok(times));
        }
    }
}
