// SPDX-License-Identifier: AGPL-3.0-or-later
//! What becomes of a received announcement, in the order of the wire page ("On receipt"): the cheap questions
//! first, a signature only where its answer matters.

use core::time::Duration;

use ratman_types::{Address, Hop, Now, Timestamp, WallTime};
use ratman_wire::announcement::{Announcement, PathLatency, Peer, origin_signed_bytes};
use ratman_wire::{DecodeError, Frame};

use super::Router;
use crate::limits::{CLOCK_WINDOW, VERIFY_AGAIN_AFTER, believed_interval, live_window};
use crate::neighbour::Quota;
use crate::newest::{Newest, told_interval};
use crate::origin_times::Remembered;
use crate::rib::{Entry, Known};
use crate::route_ping::FirstCopy;
use crate::{DropReason, Event};

/// A decoded copy of an announcement and how it came.
#[derive(Clone, Copy, Debug)]
struct Copied {
    address: Address,
    announcement: Announcement,
    /// The peer part, where it names the neighbour that was proven on the link.
    peer: Option<Peer>,
    hops_left: u8,
    from: Hop,
    arrived: Timestamp,
    /// The tenth percentile of the link's round trips.
    rtt: Duration,
    /// When the link answered for the first time.
    live_since: Timestamp,
}

impl Copied {
    fn is_retraction(&self) -> bool {
        self.peer.is_some_and(|peer| peer.latency.is_retraction())
    }

    /// The entry that this copy makes of what its hop said before.
    fn entry(&self, before: Option<&Entry>, default_interval: Duration) -> Entry {
        let Self { from, announcement, peer, arrived, hops_left, .. } = self;
        let copy = (announcement, *hops_left);
        Entry::from_copy(before, *from, copy, peer.as_ref(), *arrived, default_interval)
    }
}

impl Router {
    pub(super) fn receive_announcement(
        &mut self,
        from: Hop,
        frame: &Frame<'_>,
        arrived: Timestamp,
        now: Now,
    ) -> Result<(), DropReason> {
        self.counters.announcements_received += 1;
        let copy = self.decode_copy(from, frame, arrived)?;
        if self.locals.contains_key(&copy.address) {
            return self.receive_own(&copy, now);
        }
        let Some(known) = self.rib.get(&copy.address) else {
            return self.receive_new(copy, now);
        };
        match known.times.get(copy.announcement.origin_time) {
            Some(slot) if slot.signature != copy.announcement.origin_signature => {
                Err(DropReason::OriginSignatureDiffers)
            }
            Some(slot) => {
                let slot = *slot;
                self.receive_copy(&copy, &slot, now)
            }
            None if known
                .times
                .newest()
                .is_some_and(|newest| copy.announcement.origin_time <= newest.time) =>
            {
                Err(DropReason::AnnouncementStale)
            }
            None => self.receive_new(copy, now),
        }
    }

    fn decode_copy(&self, from: Hop, frame: &Frame<'_>, arrived: Timestamp) -> Result<Copied, DropReason> {
        let header = frame.header;
        let plain = header.recipient.is_none()
            && header.seq_id.is_none()
            && header.auxiliary.is_none()
            && header.signature.is_none();
        if !plain {
            return Err(DropReason::AnnouncementForm);
        }
        let announcement = Announcement::decode(frame.payload).map_err(|error| {
            let old = matches!(error, DecodeError::Version(1));
            if old { DropReason::AnnouncementVersion1 } else { DropReason::MalformedPayload }
        })?;
        let link = self.links.get(&from).ok_or(DropReason::UnknownHop)?;
        let (Some(rtt), Some(live_since)) = (link.rtt(), link.live_since) else {
            return Err(DropReason::LinkStarting);
        };
        Ok(Copied {
            address: header.sender_address(),
            announcement,
            peer: announcement.peer.filter(|peer| peer.router == from.neighbour),
            hops_left: header.hops_left,
            from,
            arrived,
            rtt,
            live_since,
        })
    }

    /// Our own announcement comes back, or somebody else has our key.
    fn receive_own(&mut self, copy: &Copied, now: Now) -> Result<(), DropReason> {
        let foreign = self
            .locals
            .get(&copy.address)
            .is_some_and(|local| local.is_foreign(copy.announcement.origin_time));
        if foreign {
            self.verify_origin(copy, now)?;
            if self.locals.get_mut(&copy.address).is_some_and(|local| local.tell_used_twice(now.at)) {
                self.tell(Event::KeyUsedTwice { address: copy.address });
            }
        }
        Err(DropReason::OwnAnnouncement)
    }

