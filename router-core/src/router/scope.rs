// SPDX-License-Identifier: AGPL-3.0-or-later
//! SyncScopeRequest: a neighbour that comes hears which addresses we knew to which we know no way now, so that it hands over what it has for
//! them if it knew them worse (decisions/what-neighbours-knew.md).

use core::time::Duration;

use ratman_types::{Hop, Now};
use ratman_wire::Mode;
use ratman_wire::sync_scope::SyncScopeRequest;

use super::Router;
use crate::Timer;

/// Between two requests to a neighbour: all that can be remembered is told in 13 s where 26 fit, in a quarter of a second where 1 487 do.
const PAUSE: Duration = Duration::from_millis(20);

impl Router {
    /// Tells the neighbour behind a new link the next of the addresses that we knew, as many as fit.
    pub(super) fn send_scope(&mut self, hop: Hop, now: Now) {
        let corrected = self.clock.corrected(now);
        let Some(link) = self.links.get_mut(&hop) else { return };
        let room = SyncScopeRequest::room(link.mtu).min(SyncScopeRequest::MAX_ADDRESSES);
        let known: Vec<_> = self.lost.known_after(link.scoped, hop.neighbour).take(room).collect();
        let Some(last) = known.last() else { return };
        link.scoped = Some(last.address);
        let request = SyncScopeRequest::new(link.stamp(corrected), known);
        let mut payload = Vec::new();
        request.expect("invariant: ascending, and no more than fit").encode_into(&mut payload);
        self.send_one_hop(hop, Mode::SYNC_SCOPE_REQUEST, &payload);
        self.timers.set(Timer::Scope(hop), now.at + PAUSE);
    }
}
