// SPDX-License-Identifier: AGPL-3.0-or-later
//! Links that come, go, answer and fall silent.

use ratman_types::{Digest, Hop, LinkSample, Mtu, Now, RouterId};
use ratman_wire::Mode;

use super::Router;
use crate::limits::MAX_LINKS;
use crate::link::Link;
use crate::{CloseReason, Event, LinkCost, Timer};

impl Router {
    pub(super) fn link_up(&mut self, hop: Hop, mtu: Mtu, proofs: Digest, dialed: bool, now: Now) {
        self.link_down(hop, now);
        if self.neighbours.is_cut_off(&hop.neighbour, now.at) {
            return self.tell(Event::CloseLink { hop, reason: CloseReason::CutOff });
        }
        if self.links.len() >= MAX_LINKS || !self.neighbours.link_up(hop.neighbour, now.at) {
            return self.tell(Event::CloseLink { hop, reason: CloseReason::TooMany });
        }
        tracing::debug!(link = hop.link.0, neighbour = %hop.neighbour.short(), dialed, "link is up");
        self.links.insert(hop, Link::new(hop, mtu, proofs, dialed, now.at));
        self.judge_link(hop, now);
        self.send_router_meta(hop, now);
    }

    pub(super) fn link_down(&mut self, hop: Hop, now: Now) {
        self.events.link_is_down(hop);
        if self.links.remove(&hop).is_none() {
            return;
        }
        tracing::debug!(link = hop.link.0, neighbour = %hop.neighbour.short(), "link is down");
        for timer in [Timer::Link(hop), Timer::RouterMeta(hop), Timer::Resend(hop)] {
            self.timers.stop(timer);
        }
        self.move_scope(hop, now);
        if self.neighbours.link_down(&hop.neighbour) {
            self.clock.forget(&hop.neighbour);
            self.forget_known(&hop.neighbour, now);
        }
        for address in self.reached_over(hop) {
            if let Some(known) = self.rib.get_mut(&address) {
                known.remove_entry(hop);
            }
            self.reselect(&address, now);
        }
        self.note_changed_link(hop, now);
    }

    pub(super) fn link_mtu(&mut self, hop: Hop, mtu: Mtu, now: Now) {
        if let Some(link) = self.links.get_mut(&hop) {
            link.mtu = mtu;
            self.reselect_over(hop, now);
        }
    }

    pub(super) fn link_activity(&mut self, hop: Hop, sent: u64, received: u64, acked: Option<u64>, now: Now) {
        if let Some(link) = self.links.get_mut(&hop) {
            link.note_activity(sent, received, acked, now.at);
            self.watch_link(hop, now);
        }
    }

    /// What was measured moves traffic with the next announcements: they come every two seconds, and a look at all
    /// addresses for every sample of every link would cost more than it brings.
    pub(super) fn link_sample(&mut self, hop: Hop, sample: &LinkSample, now: Now) {
        if let Some(link) = self.links.get_mut(&hop) {
            link.estimator.add_sample(sample, now.at);
        }
    }

    /// A person spoke: every route is looked at again at once.
    pub(super) fn link_cost(&mut self, hop: Hop, cost: LinkCost, now: Now) {
        if let Some(link) = self.links.get_mut(&hop).filter(|link| link.cost != cost) {
            link.cost = cost;
            self.reselect_over(hop, now);
        }
    }

    /// Probes a link that is due, and draws the conclusions from what came back.
    pub(super) fn judge_link(&mut self, hop: Hop, now: Now) {
        let Some(link) = self.links.get_mut(&hop) else { return };
        let due = link.handle_timeout(now.at);
        if due.close {
            return self.close_link(hop, CloseReason::Silent, now);
        }
        for _ in 0..due.echoes {
            let nonce = self.prng.bytes();
            if let Some(link) = self.links.get_mut(&hop) {
                link.note_echo(nonce, now.at);
            }
            self.send_echo(hop, Mode::ECHO_REQUEST, nonce, now);
        }
        if due.changed {
            tracing::info!(link = hop.link.0, neighbour = %hop.neighbour.short(), "link is stalled");
            self.reselect_over(hop, now);
            self.tell(Event::LinkStalled { hop });
        }
        self.watch_link(hop, now);
    }

    /// Sets the time at which the link is to be judged next.
    pub(super) fn watch_link(&mut self, hop: Hop, now: Now) {
        match self.links.get(&hop).and_then(|link| link.deadline(now.at)) {
            Some(at) => self.timers.set(Timer::Link(hop), at),
            None => self.timers.stop(Timer::Link(hop)),
        }
    }

    /// Gives up every link of a neighbour that was cut off; nothing of it counts until they are closed.
    pub(super) fn close_links_of(&mut self, neighbour: RouterId, reason: CloseReason, now: Now) {
        let hops: Vec<Hop> = self.links.keys().filter(|hop| hop.neighbour == neighbour).copied().collect();
        for hop in hops {
            self.close_link(hop, reason, now);
        }
    }

    /// Has the driver close a link. Its routes are left at once: it may take a while until it is down.
    fn close_link(&mut self, hop: Hop, reason: CloseReason, now: Now) {
        if let Some(link) = self.links.get_mut(&hop) {
            link.close();
        }
        self.tell(Event::CloseLink { hop, reason });
        self.watch_link(hop, now);
        self.reselect_over(hop, now);
    }
}