    /// The first copy of an announcement newer than all others: verified, remembered, flooded.
    fn receive_new(&mut self, mut copy: Copied, now: Now) -> Result<(), DropReason> {
        if copy.is_retraction() {
            return self.receive_retraction(&copy, now);
        }
        if !self.is_within_clock_window(&copy, now) {
            return Err(DropReason::ClockWindow);
        }
        let unknown = self.rib.get(&copy.address).is_none();
        let evicted = if unknown { self.admit(&copy, now)? } else { None };
        self.verify_origin(&copy, now)?;
        match self.verify_hop(&copy, now) {
            Ok(()) => {}
            // It stays an announcement, but of nobody's peer.
            Err(DropReason::BadSignature) => {
                self.drops.count(DropReason::BadSignature);
                copy.peer = None;
            }
            Err(reason) => return Err(reason),
        }
        if unknown && !self.config.pinned.contains(&copy.address) {
            let neighbour = self.neighbours.get_mut(&copy.from.neighbour).ok_or(DropReason::UnknownHop)?;
            neighbour.note_new_address(now.at);
        }
        if let Some(evicted) = evicted {
            self.drops.count(DropReason::Evicted);
            self.forget(&evicted, now);
        }
        let result = self.remember(&copy, unknown, now);
        self.reselect(&copy.address, now);
        self.flood_copy(&copy, now);
        result
    }

    /// Whether there is room for an address never seen before, and which one makes it.
    fn admit(&mut self, copy: &Copied, now: Now) -> Result<Option<Address>, DropReason> {
        let pinned = self.config.pinned.contains(&copy.address);
        let evicted = self.rib.room_for(&copy.from.neighbour, pinned)?;
        let neighbour = self.neighbours.get_mut(&copy.from.neighbour).ok_or(DropReason::UnknownHop)?;
        if !pinned && !neighbour.may_bring_address(now.at) {
            return Err(DropReason::NewAddressQuota);
        }
        Ok(evicted)
    }

    fn is_within_clock_window(&self, copy: &Copied, now: Now) -> bool {
        let ahead = self.ahead_of_us(copy.announcement.origin_time, now);
        ahead.is_none_or(|micros| Duration::from_micros(micros.unsigned_abs()) <= CLOCK_WINDOW)
    }

    /// How many microseconds a time lies ahead of our clock. Nothing where nobody's clock has a vote: then ours says nothing, and
    /// every time is taken.
    pub(super) fn ahead_of_us(&self, time: WallTime, now: Now) -> Option<i64> {
        let nobody_votes = self.clock.told(now) == Default::default() && self.clock.micros(now) == 0;
        (!nobody_votes).then(|| time.ahead_of(self.clock.corrected(now)))
    }

    /// Remembers a first copy and makes its route live, unless it was held back on its way.
    fn remember(&mut self, copy: &Copied, unknown: bool, now: Now) -> Result<(), DropReason> {
        let pinned = self.config.pinned.contains(&copy.address);
        let claim = copy.peer.map(|peer| peer.latency);
        let known = self.rib.learn(copy.address, copy.from.neighbour, pinned);
        known.heard = now.at;
        known.first_heard.get_or_insert(now.at);
        known.times.push(Remembered {
            time: copy.announcement.origin_time,
            signature: copy.announcement.origin_signature,
            flooded: claim.map_or(PathLatency::RETRACTED, |claim| claim.plus(added(copy.rtt))),
            first_hop: copy.from,
            first_arrived: copy.arrived,
            first: FirstCopy::new(
                claim.map(PathLatency::as_duration).unwrap_or_default(),
                copy.rtt,
                copy.arrived,
            ),
        });
        if unknown {
            self.tell(Event::Learned { address: copy.address });
        }
        self.update_entry(copy, true, now)
    }

    /// A further copy of a remembered announcement: it changes its own hop's route at most.
    fn receive_copy(&mut self, copy: &Copied, slot: &Remembered, now: Now) -> Result<(), DropReason> {
        if copy.is_retraction() {
            return self.receive_retraction(copy, now);
        }
        let Some(peer) = copy.peer else {
            let first = slot.first_hop == copy.from;
            return Err(if first { DropReason::AnnouncementRepeated } else { DropReason::CopyWithoutPeer });
        };
        let known = self.rib.get(&copy.address).ok_or(DropReason::AnnouncementStale)?;
        let entry = known.entry(copy.from);
        if entry.is_some_and(|entry| {
            entry.origin_time > copy.announcement.origin_time || entry.repeats(&copy.announcement, &peer)
        }) {
            return Err(DropReason::AnnouncementRepeated);
        }
        let needed = known.hop_in_use() == Some(copy.from)
            || entry.is_none_or(|entry| copy.arrived.since(entry.heard) > VERIFY_AGAIN_AFTER)
            || self.would_win(copy, known, now);
        if !needed {
            return Err(DropReason::CopyNotNeeded);
        }
        let news = entry.is_none_or(|entry| entry.origin_time < copy.announcement.origin_time);
        self.verify_hop(copy, now)?;
        self.update_entry(copy, news, now)?;
        self.reselect(&copy.address, now);
        if slot.is_feasible(copy.from, Some(peer.latency)) { Ok(()) } else { Err(DropReason::Infeasible) }
    }

