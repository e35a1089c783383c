// SPDX-License-Identifier: AGPL-3.0-or-later
//! What two neighbours say to each other over one link: echoes, RouterMeta, custody and what addresses one knew, signed under both proofs of the link.

use core::time::Duration;

use ratman_types::{Hop, Now, Timestamp, WallTime};
use ratman_wire::custody::Custody;
use ratman_wire::echo::Echo;
use ratman_wire::router_meta::RouterMeta;
use ratman_wire::sync_scope::SyncScopeRequest;
use ratman_wire::{Frame, FrameId, Header, Mode};

use super::Router;
use crate::neighbour::Quota;
use crate::{Class, DropReason, Event, Timer};

/// How often a neighbour is told about ourselves (source: wire page, routes).
const META_INTERVAL: Duration = Duration::from_secs(30);

/// The payloads that we serve.
#[derive(Clone, Debug)]
enum OneHop {
    Request(Echo),
    Reply(Echo),
    Meta(RouterMeta),
    Custody(Custody),
    Known(SyncScopeRequest),
}

impl OneHop {
    fn decode(frame: &Frame<'_>) -> Result<Self, DropReason> {
        let decoded = match frame.header.mode {
            Mode::ECHO_REQUEST => Echo::decode(frame.payload).map(Self::Request),
            Mode::ECHO_REPLY => Echo::decode(frame.payload).map(Self::Reply),
            Mode::ROUTER_META => RouterMeta::decode(frame.payload).map(Self::Meta),
            Mode::CUSTODY => Custody::decode(frame.payload).map(Self::Custody),
            Mode::SYNC_SCOPE_REQUEST => SyncScopeRequest::decode(frame.payload).map(Self::Known),
            _ => return Err(DropReason::ModeNotServed),
        };
        decoded.map_err(|_| DropReason::MalformedPayload)
    }

    /// When it was made, by its sender's clock.
    const fn time(&self) -> WallTime {
        match self {
            Self::Request(echo) | Self::Reply(echo) => echo.time,
            Self::Meta(meta) => meta.time,
            Self::Custody(custody) => custody.time,
            Self::Known(request) => request.time,
        }
    }
}

impl Router {
    pub(super) fn receive_one_hop(
        &mut self,
        from: Hop,
        frame: &Frame<'_>,
        arrived: Timestamp,
        now: Now,
    ) -> Result<(), DropReason> {
        let message = OneHop::decode(frame)?;
        if frame.header.sender_router() != from.neighbour {
            return Err(DropReason::WrongSender);
        }
        if matches!(message, OneHop::Meta(meta) if meta.key_id != from.neighbour) {
            return Err(DropReason::WrongSender);
        }
        let signature = frame.header.signature.ok_or(DropReason::Unsigned)?;
        let (mode, time) = (frame.header.mode, message.time());
        let link = self.links.get(&from).ok_or(DropReason::UnknownHop)?;
        if !link.is_newer(mode, time) {
            return Err(DropReason::StaleOneHop);
        }
        if matches!(message, OneHop::Reply(echo) if !link.awaits(&echo.nonce)) {
            return Err(DropReason::UnaskedEcho);
        }
        let signed = frame.hop_signed_bytes(&link.proofs);
        let public = from.neighbour.as_bytes();
        self.verify(from, Quota::OneHop, public, &signed, &signature, now)?;
        let link = self.links.get_mut(&from).ok_or(DropReason::UnknownHop)?;
        link.note_time(mode, time);
        match message {
            OneHop::Request(echo) => self.send_echo(from, Mode::ECHO_REPLY, echo.nonce, now),
            OneHop::Reply(echo) => self.take_reply(from, &echo, arrived, now),
            OneHop::Meta(meta) => link.meta = Some(meta),
            OneHop::Custody(custody) => {
                self.tell(Event::Custody { from, frames: custody.frames().to_vec() });
            }
            OneHop::Known(request) => self.hear_known(from.neighbour, request.addresses(), now),
        }
        Ok(())
    }

