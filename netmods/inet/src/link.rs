// SPDX-License-Identifier: AGPL-3.0-or-later
//! One link: a TCP connection whose two ends have proven their keys. Whoever sends writes; one task reads, another
//! writes what had to wait.

mod outbox;

use std::io::{self, ErrorKind};
use std::mem;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netmod_api::{DownReason, Inbox, IpProtocol, LinkUp, MAX_UNIT, Underlay};
use ratman_types::{Capacity, Hop, LinkSample, Mtu, SampleSource, Timestamp};
use ratman_wire::peering::is_peering;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{Notify, SetOnce, oneshot};
use tokio::task::yield_now;
use tracing::{debug, trace};

use crate::counters::Counters;
use crate::deframer::Deframer;
use crate::inet::NAME;
use crate::meter::{Meter, Reading, tcp_header};
use crate::outgoing::Outgoing;
use crate::path::{Bounds, Path, Sample};
use crate::peering::Proven;
use crate::socket;
use crate::tcp_info::TcpInfo;

/// Bytes that one link may read before the others of its thread have their turn: 1 ms of a fast one.
const TURN: usize = 1024 * 1024;
/// Without a byte for this long a link counts as stalled when another one of the same pair comes up: the
/// neighbour's router sends an echo every 500 ms, so three are missing (source: wire page, routes).
const STALLED: Duration = Duration::from_millis(1500);

/// A link, shared by its tasks, the table of links and whoever keeps it as an [`Outbox`](netmod_api::Outbox).
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) hop: Hop,
    pub(crate) dialed: bool,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    mtu: Mtu,
    stream: TcpStream,
    outgoing: Mutex<Outgoing>,
    meter: Mutex<Meter>,
    /// What packet trains found and nobody has asked for.
    measured: Mutex<Option<LinkSample>>,
    /// Whether the operator has chosen the size of the kernel's buffers.
    fixed_buffer: bool,
    /// What one call holds best, in bytes.
    unit: AtomicUsize,
    /// Wakes the task that writes what waits.
    waiting: Notify,
    /// Bytes of the peering that were acknowledged when the link came up.
    acked_before: u64,
    /// How often the send queue was read back; whoever reads meanwhile is refused once.
    read_back: AtomicU64,
    /// Why the link ends; set once, then the socket is shut down.
    end: SetOnce<DownReason>,
    received_frames: AtomicU64,
    /// When the last bytes came, as [`Timestamp::as_micros`].
    received_at: AtomicU64,
    counters: Arc<Counters>,
}

/// What crossed a link since it came up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    /// Bytes that left, and that came.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Whether some wait.
    pub(crate) waits: bool,
}

/// The right to keep a link idle, given back when dropped.
pub(crate) struct Hold {
    link: Arc<Link>,
    inbox: Arc<dyn Inbox>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut outgoing = self.link.lock();
        outgoing.hold(false);
        let refused = outgoing.take_refused();
        drop(outgoing);
        if refused && !self.link.is_closed() {
            self.inbox.writable(self.link.hop);
        }
    }
}

impl Link {
    pub(crate) fn new(
        stream: TcpStream,
        hop: Hop,
        dialed: bool,
        (mtu, fixed_buffer): (Mtu, bool),
        now: Timestamp,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let remote = stream.peer_addr()?;
        let meter = Mutex::new(Meter::new(remote.ip(), socket::measures_path(&stream)));
        let acked_before = socket::info(&stream).map_or(0, |info| info.acked);
        Ok(Self {
            hop,
            dialed,
            local: stream.local_addr()?,
            remote,
            mtu,
            stream,
            outgoing: Mutex::new(Outgoing::new(usize::try_from(mtu.0).unwrap_or(usize::MAX))),
            meter,
            measured: Mutex::default(),
            fixed_buffer,
            unit: AtomicUsize::new(MAX_UNIT),
            waiting: Notify::new(),
            acked_before,
            read_back: AtomicU64::new(0),
            end: SetOnce::new(),
            received_frames: AtomicU64::new(0),
            received_at: AtomicU64::new(now.as_micros()),
            counters,
        })
    }

