// SPDX-License-Identifier: AGPL-3.0-or-later
//! What one reading task gathers from the TUN device before it goes on: packets as they will be sealed, one record behind
//! the other in one buffer, and what was found out about each.

use gateway_core::offload::VirtioNetHeader;
use gateway_core::packet::PacketInfo;
use gateway_tun::{RECV_BUFFER, Received};
use ratman_types::Address;
use ratman_wire::session::RecordHeader;

use crate::egress::WHOLE;

/// Stop gathering at this many bytes: beyond 16 KiB sealing gets no cheaper per byte (measured), and waiting for
/// more would only add latency.
const ENOUGH_BYTES: usize = WHOLE - RecordHeader::LEN - RECV_BUFFER;

/// From this size on a packet is not copied when it has to wait.
const LARGE: usize = 8 * 1024;

/// Stop gathering at this many packets, for the same reason.
pub(super) const ENOUGH_PACKETS: usize = 64;

/// One packet of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathered {
    /// Where its record starts in the buffer.
    start: usize,
    /// Where its packet ends.
    end: usize,
    /// What the kernel left undone.
    pub(super) header: VirtioNetHeader,
    /// What its headers say.
    pub(super) info: PacketInfo,
    /// Where it goes.
    pub(super) remote: Address,
    /// The hash of its flow, once the flow table has let it pass.
    pub(super) flow: Option<u64>,
}

impl Gathered {
    /// A packet that is a batch by itself and has passed.
    pub(super) fn alone(
        record: &[u8],
        (header, info): (VirtioNetHeader, PacketInfo),
        remote: Address,
        flow: u64,
    ) -> Self {
        Self { start: 0, end: record.len(), header, info, remote, flow: Some(flow) }
    }

    /// Bytes of its record.
    pub(super) fn record_len(&self) -> usize {
        self.end - self.start
    }
}

/// The buffers of one reading task, made once.
#[derive(Debug)]
pub(super) struct Batch {
    /// Records as they are sealed: length 2 ‖ virtio-net metadata 10 ‖ packet.
    buffer: Box<[u8]>,
    packets: Vec<Gathered>,
    /// The hashes of a run's flows.
    flows: Vec<u64>,
    len: usize,
}