    fn take_reply(&mut self, from: Hop, echo: &Echo, arrived: Timestamp, now: Now) {
        let Some(link) = self.links.get_mut(&from) else { return };
        let first = link.live_since.is_none();
        let Some((asked, rtt, changed)) = link.note_reply(&echo.nonce, arrived) else { return };
        let voted = echo.wall_time >= self.config.build_time;
        let answered = now.wall.shifted(-micros(now.at.since(asked + rtt / 2)));
        link.clock_offset = voted.then(|| echo.wall_time.ahead_of(answered));
        self.clock.observe(from.neighbour, link.dialed, echo.wall_time, asked, rtt);
        self.tell_skew(now);
        if first {
            self.resend(from, now);
            self.begin_scope(from, now);
        }
        if changed {
            tracing::info!(link = from.link.0, neighbour = %from.neighbour.short(), "link is live");
            self.events.link_is_live(from);
            self.reselect_over(from, now);
        }
        self.watch_link(from, now);
    }

    /// Tells once that the clocks are far apart, and again after they agreed.
    fn tell_skew(&mut self, now: Now) {
        let skew = self.clock.skew(now);
        if let Some(correction) = skew.filter(|_| !self.skew_told) {
            let off = Duration::from_micros(correction.unsigned_abs());
            self.tell(Event::ClockSkew { off, ahead: correction < 0 });
        }
        self.skew_told = skew.is_some();
    }

    /// Sends an echo request or its reply.
    pub(super) fn send_echo(&mut self, hop: Hop, mode: Mode, nonce: [u8; 8], now: Now) {
        let corrected = self.clock.corrected(now);
        let Some(link) = self.links.get_mut(&hop) else { return };
        let echo = Echo { time: link.stamp(corrected), nonce, wall_time: self.clock.told(now) };
        self.send_one_hop(hop, mode, &echo.encode());
    }

    /// Tells a neighbour about ourselves.
    pub(super) fn send_router_meta(&mut self, hop: Hop, now: Now) {
        let corrected = self.clock.corrected(now);
        let known_peers = u32::try_from(self.neighbours.linked()).unwrap_or(u32::MAX);
        let Some(link) = self.links.get_mut(&hop) else { return };
        let time = link.stamp(corrected);
        let meta = RouterMeta { time, key_id: self.id, available_buffer: None, known_peers };
        self.send_one_hop(hop, Mode::ROUTER_META, &meta.encode());
        self.timers.set(Timer::RouterMeta(hop), now.at + META_INTERVAL);
    }

    /// Tells the neighbour behind a hop that we answer for frames from now on that came over it, in as many frames as the link's MTU makes
    /// of it. Nothing is sent where the hop is gone.
    pub fn send_custody(&mut self, hop: Hop, frames: &[FrameId], now: Now) {
        self.now = now;
        let corrected = self.clock.corrected(now);
        let room = self.links.get(&hop).map(|link| Custody::room(link.mtu));
        let Some(room) = room.filter(|room| *room > 0) else { return };
        for names in frames.chunks(room) {
            let Some(link) = self.links.get_mut(&hop) else { return };
            let custody = Custody::new(link.stamp(corrected), names.to_vec());
            let mut payload = Vec::new();
            custody.expect("invariant: no chunk is empty or above the limit").encode_into(&mut payload);
            self.send_one_hop(hop, Mode::CUSTODY, &payload);
        }
    }

    fn send_one_hop(&mut self, hop: Hop, mode: Mode, payload: &[u8]) {
        self.send_one_hop_as(Class::Control, hop, mode, payload);
    }

    pub(super) fn send_one_hop_as(&mut self, class: Class, hop: Hop, mode: Mode, payload: &[u8]) {
        let Some(link) = self.links.get(&hop) else { return };
        let header = Header::new(mode, *self.id.as_bytes());
        let signature = self.key.sign(&Frame { header, payload }.hop_signed_bytes(&link.proofs));
        self.counters.signatures_made += 1;
        let header = Header { signature: Some(signature), ..header };
        self.send(hop, class, Frame { header, payload }.encode());
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
