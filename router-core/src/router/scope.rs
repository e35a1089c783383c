// SPDX-License-Identifier: AGPL-3.0-or-later
//! SyncScopeRequest: a neighbour that comes hears which addresses we knew to which we know no way now, so that it hands over what it has for
//! them if it knew them worse (decisions/what-neighbours-knew.md).

use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ratman_types::{Address, Hop, Now, RouterId};
use ratman_wire::Mode;
use ratman_wire::sync_scope::SyncScopeRequest;

use super::Router;
use crate::{Class, Timer};

/// The most addresses of one request, 4 KiB: links are shared with what is more urgent.
const MOST_AT_ONCE: usize = 90;
/// So much is told in a second: all that can be remembered in a minute and a half.
const BYTES_PER_SECOND: u32 = 8_000;

/// How far the neighbours have been told, each over one of its links.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    // As many as have a link that has answered.
    told: BTreeMap<RouterId, Told>,
}

#[derive(Debug)]
struct Told {
    over: Hop,
    /// The last address of which it was told.
    last: Option<Address>,
}

impl Router {
    /// A link has answered for the first time: its neighbour is told, once for all of its links.
    pub(super) fn begin_scope(&mut self, hop: Hop, now: Now) {
        if let Entry::Vacant(place) = self.scopes.told.entry(hop.neighbour) {
            place.insert(Told { over: hop, last: None });
            self.send_scope(hop.neighbour, now);
        }
    }

    /// A link is down: where its neighbour was being told over it, that goes on over another one.
    pub(super) fn move_scope(&mut self, hop: Hop, now: Now) {
        let Some(told) = self.scopes.told.get_mut(&hop.neighbour).filter(|told| told.over == hop) else {
            return;
        };
        let mut others = self.links.values().filter(|link| link.hop.neighbour == hop.neighbour);
        if let Some(other) = others.find(|link| link.live_since.is_some()) {
            told.over = other.hop;
            return self.send_scope(hop.neighbour, now);
        }
        self.scopes.told.remove(&hop.neighbour);
        self.timers.stop(Timer::Scope(hop.neighbour));
    }

    /// Tells a neighbour the next of the addresses that we knew.
    pub(super) fn send_scope(&mut self, neighbour: RouterId, now: Now) {
        let corrected = self.clock.corrected(now);
        let Some(told) = self.scopes.told.get_mut(&neighbour) else { return };
        let (hop, last) = (told.over, told.last);
        let Some(link) = self.links.get_mut(&hop) else { return };
        let room = SyncScopeRequest::room(link.mtu).min(MOST_AT_ONCE);
        let known: Vec<_> = self.carriers.known_after(last, neighbour).take(room).collect();
        let Some(last) = known.last() else { return };
        told.last = Some(last.address);
        let request = SyncScopeRequest::new(link.stamp(corrected), known);
        let mut payload = Vec::new();
        request.expect("invariant: ascending, and no more than fit").encode_into(&mut payload);
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.send_one_hop_as(Class::Data, hop, Mode::SYNC_SCOPE_REQUEST, &payload);
        let pause = Duration::from_secs(1) * length / BYTES_PER_SECOND;
        self.timers.set(Timer::Scope(neighbour), now.at + pause);
    }
}
