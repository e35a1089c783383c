// SPDX-License-Identifier: AGPL-3.0-or-later
//! From the TUN device into the mesh: drain a queue of the device, decide about all packets with the flow table locked
//! once, and hand those for one remote together to the link that leads there, which seals them where they lie.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway_core::drop_reason::GatewayDrop;
use gateway_core::icmp::Unreachable;
use gateway_core::offload::VirtioNetHeader;
use gateway_core::packet::{Direction, PacketInfo};
use gateway_core::pending::Awaited;
use gateway_core::remotes::{Lookup, Remotes};
use gateway_core::session::{Sealed, SessionDrop, SessionTable};
use gateway_tun::IoError;
use ratman_types::{Address, Mtu, Timestamp};
use ratman_wire::session::RecordHeader;

use super::batch::{Batch, Gathered, Run};
use super::rule_log::RuleLog;
use super::small_path::is_small;
use super::{DataHalf, Held, TARGET};
use crate::egress::{Egress, OwnPackets, Seal, records};
use crate::ways::Snapshot;

/// How many bytes are sent before other tasks of the thread, such as link readers, get their turn.
const TURN: usize = 1024 * 1024;

/// The pause after a read that failed for another reason than that nothing was there.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

/// Batches that are read in a row before anything is sent: more than the device holds of large packets where their senders
/// wait for acknowledgements, and few enough not to keep the link waiting.
const AHEAD: usize = 64;

/// Why a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    /// Nothing more is there.
    All,
    /// The batch is large enough; more may be there.
    Enough,
    /// The kernel did not hand over a packet.
    Failed,
}

/// What one reading task works with, made once.
#[derive(Debug)]
struct Reader {
    queue: u8,
    batch: Batch,
    /// Links for which packets wait that could go now.
    touched: Vec<Arc<Egress>>,
    since_yield: usize,
}

/// Notes a link once.
fn touch(touched: &mut Vec<Arc<Egress>>, egress: &Arc<Egress>) {
    if !touched.iter().any(|other| Arc::ptr_eq(other, egress)) {
        touched.push(Arc::clone(egress));
    }
}