/// Packets that lie side by side and go to one remote.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// The remote.
    pub(super) remote: Address,
    /// Their records.
    pub(super) records: &'a mut [u8],
    /// What was found out about each.
    pub(super) packets: &'a [Gathered],
    /// The hashes of their flows.
    pub(super) flows: &'a [u64],
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; WHOLE].into_boxed_slice(),
            packets: Vec::with_capacity(ENOUGH_PACKETS),
            flows: Vec::with_capacity(ENOUGH_PACKETS),
            len: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.packets.clear();
        self.len = 0;
    }

    /// Bytes gathered.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_enough(&self) -> bool {
        self.len >= ENOUGH_BYTES || self.packets.len() >= ENOUGH_PACKETS
    }

    /// Where the next packet is read to: behind the room for its record header.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.len + RecordHeader::LEN..]
    }

    /// The packet that was just read into [`room`](Self::room).
    pub(super) fn read(&mut self, received: &Received) -> &mut [u8] {
        &mut self.buffer[self.len + RecordHeader::LEN..][..received.len]
    }

    /// Keeps the packet that was just read.
    pub(super) fn keep(&mut self, received: &Received, info: PacketInfo, remote: Address) {
        let start = self.len;
        let length = u16::try_from(received.len).expect("the kernel hands over packets below 64 KiB");
        let header = RecordHeader { length, metadata: received.header.to_wire() }.encode();
        self.buffer[start..start + RecordHeader::LEN].copy_from_slice(&header);
        self.len = start + RecordHeader::LEN + received.len;
        let packet = Gathered { start, end: self.len, header: received.header, info, remote, flow: None };
        self.packets.push(packet);
    }

    /// Every packet, to be decided about.
    pub(super) fn packets_mut(&mut self) -> impl Iterator<Item = (&mut Gathered, &mut [u8])> {
        let Self { buffer, packets, .. } = self;
        let mut rest = &mut buffer[..self.len];
        packets.iter_mut().map(move |packet| {
            let (record, behind) = std::mem::take(&mut rest).split_at_mut(packet.record_len());
            rest = behind;
            (packet, &mut record[RecordHeader::LEN..])
        })
    }

    /// The buffer and the one packet in it that passed, if it is the only one and large: it may wait where it lies.
    pub(super) fn large(&mut self) -> Option<(&mut Box<[u8]>, Gathered)> {
        match self.packets[..] {
            [packet] if self.len >= LARGE && packet.flow.is_some() => Some((&mut self.buffer, packet)),
            _ => None,
        }
    }

    /// Hands over the packets that passed, in their order, as long runs as there are.
    pub(super) fn runs(&mut self, mut each: impl FnMut(Run<'_>)) {
        let Self { buffer, packets, flows, .. } = self;
        let mut at = 0;
        while let Some(first) = packets.get(at) {
            let same = |packet: &&Gathered| packet.flow.is_some() && packet.remote == first.remote;
            let count = packets[at..].iter().take_while(same).count();
            if count == 0 {
                at += 1;
                continue;
            }
            let run = &packets[at..at + count];
            flows.clear();
            flows.extend(run.iter().filter_map(|packet| packet.flow));
            let records = &mut buffer[first.start..run[count - 1].end];
            each(Run { remote: first.remote, records, packets: run, flows });
            at += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP packet whose last byte is `mark`.
    fn udp(mark: u8, payload: usize) -> Vec<u8> {
        let payload = [vec![0; payload], vec![mark]].concat();
        let mut packet = Vec::new();
        etherparse::PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(4000, 5000)
            .write(&mut packet, &payload)
            .unwrap();
        packet
    }

    fn read(batch: &mut Batch, remote: u8, packet: &[u8]) {
        batch.room()[..packet.len()].copy_from_slice(packet);
        let received = Received { header: VirtioNetHeader::NONE, len: packet.len() };
        assert_eq!(batch.read(&received), packet);
        let info = PacketInfo::parse(packet).unwrap();
        batch.keep(&received, info, Address::from_bytes([remote; 32]));
    }

    #[test]
    fn packets_of_one_remote_lie_side_by_side_as_records_without_those_that_were_refused() {
        let mut batch = Batch::new();
        let sent = [(1, 10), (1, 20), (2, 30), (1, 40), (1, 50), (1, 60)];
        for (mark, (remote, payload)) in (0..).zip(sent) {
            read(&mut batch, remote, &udp(mark, payload));
        }
        for (packet, bytes) in batch.packets_mut() {
            let mark = *bytes.last().unwrap();
            packet.flow = (mark != 4).then_some(u64::from(mark));
        }
        let mut runs = Vec::new();
        batch.runs(|run| {
            let expected: Vec<u8> = run
                .flows
                .iter()
                .flat_map(|mark| {
                    let mark = u8::try_from(*mark).unwrap();
                    let packet = udp(mark, sent[usize::from(mark)].1);
                    let length = u16::try_from(packet.len()).unwrap();
                    [&length.to_be_bytes()[..], &[0; 10], &packet].concat()
                })
                .collect();
            assert_eq!(run.records, expected);
            assert_eq!(run.packets.len(), run.flows.len());
            runs.push((run.remote.as_bytes()[0], run.flows.to_vec()));
        });
        assert_eq!(runs, [(1, vec![0, 1]), (2, vec![2]), (1, vec![3]), (1, vec![5])]);

        batch.clear();
        read(&mut batch, 3, &udp(9, 1));
        assert_eq!((batch.packets.len(), batch.len()), (1, RecordHeader::LEN + 30));
    }

    #[test]
    fn a_batch_ends_before_its_buffer_does() {
        let mut batch = Batch::new();
        while !batch.is_enough() {
            assert!(batch.room().len() >= RECV_BUFFER, "the largest packet must fit");
            read(&mut batch, 1, &udp(0, 100));
        }
        assert_eq!(batch.packets.len(), ENOUGH_PACKETS);
        batch.clear();
        read(&mut batch, 1, &udp(0, ENOUGH_BYTES - 80));
        assert!(!batch.is_enough());
        assert!(batch.room().len() >= RECV_BUFFER);
        read(&mut batch, 1, &udp(0, 65_000));
        assert!(batch.is_enough());
    }
}
