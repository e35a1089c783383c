// SPDX-License-Identifier: AGPL-3.0-or-later
//! The way out over a link, as the router has it.

use std::io::{self, ErrorKind, IoSlice};
use std::sync::Once;
use std::sync::atomic::Ordering;

use netmod_api::{Activity, Class, DownReason, FrameParts, Inbox, Outbox, Sent};
use ratman_types::Mtu;
use ratman_wire::ModeClass;
use ratman_wire::carrier::peek_mode;
use ratman_wire::peering::MAX_PEERING_FRAME;
use tracing::debug;

use super::Link;
use crate::outgoing::{Outgoing, Unacknowledged};
use crate::{repair, socket};

/// The bytes of a peering in one direction, at most: they may be unacknowledged when the link comes up.
const PEERING: usize = 4 * MAX_PEERING_FRAME;
/// That the send queue cannot be read back is the same for every link, and said once.
static TOLD: Once = Once::new();

impl Outbox for Link {
    fn mtu(&self) -> Mtu {
        self.mtu
    }

    fn send(&self, class: Class, frames: &[FrameParts<'_>]) -> Sent {
        let mut outgoing = self.lock();
        let waited = outgoing.waits();
        let sent = self.write(&mut outgoing, class, frames);
        if !waited && outgoing.waits() {
            self.waiting.notify_one();
        }
        drop(outgoing);
        if sent.dropped > 0 {
            self.counters.dropped_frames.add(sent.dropped);
        }
        sent
    }

    fn ready(&self) -> bool {
        let mut outgoing = self.lock();
        let busy = outgoing.is_busy();
        let ready = !self.is_closed() && outgoing.ready_if(|| socket::has_room(&self.stream));
        if !busy && outgoing.is_busy() {
            self.waiting.notify_one();
        }
        ready
    }

    fn unit(&self) -> usize {
        self.unit.load(Ordering::Relaxed)
    }

    fn unacknowledged(&self, take: &mut dyn FnMut(&[u8])) {
        let outgoing = self.lock();
        if self.is_closed() {
            return;
        }
        let read = self.read_back(&outgoing);
        drop(outgoing);
        match read {
            Ok(unacknowledged) => unacknowledged.frames().filter(|frame| !is_one_hop(frame)).for_each(take),
            Err(error) => TOLD.call_once(|| {
                debug!(%error, "the kernel does not tell what a stalled link holds; it needs CAP_NET_ADMIN to ask");
            }),
        }
    }

    fn activity(&self) -> Activity {
        // Asks the kernel, so not while a sender waits; and first, so that never more is acknowledged than sent.
        let acked_bytes = socket::info(&self.stream).map(|info| info.acked);
        let outgoing = self.lock();
        Activity {
            sent_bytes: outgoing.written(),
            received_frames: self.received_frames.load(Ordering::Relaxed),
            acked_bytes,
            queued_bytes: u64::try_from(outgoing.waiting()).unwrap_or(u64::MAX),
            dropped: outgoing.dropped(),
        }
    }
}

impl Link {
    fn write(&self, outgoing: &mut Outgoing, class: Class, frames: &[FrameParts<'_>]) -> Sent {
        if self.is_closed() {
            return outgoing.drop_frames(frames.len());
        }
        let sparing = outgoing.at_once() < usize::MAX;
        match outgoing
            .send(class, frames, |slices: &[IoSlice<'_>]| socket::write(&self.stream, slices, sparing))
        {
            Ok(sent) => sent,
            Err(error) => {
                self.close(DownReason::Io(error.kind()));
                outgoing.drop_frames(frames.len())
            }
        }
    }

    /// Writes what the socket takes and says so when that was everything; whether it has to be waited for afterwards.
    pub(super) fn flush(&self, inbox: &dyn Inbox) -> bool {
        let mut outgoing = self.lock();
        let sparing = outgoing.at_once() < usize::MAX;
        if let Err(error) =
            outgoing.flush(|slices: &[IoSlice<'_>]| socket::write(&self.stream, slices, sparing))
        {
            self.close(DownReason::Io(error.kind()));
        }
        if self.is_closed() {
            return false;
        }
        outgoing.ask_again(|| socket::has_room(&self.stream));
        let told = outgoing.take_refused();
        let busy = outgoing.is_busy();
        drop(outgoing);
        if told {
            inbox.writable(self.hop);
        }
        busy
    }

    /// The bytes that the kernel holds, read back under the lock, and what waits beside them.
    fn read_back(&self, outgoing: &Outgoing) -> io::Result<Unacknowledged> {
        let acked = socket::info(&self.stream).ok_or(ErrorKind::Unsupported)?.acked;
        let written = outgoing.written().saturating_sub(acked.saturating_sub(self.acked_before));
        let most = usize::try_from(written).unwrap_or(usize::MAX).saturating_add(PEERING);
        self.read_back.fetch_add(1, Ordering::Relaxed);
        repair::unacknowledged(&self.stream, most).map(|bytes| outgoing.unacknowledged(bytes))
    }
}

fn is_one_hop(frame: &[u8]) -> bool {
    peek_mode(frame).is_some_and(|mode| mode.class() == ModeClass::OneHop)
}