impl DataHalf {
    /// Moves packets from one queue of the device into the mesh until the device is gone.
    ///
    /// # Errors
    /// The device was deleted.
    pub async fn run(&self, queue: u8) -> io::Result<()> {
        let mut reader = Reader { queue, batch: Batch::new(), touched: Vec::new(), since_yield: 0 };
        loop {
            self.tun.readable(queue).await?;
            loop {
                let drained = self.read_all(&mut reader)?;
                // One call of each link, then the device again: what has come meanwhile may have to go first.
                let now = self.clock.now().at;
                reader.touched.retain(|egress| egress.send_next(Some(self), now));
                match drained {
                    Drained::All if reader.touched.is_empty() => break,
                    Drained::All | Drained::Enough => {}
                    // What the kernel refuses to hand over is gone; an error that stays must not spin.
                    Drained::Failed => tokio::time::sleep(FAILURE_PAUSE).await,
                }
                if reader.since_yield >= TURN {
                    reader.since_yield = 0;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Takes all that the device has, or as much as is bearable: what waits there waits in the order in which it came.
    fn read_all(&self, reader: &mut Reader) -> io::Result<Drained> {
        for _ in 0..AHEAD {
            match self.drain(reader)? {
                Drained::Enough => {}
                drained @ (Drained::All | Drained::Failed) => return Ok(drained),
            }
        }
        Ok(Drained::Enough)
    }

    /// Reads one batch, and sends it or lets it wait.
    fn drain(&self, reader: &mut Reader) -> io::Result<Drained> {
        let now = self.clock.now().at;
        let Reader { queue, batch, touched, since_yield } = reader;
        let drained = self.gather(*queue, batch, now)?;
        *since_yield += batch.len();
        let ways = self.ways.load();
        self.admit_outbound(*queue, batch, &ways, now);
        if let Some(waits) = self.queue_large(batch, &ways, now) {
            touch(touched, waits);
            return Ok(drained);
        }
        batch.runs(|run| {
            if self.waiting.holds(&run.remote) {
                self.wait_all(&run.remote, run.records, *queue, now);
            } else if let Some(waits) = self.send_run(run, *queue, &ways, self, now) {
                touch(touched, waits);
            }
        });
        Ok(drained)
    }

    /// Lets a large packet wait in its buffer, so that whatever stands behind it in the device is looked at before it
    /// goes; the link that it waits for.
    fn queue_large<'a>(
        &self,
        batch: &mut Batch,
        ways: &'a Snapshot,
        now: Timestamp,
    ) -> Option<&'a Arc<Egress>> {
        let (buffer, packet) = batch.large()?;
        let (egress, path) = self.way_to(ways, &packet.remote)?;
        if is_small(path, self.tun_mtu) || self.waiting.holds(&packet.remote) {
            return None;
        }
        egress.queue_large(packet.remote, packet.flow?, buffer, packet.record_len(), now);
        Some(egress)
    }

    fn gather(&self, queue: u8, batch: &mut Batch, now: Timestamp) -> io::Result<Drained> {
        batch.clear();
        let remotes = self.remotes.load();
        while !batch.is_enough() {
            let received = match self.tun.try_recv(queue, batch.room()) {
                Ok(received) => received,
                // While the interface is down nothing is read; it is readable again when it comes up.
                Err(IoError::WouldBlock | IoError::Down) => return Ok(Drained::All),
                Err(IoError::Gone) => return Err(io::Error::other("the TUN device was deleted")),
                Err(error) => {
                    tracing::debug!(target: TARGET, %error, "a packet could not be read");
                    self.read_failures.fetch_add(1, Ordering::Relaxed);
                    return Ok(Drained::Failed);
                }
            };
            let packet = batch.read(&received);
            match self.find_remote(&remotes, packet, &received.header, queue, now) {
                Ok(Some((info, remote))) => batch.keep(&received, info, remote),
                Ok(None) => {}
                Err(reason) => self.dropped_outbound(reason),
            }
        }
        Ok(Drained::Enough)
    }

    /// To which remote a packet goes; nothing if it waits or was answered.
    fn find_remote(
        &self,
        remotes: &Remotes,
        packet: &[u8],
        header: &VirtioNetHeader,
        queue: u8,
        now: Timestamp,
    ) -> Result<Option<(PacketInfo, Address)>, GatewayDrop> {
        let info = PacketInfo::parse(packet)?;
        match remotes.lookup(info.destination) {
            Lookup::Remote(remote) => Ok(Some((info, remote))),
            Lookup::UnknownOverlay => {
                if let IpAddr::V6(overlay) = info.destination {
                    self.wait(Awaited::Overlay(overlay), Held { header: *header, queue }, packet, now);
                }
                Ok(None)
            }
            Lookup::NoRoute => {
                self.answer_unreachable(packet, Unreachable::NoRoute, queue, now);
                Err(GatewayDrop::NoRoute)
            }
        }
    }

    /// Asks the gate about all packets of a batch, under one lock.
    fn admit_outbound(&self, queue: u8, batch: &mut Batch, ways: &Snapshot, now: Timestamp) {
        let mut log = RuleLog::new(Direction::Outbound);
        let mut gate = self.gate();
        for (packet, bytes) in batch.packets_mut() {
            let Gathered { header, info, remote, .. } = *packet;
            let verdict = gate.outbound(&info, bytes, remote, queue, now);
            log.note(&verdict, gate.flows.firewall(), remote, &info);
            match verdict {
                Ok(passed) => {
                    self.clamp(ways, &remote, &header, bytes, &info);
                    packet.flow = Some(passed.hash);
                }
                Err(denied) => self.dropped_outbound(denied.reason),
            }
        }
        drop(gate);
        log.write();
    }

    /// Sends a run over the way to its remote, sealed by `sealer`; where there is no way, its packets wait. The link for which
    /// packets wait now, if any: [`Egress::send_next`] is to be called.
    pub(super) fn send_run<'a>(
        &self,
        run: Run<'_>,
        queue: u8,
        ways: &'a Snapshot,
        sealer: &dyn Seal,
        now: Timestamp,
    ) -> Option<&'a Arc<Egress>> {
        let Some((egress, path)) = self.way_to(ways, &run.remote) else {
            self.wait_all(&run.remote, run.records, queue, now);
            return None;
        };
        let waits = if is_small(path, self.tun_mtu) {
            self.send_over_small_path((egress, path), run, queue, sealer, now)
        } else {
            let Run { remote, records, flows, .. } = run;
            egress.send_packets(OwnPackets { remote, records, flows }, sealer, now)
        };
        waits.then_some(egress)
    }

