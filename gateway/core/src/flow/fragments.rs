// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which flow a later fragment belongs to: only the first fragment has ports, the others share its identification,
//! its remote and its direction.

use core::hash::BuildHasher;
use core::net::IpAddr;
use core::time::Duration;

use ratman_types::{Address, Timestamp};

use super::key::FlowKey;
use super::seed::HashSeed;
use crate::packet::{Direction, Fragment, PacketInfo};

/// Fragmented packets remembered at once. Fragments of one packet follow each other closely, so a few are enough;
/// a newer packet takes the place of an older one whose hash is the same.
pub(super) const SLOTS: usize = 1024;

/// How long later fragments may come after the first: as long as Linux waits for them (`ipfrag_time`), between the
/// 15 s of RFC 791 and the 60 s of RFC 8200.
const LIFETIME: Duration = Duration::from_secs(30);

/// Which remote a packet goes to or comes from.
pub(super) type Way = (Address, Direction);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FragmentKey {
    remote: Address,
    direction: Direction,
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    id: u32,
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    key: FragmentKey,
    flow: FlowKey,
    until: Timestamp,
}

/// First fragments that were let through, by what their followers repeat.
#[derive(Debug)]
pub(super) struct Fragments {
    seed: HashSeed,
    slots: Box<[Option<Noted>]>,
}

impl Fragments {
    pub(super) fn new(seed: HashSeed) -> Self {
        Self { seed, slots: vec![None; SLOTS].into() }
    }

    /// Remembers that the first fragment `info` passed as part of `flow`; says whether another packet, whose
    /// fragments might still come, was forgotten for it.
    pub(super) fn note(
        &mut self,
        info: &PacketInfo,
        way: Way,
        id: u32,
        flow: FlowKey,
        now: Timestamp,
    ) -> bool {
        let key = FragmentKey::new(info, way, id);
        let before = self.slot(&key).replace(Noted { key, flow, until: now + LIFETIME });
        before.is_some_and(|noted| noted.key != key && noted.until > now)
    }

    /// The flow of a later fragment, if its first one passed in time.
    pub(super) fn find(&mut self, info: &PacketInfo, way: Way, now: Timestamp) -> Option<FlowKey> {
        let Fragment::Later { id, .. } = info.fragment else { return None };
        let key = FragmentKey::new(info, way, id);
        let noted = (*self.slot(&key))?;
        (noted.key == key && noted.until > now).then_some(noted.flow)
    }

    #[cfg(test)]
    pub(super) fn noted(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    fn slot(&mut self, key: &FragmentKey) -> &mut Option<Noted> {
        let slots = u64::try_from(SLOTS).expect("a small constant");
        let at = usize::try_from(self.seed.hash_one(key) % slots).expect("below a small constant");
        &mut self.slots[at]
    }
}

impl FragmentKey {
    fn new(info: &PacketInfo, (remote, direction): Way, id: u32) -> Self {
        let (source, destination) = (info.source, info.destination);
        Self { remote, direction, source, destination, protocol: info.protocol, id }
    }
}