    /// Whether the scorer would put this copy's route first if what it claims were true.
    fn would_win(&self, copy: &Copied, known: &Known, now: Now) -> bool {
        let claimed = copy.entry(known.entry(copy.from), self.config.announce_interval);
        let Some(claimed) = known.candidate(&claimed, &self.links, now.at) else { return false };
        let mut candidates = known.candidates(&self.links, now.at);
        candidates.retain(|candidate| candidate.hop != copy.from);
        candidates.push(claimed);
        self.compute(&candidates).is_ok_and(|choice| choice.hop == copy.from)
    }

    /// A neighbour takes its route back; never a first copy.
    fn receive_retraction(&mut self, copy: &Copied, now: Now) -> Result<(), DropReason> {
        let entry = self.rib.get(&copy.address).and_then(|known| known.entry(copy.from));
        if entry.is_none_or(|entry| entry.origin_time > copy.announcement.origin_time) {
            return Err(DropReason::NothingToRetract);
        }
        self.verify_hop(copy, now)?;
        if let Some(known) = self.rib.get_mut(&copy.address) {
            known.remove_entry(copy.from);
        }
        self.reselect(&copy.address, now);
        Ok(())
    }

    fn verify_origin(&mut self, copy: &Copied, now: Now) -> Result<(), DropReason> {
        let message = origin_signed_bytes(&copy.address, copy.announcement.origin_time);
        let signature = copy.announcement.origin_signature;
        let public = copy.address.as_bytes();
        self.verify(copy.from, Quota::Announcements, public, &message, &signature, now)
    }

    /// Verifies the peer part, if one counts.
    fn verify_hop(&mut self, copy: &Copied, now: Now) -> Result<(), DropReason> {
        let Some(peer) = copy.peer else { return Ok(()) };
        let message =
            copy.announcement.hop_signed_bytes(&copy.address, &peer.router, peer.latency, peer.interval);
        let public = peer.router.as_bytes();
        self.verify(copy.from, Quota::Announcements, public, &message, &peer.signature, now)
    }

    /// Takes a verified copy over into its hop's entry. `news` says that the hop brings this announcement for the
    /// first time.
    fn update_entry(&mut self, copy: &Copied, news: bool, now: Now) -> Result<(), DropReason> {
        let Some(known) = self.rib.get_mut(&copy.address) else { return Ok(()) };
        let mut entry = copy.entry(known.entry(copy.from), self.config.announce_interval);
        if !known.lag.admit(copy.announcement.origin_time, copy.arrived, live_window(entry.interval)) {
            return Err(DropReason::HeldBack);
        }
        // A copy that a new link was given afterwards says nothing about how long the way takes, nor does one that waited
        // behind a load.
        let loaded = self.links.get(&copy.from).is_some_and(|link| link.estimator.is_loaded(copy.arrived));
        let slot = known.times.get(copy.announcement.origin_time).filter(|_| news && !loaded);
        if let Some(slot) = slot.filter(|slot| slot.first_arrived >= copy.live_since) {
            entry.ping.observe(&slot.first, copy.arrived);
        }
        let slot = known.times.get(copy.announcement.origin_time);
        if entry.claim.is_some() && slot.is_some_and(|slot| slot.is_feasible(copy.from, entry.claim)) {
            known.note_nearer(copy.from.neighbour, copy.announcement.origin_time);
        }
        if known.set_entry(entry, &self.links, now.at)?.is_some() {
            self.drops.count(DropReason::HopReplaced);
        }
        self.scorer.irq_live_announcement(
            &copy.address,
            &copy.announcement,
            copy.from,
            &mut self.scorer_config,
        );
        Ok(())
    }

    /// Sends a first copy on, as wide as its way and the one that we selected. Without a route of our own (the copy
    /// was held back, or its link is stalled) we claim none.
    fn flood_copy(&mut self, copy: &Copied, now: Now) {
        let Some(link) = self.links.get(&copy.from) else { return };
        let Some(known) = self.rib.get_mut(&copy.address) else { return };
        let Some(via) = known.hop_in_use().and_then(|hop| known.via(hop, &self.links)) else { return };
        let Some(slot) = known.times.newest() else { return };
        let selected = known.bandwidth_over(via.hop, &self.links, now.at);
        let brought = copy.announcement.available_bw.narrowest(link.estimator.bandwidth(now.at));
        let own_interval = told_interval(self.config.announce_interval);
        known.newest = Some(Newest::new(
            slot.time,
            slot.signature,
            copy.peer.map(|_| slot.flooded),
            copy.peer.map_or(own_interval, |peer| told_interval(believed_interval(peer.interval))),
            brought.narrowest(selected),
            copy.announcement.available_mtu.min(link.mtu).min(via.mtu),
            copy.hops_left.checked_sub(1),
            Some(copy.from.neighbour),
        ));
        self.flood(&copy.address, now);
    }
}

/// What this hop adds to the path latency.
fn added(rtt: Duration) -> Duration {
    (rtt / 2).max(Duration::from_micros(1))
}
