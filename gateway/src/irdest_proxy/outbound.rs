// SPDX-License-Identifier: AGPL-3.0-or-later
//! From the TUN device into the mesh: drain the device, decide about each packet, seal all that go to one remote
//! together where they were read, and send their frames with one call.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway_core::drop_reason::GatewayDrop;
use gateway_core::icmp::Unreachable;
use gateway_core::offload::VirtioNetHeader;
use gateway_core::packet::{Direction, PacketInfo};
use gateway_core::pending::Awaited;
use gateway_core::remotes::{Lookup, Remotes};
use gateway_core::session::{Piece, Sealed, SendKey, SessionDrop};
use gateway_tun::{IoError, RECV_BUFFER, Received};
use netmod_api::{Class, FrameParts, MAX_UNIT, Outbox};
use ratman_types::{Address, Mtu, Timestamp};
use ratman_wire::session::RecordHeader;

use super::{DataHalf, TARGET, Wait};

/// Stop gathering at this many bytes: beyond 16 KiB sealing gets no cheaper per byte (measured), and waiting for
/// more would only add latency.
const ENOUGH_BYTES: usize = 16 * 1024;

/// Stop gathering at this many packets, for the same reason.
const ENOUGH_PACKETS: usize = 64;

/// Frames handed to an outbox in one call.
const FRAMES_PER_SEND: usize = 64;

/// How many bytes are sent before other tasks of the thread, such as link readers, get their turn.
const TURN: usize = 1024 * 1024;

/// The pause after a read that failed for another reason than that nothing was there.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

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

/// Packets to the same remote that lie side by side.
#[derive(Clone, Copy, Debug)]
struct Run {
    remote: Address,
    end: usize,
}

/// The buffers of one reading thread, made once.
#[derive(Debug)]
pub(super) struct Batch {
    /// Records as they are sealed: length 2 ‖ virtio-net metadata 10 ‖ packet.
    buffer: Box<[u8]>,
    len: usize,
    packets: usize,
    runs: [Option<Run>; ENOUGH_PACKETS],
    run_count: usize,
    sealed: Sealed,
}

impl Batch {
    pub(super) fn new() -> Self {
        let capacity = ENOUGH_BYTES + RecordHeader::LEN + RECV_BUFFER;
        Self {
            buffer: vec![0; capacity].into_boxed_slice(),
            len: 0,
            packets: 0,
            runs: [None; ENOUGH_PACKETS],
            run_count: 0,
            sealed: Sealed::new(),
        }
    }

    fn clear(&mut self) {
        (self.len, self.packets, self.run_count) = (0, 0, 0);
    }

    fn is_enough(&self) -> bool {
        self.len >= ENOUGH_BYTES || self.packets >= ENOUGH_PACKETS
    }

    /// Where the next packet is read to: behind the room for its record header.
    fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.len + RecordHeader::LEN..]
    }

    fn read(&self, received: &Received) -> &[u8] {
        &self.buffer[self.len + RecordHeader::LEN..][..received.len]
    }

    /// Keeps the packet that was just read into [`room`](Self::room).
    fn keep(&mut self, remote: Address, received: &Received) {
        let length = u16::try_from(received.len).expect("the kernel hands over packets below 64 KiB");
        let header = RecordHeader { length, metadata: received.header.to_wire() }.encode();
        self.buffer[self.len..self.len + RecordHeader::LEN].copy_from_slice(&header);
        self.len += RecordHeader::LEN + received.len;
        self.packets += 1;
        match self.run_count.checked_sub(1).and_then(|last| self.runs[last].as_mut()) {
            Some(run) if run.remote == remote => run.end = self.len,
            Some(_) | None => {
                self.runs[self.run_count] = Some(Run { remote, end: self.len });
                self.run_count += 1;
            }
        }
    }
}