    /// Lets packets wait for a route or a key of their remote.
    fn wait_all(&self, remote: &Address, batch: &[u8], queue: u8, now: Timestamp) {
        for record in records(batch) {
            let Some((header, packet)) = record.split_first_chunk() else { continue };
            let Ok(header) = RecordHeader::decode(header) else { continue };
            let held = Held { header: VirtioNetHeader::from_wire(header.metadata), queue };
            self.wait(Awaited::Remote(*remote), held, packet, now);
        }
    }

    /// Lets a packet wait, in place of older ones where there are too many.
    pub(super) fn wait(&self, awaited: Awaited, held: Held, packet: &[u8], now: Timestamp) {
        for _ in 0..self.waiting.enter(awaited, held, packet, now) {
            self.drops.count(GatewayDrop::WaitingFull);
        }
    }

    fn dropped_outbound(&self, reason: GatewayDrop) {
        tracing::trace!(target: TARGET, %reason, "packet of ours dropped");
        self.drops.count(reason);
    }
}

/// Seals with the keys of one table.
#[derive(Debug)]
pub(super) struct Sealer<'a> {
    pub(super) data: &'a DataHalf,
    pub(super) sessions: &'a SessionTable,
}

impl Seal for Sealer<'_> {
    fn seal(
        &self,
        remote: &Address,
        records: &mut [u8],
        link: Mtu,
        now: Timestamp,
        out: &mut Sealed,
    ) -> Result<(), SessionDrop> {
        let key = self.sessions.send_key(remote).ok_or(SessionDrop::KeyExpired)?;
        let ways = self.data.ways.load();
        let path = self.data.way_to(&ways, remote).map_or(link, |(_, path)| path.min(link));
        key.seal(records, path, now, out)
    }

    fn not_sealed(&self, remote: &Address, records: &[u8], why: SessionDrop) {
        if matches!(why, SessionDrop::KeyExpired | SessionDrop::CounterExhausted) {
            return self.data.wait_all(remote, records, 0, self.data.clock.now().at);
        }
        tracing::trace!(target: TARGET, remote = %remote.short(), reason = %why, "batch dropped");
        let packets = u64::try_from(crate::egress::records(records).count()).unwrap_or(u64::MAX);
        self.sessions.drops().add(why, packets);
    }
}

/// Seals with the keys of the moment.
impl Seal for DataHalf {
    fn seal(
        &self,
        remote: &Address,
        records: &mut [u8],
        link: Mtu,
        now: Timestamp,
        out: &mut Sealed,
    ) -> Result<(), SessionDrop> {
        Sealer { data: self, sessions: &self.sessions.load() }.seal(remote, records, link, now, out)
    }

    fn not_sealed(&self, remote: &Address, records: &[u8], why: SessionDrop) {
        Sealer { data: self, sessions: &self.sessions.load() }.not_sealed(remote, records, why);
    }
}