    /// What the router is told when the link comes up.
    pub(crate) fn up(self: &Arc<Self>, proven: &Proven) -> LinkUp {
        let link = Arc::clone(self);
        LinkUp {
            hop: self.hop,
            netmod: NAME,
            outbox: link,
            mtu: self.mtu,
            dialed: self.dialed,
            local: self.local.to_string(),
            remote: self.remote.to_string(),
            proofs: proven.proofs,
        }
    }

    /// The underlay addresses without ports, ours first.
    pub(crate) fn pair(&self) -> (IpAddr, IpAddr) {
        (self.local.ip().to_canonical(), self.remote.ip().to_canonical())
    }

    pub(crate) fn is_stalled(&self, now: Timestamp) -> bool {
        now.since(Timestamp::from_micros(self.received_at.load(Ordering::Relaxed))) > STALLED
    }

    /// Ends the link; of several reasons the first counts.
    pub(crate) fn close(&self, reason: DownReason) {
        if self.end.set(reason).is_ok() {
            // Wakes the reader. It fails only if the connection is gone already, which wakes the reader too.
            let _ = SockRef::from(&self.stream).shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.end.initialized()
    }

    /// Waits until the link ends.
    pub(crate) async fn ended(&self) -> DownReason {
        *self.end.wait().await
    }

    /// Ends the link if it has not ended yet, gives its queues back though an outbox may be kept, and returns why
    /// it ended.
    pub(crate) fn end(&self, reason: DownReason) -> DownReason {
        self.close(reason);
        self.lock().discard();
        self.end.get().copied().unwrap_or(reason)
    }

    /// Reads until the link ends; afterwards nothing is said about it any more. Beside it runs [`drain`](Self::drain), which
    /// drops the sender of `drained` when it ends.
    pub(crate) async fn run(&self, inbox: &dyn Inbox, mut drained: oneshot::Receiver<()>) {
        tokio::select! {
            reason = self.read(inbox) => self.close(reason),
            // It ends with the link, whose reason then came first, or by a panic.
            _ = &mut drained => return self.close(DownReason::Failed),
        }
        // A panic in it changes nothing any more.
        let _ = drained.await;
    }

    async fn read(&self, inbox: &dyn Inbox) -> DownReason {
        let mut deframer = Deframer::new();
        let (mut turn, mut read_back) = (0, 0);
        loop {
            if let Err(error) = self.stream.readable().await {
                return DownReason::Io(error.kind());
            }
            match self.stream.try_read(deframer.room()) {
                Ok(0) => return DownReason::ClosedByPeer,
                Ok(count) => {
                    deframer.filled(count);
                    turn += count;
                    if let Err(reason) = self.deliver(&mut deframer, inbox) {
                        return reason;
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    let times = self.read_back.load(Ordering::Relaxed);
                    if mem::replace(&mut read_back, times) == times {
                        return DownReason::Io(error.kind());
                    }
                    // It is over once the lock is free.
                    drop(self.lock());
                }
                Err(error) => return DownReason::Io(error.kind()),
            }
            if turn >= TURN {
                turn = 0;
                yield_now().await;
            }
        }
    }

    /// Hands all complete frames to the inbox in one call.
    fn deliver(&self, deframer: &mut Deframer, inbox: &dyn Inbox) -> Result<(), DownReason> {
        let arrived = inbox.now();
        self.received_at.store(arrived.as_micros(), Ordering::Relaxed);
        let (frames, result) = deframer.take();
        if !frames.is_empty() {
            let (mut received, mut stray) = (0, 0);
            let mut welcome = frames.filter(|frame| {
                received += 1;
                let own = is_peering(frame);
                stray += usize::from(own);
                !own
            });
            inbox.receive(self.hop, arrived, &mut welcome);
            welcome.by_ref().for_each(drop);
            self.received_frames.fetch_add(received, Ordering::Relaxed);
            self.counters.stray_peering_frames.add(stray);
            trace!(received, stray, "frames");
        }
        result.map_err(|bad| {
            self.counters.bad_framing.add(1);
            DownReason::BadFraming { length: bad.0 }
        })
    }

    /// Writes what waits whenever the socket has room and says when data is taken again, until the link ends.
    ///
    /// No wake-up is lost: only this task writes what waits and asks a full socket again, and whether it has to, whether data
    /// was refused and the permit of `waiting` change together under the lock.
    pub(crate) async fn drain(self: Arc<Self>, inbox: Arc<dyn Inbox>) {
        let (mut path, mut bounds, mut waited) = (Path::default(), Bounds::NONE, Duration::ZERO);
        while !self.is_closed() {
            tokio::select! {
                () = self.waiting.notified() => {}
                _ = self.end.wait() => return,
            }
            let since = inbox.now();
            while self.flush(&*inbox) {
                let now = inbox.now();
                self.learn(&mut path, &mut bounds, now, waited + now.since(since));
                tokio::select! {
                    writable = self.stream.writable() => if let Err(error) = writable {
                        return self.close(DownReason::Io(error.kind()));
                    },
                    _ = self.end.wait() => return,
                }
            }
            waited += inbox.now().since(since);
        }
    }

    /// Gives the kernel as much as the path carries, asked while something waits, since an idle link says nothing;
    /// `waited` is how long something has waited in all.
    fn learn(&self, path: &mut Path, bounds: &mut Bounds, now: Timestamp, waited: Duration) {
        if !path.wants_sample(now) {
            return;
        }
        let Some(info) = socket::info(&self.stream) else { return };
        let TcpInfo { acked, busy, rtt, min_rtt, .. } = info;
        let sample = Sample { at: now, acked, busy, rtt, min_rtt };
        let found = path.sample(sample);
        // What our own bound lets through is no capacity.
        if !path.is_in_doubt() {
            self.meter().full(Reading { at: now, waited, info });
        }
        trace!(?sample, ?found, "path");
        if found == *bounds {
            return;
        }
        *bounds = found;
        if let Err(error) = socket::bound(&self.stream, found, self.fixed_buffer) {
            debug!(%error, "the kernel does not let us bound what it holds");
        }
        self.unit.store(found.unit, Ordering::Relaxed);
        self.lock().set_writes(found.writes);
    }

    /// What the connection tells about the link, if the kernel tells.
    pub(crate) fn sample(&self, now: Timestamp) -> Option<LinkSample> {
        let info = socket::info(&self.stream)?;
        Some(self.meter().report(now, info))
    }

    /// When the connection told a capacity last.
    pub(crate) fn told_capacity(&self) -> Option<Timestamp> {
        self.meter().told()
    }

    /// What packet trains found since it was asked last.
    pub(crate) fn train_sample(&self) -> Option<LinkSample> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps what packet trains found.
    pub(crate) fn set_measured(&self, now: Timestamp, capacity: Capacity) {
        let sample = LinkSample { capacity: Some(capacity), ..LinkSample::new(now, SampleSource::Train) };
        *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
    }

    /// What crossed the link so far; nothing where the kernel does not tell.
    pub(crate) fn carried(&self) -> Option<Carried> {
        let TcpInfo { sent, received, .. } = socket::info(&self.stream)?;
        Some(Carried { sent, received, waits: self.lock().is_busy() })
    }

    /// Takes no data until what this returns is dropped; control goes on.
    pub(crate) fn hold(self: &Arc<Self>, inbox: Arc<dyn Inbox>) -> Hold {
        self.lock().hold(true);
        Hold { link: Arc::clone(self), inbox }
    }

    /// Whether everything that was sent has been acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        let Some(info) = socket::info(&self.stream) else { return false };
        info.in_flight == 0 && info.unsent == 0 && !self.lock().waits()
    }

    /// The smoothed round trip of the connection, queues included.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        socket::info(&self.stream).map(|info| info.rtt)
    }

    /// The largest packet above IP that the path takes whole, in bytes, as TCP found.
    pub(crate) fn segment(&self) -> Option<u32> {
        let info = socket::info(&self.stream)?;
        Some(info.segment.saturating_add(tcp_header(&info)))
    }

    /// The conversation that carries the link.
    pub(crate) fn underlay(&self) -> Underlay {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Underlay { local: canonical(self.local), remote: canonical(self.remote), protocol: IpProtocol::TCP }
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        // What a panic left behind is at worst a window that ends early.
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(|poisoned| {
            // What waits may not be what the wire lacks, so nothing may follow on this connection. An empty queue
            // is valid whatever was there before.
            self.close(DownReason::Failed);
            let mut outgoing = poisoned.into_inner();
            outgoing.discard();
            outgoing
        })
    }
}

#[cfg(test)]
mod tests;