impl DataHalf {
    /// Moves packets from the device into the mesh until the device is gone.
    ///
    /// # Errors
    /// The device was deleted.
    pub async fn run(&self) -> io::Result<()> {
        let mut batch = Batch::new();
        let mut since_yield = 0;
        loop {
            self.tun.readable(0).await?;
            loop {
                match self.drain(&mut batch)? {
                    Drained::All => break,
                    Drained::Enough => {}
                    // What the kernel refuses to hand over is gone; an error that stays must not spin.
                    Drained::Failed => tokio::time::sleep(FAILURE_PAUSE).await,
                }
                since_yield += batch.len;
                if since_yield >= TURN {
                    since_yield = 0;
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Reads and sends one batch.
    fn drain(&self, batch: &mut Batch) -> io::Result<Drained> {
        let now = self.clock.now().at;
        let drained = self.gather(batch, now)?;
        let mut start = 0;
        for index in 0..batch.run_count {
            let Some(Run { remote, end }) = batch.runs[index] else { break };
            self.send_run(remote, &mut batch.buffer[start..end], &mut batch.sealed, now);
            start = end;
        }
        Ok(drained)
    }

    fn gather(&self, batch: &mut Batch, now: Timestamp) -> io::Result<Drained> {
        batch.clear();
        let remotes = self.remotes.load();
        while !batch.is_enough() {
            let received = match self.tun.try_recv(0, batch.room()) {
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
            match self.admit_outbound(&remotes, batch.read(&received), &received.header, now) {
                Ok(Some(remote)) => batch.keep(remote, &received),
                Ok(None) => {}
                Err(reason) => {
                    tracing::trace!(target: TARGET, %reason, "packet of ours dropped");
                    self.drops.count(reason);
                }
            }
        }
        Ok(Drained::Enough)
    }

    /// To which remote a packet goes at once; nothing if it waits or was answered.
    fn admit_outbound(
        &self,
        remotes: &Remotes,
        packet: &[u8],
        header: &VirtioNetHeader,
        now: Timestamp,
    ) -> Result<Option<Address>, GatewayDrop> {
        let info = PacketInfo::parse(packet)?;
        match remotes.lookup(info.destination) {
            Lookup::Remote(remote) => {
                self.ask_flows(&info, packet, (remote, Direction::Outbound), now)?;
                Ok(Some(remote))
            }
            Lookup::UnknownOverlay => {
                if let core::net::IpAddr::V6(overlay) = info.destination {
                    self.wait(Awaited::Overlay(overlay), *header, packet);
                }
                Ok(None)
            }
            Lookup::NoRoute => {
                self.answer_unreachable(packet, Unreachable::NoRoute, now);
                Err(GatewayDrop::NoRoute)
            }
        }
    }

    fn send_run(&self, remote: Address, records: &mut [u8], sealed: &mut Sealed, now: Timestamp) {
        let (sessions, ways) = (self.sessions.load(), self.ways.load());
        let sent = match (sessions.send_key(&remote), ways.to(&remote)) {
            (Some(key), Some((outbox, mtu))) => {
                self.seal_and_send(key, outbox.as_ref(), mtu, records, sealed, now)
            }
            (None, _) | (_, None) => false,
        };
        if !sent {
            self.wait_all(remote, records);
        }
    }

    /// Whether the records were dealt with; otherwise they are unchanged and wait for a new key.
    pub(super) fn seal_and_send(
        &self,
        key: &SendKey,
        outbox: &dyn Outbox,
        mtu: Mtu,
        records: &mut [u8],
        sealed: &mut Sealed,
        now: Timestamp,
    ) -> bool {
        match key.seal(records, mtu, now, sealed) {
            Ok(()) => {
                send_pieces(outbox, sealed.pieces(records));
                true
            }
            Err(SessionDrop::KeyExpired | SessionDrop::CounterExhausted) => false,
            Err(reason) => {
                tracing::trace!(target: TARGET, remote = %key.remote().short(), %reason, "batch dropped");
                self.sessions.load().drops().count(reason);
                true
            }
        }
    }

    fn wait_all(&self, remote: Address, records: &[u8]) {
        let mut rest = records;
        while let Some((start, tail)) = rest.split_first_chunk::<{ RecordHeader::LEN }>() {
            let Ok(header) = RecordHeader::decode(start) else { break };
            let Some((packet, next)) = tail.split_at_checked(usize::from(header.length)) else { break };
            self.wait(Awaited::Remote(remote), VirtioNetHeader::from_wire(header.metadata), packet);
            rest = next;
        }
    }

    fn wait(&self, awaited: Awaited, header: VirtioNetHeader, packet: &[u8]) {
        // A place first: a full queue must not cost an allocation per packet.
        match self.waits.try_reserve() {
            Ok(place) => place.send(Wait { awaited, header, packet: packet.to_vec() }),
            Err(_) => self.drops.count(GatewayDrop::WaitingFull),
        }
    }
}

fn send_pieces<'a>(outbox: &dyn Outbox, pieces: impl Iterator<Item = Piece<'a>>) {
    let mut frames = [FrameParts::default(); FRAMES_PER_SEND];
    let (mut len, mut bytes) = (0, 0);
    for Piece { head, body, tail } in pieces {
        let frame = FrameParts { head, body, tail };
        if len == FRAMES_PER_SEND || bytes + frame.len() > MAX_UNIT {
            outbox.send(Class::Data, &frames[..len]);
            (len, bytes) = (0, 0);
        }
        frames[len] = frame;
        len += 1;
        bytes += frame.len();
    }
    if len > 0 {
        outbox.send(Class::Data, &frames[..len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(batch: &mut Batch, remote: u8, packet: &[u8]) {
        batch.room()[..packet.len()].copy_from_slice(packet);
        let received = Received { header: VirtioNetHeader::NONE, len: packet.len() };
        assert_eq!(batch.read(&received), packet);
        batch.keep(Address::from_bytes([remote; 32]), &received);
    }

    #[test]
    fn packets_of_one_remote_lie_side_by_side_as_records() {
        let mut batch = Batch::new();
        for (remote, packet) in [(1, &b"first"[..]), (1, b"second"), (2, b"third"), (1, b"fourth")] {
            read(&mut batch, remote, packet);
        }
        let runs: Vec<_> =
            batch.runs[..batch.run_count].iter().flatten().map(|run| (run.remote, run.end)).collect();
        let remote = |number| Address::from_bytes([number; 32]);
        assert_eq!(runs, [(remote(1), 35), (remote(2), 52), (remote(1), 70)]);
        assert_eq!(batch.buffer[..2], [0, 5]);
        assert_eq!(&batch.buffer[12..17], b"first");
        assert_eq!(&batch.buffer[29..35], b"second");
        batch.clear();
        read(&mut batch, 3, b"next");
        assert_eq!((batch.run_count, batch.len), (1, 16));
    }

    #[test]
    fn a_batch_ends_before_its_buffer_does() {
        let mut batch = Batch::new();
        let mut packets = 0;
        while !batch.is_enough() {
            assert!(batch.room().len() >= RECV_BUFFER, "the largest packet must fit");
            read(&mut batch, u8::try_from(packets).unwrap(), &[0; 100]);
            packets += 1;
        }
        assert_eq!((packets, batch.run_count), (ENOUGH_PACKETS, ENOUGH_PACKETS));
        batch.clear();
        read(&mut batch, 1, &[0; ENOUGH_BYTES - 20]);
        assert!(!batch.is_enough());
        assert!(batch.room().len() >= RECV_BUFFER);
        read(&mut batch, 1, &[0; 65_535]);
        assert!(batch.is_enough());
    }
}
