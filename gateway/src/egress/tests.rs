// SPDX-License-Identifier: AGPL-3.0-or-later
use std::sync::atomic::{AtomicUsize, Ordering};

use gateway_core::offload::VirtioNetHeader;
use gateway_core::session::{Accept, SessionConfig, SessionTable, Sessions};
use netmod_api::{MAX_UNIT, Sent};
use ratman_types::{Hop, LinkId, Now, Recipient, RouterId, SecretKey, Signer, WallTime};
use ratman_wire::carrier::SESSION_HEADER;
use ratman_wire::session::{DataHeader, RecordHeader};
use ratman_wire::{Frame, Header, Mode};

use super::*;

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

/// Takes as many data calls as it is told, and remembers them.
#[derive(Debug)]
struct Medium {
    room: AtomicUsize,
    unit: AtomicUsize,
    calls: Mutex<Vec<Vec<Vec<u8>>>>,
    control: Mutex<Vec<Vec<u8>>>,
}

impl Default for Medium {
    fn default() -> Self {
        let (calls, control) = (Mutex::default(), Mutex::default());
        Self { room: AtomicUsize::new(0), unit: AtomicUsize::new(MAX_UNIT), calls, control }
    }
}

impl Medium {
    fn calls(&self) -> Vec<Vec<Vec<u8>>> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn frames(&self) -> Vec<Vec<u8>> {
        self.calls().concat()
    }
}

impl Outbox for Medium {
    fn mtu(&self) -> Mtu {
        Mtu(33_004)
    }

    fn send(&self, class: Class, frames: &[FrameParts<'_>]) -> Sent {
        let bytes: Vec<_> = frames.iter().map(|frame| frame.pieces().concat()).collect();
        let total: usize = bytes.iter().map(Vec::len).sum();
        assert!(total <= MAX_UNIT, "{total} bytes in one call");
        match class {
            Class::Control => self.control.lock().unwrap().extend(bytes),
            Class::Data if self.ready() => {
                self.room.fetch_sub(1, Ordering::Relaxed);
                self.calls.lock().unwrap().push(bytes);
            }
            Class::Data => return Sent::default(),
        }
        Sent { accepted: frames.len(), dropped: 0 }
    }

    fn ready(&self) -> bool {
        self.room.load(Ordering::Relaxed) > 0
    }

    fn unit(&self) -> usize {
        self.unit.load(Ordering::Relaxed)
    }

    fn activity(&self) -> Activity {
        Activity::default()
    }
}

/// Two gateways with a session between them.
struct Gateways {
    /// Seals for the other, and remembers the records; or refuses.
    ours: Keys,
    theirs: Arc<SessionTable>,
}

struct Keys {
    table: Arc<SessionTable>,
    refusal: Mutex<Option<SessionDrop>>,
    refused: Mutex<Vec<u8>>,
    calls: Mutex<Vec<Vec<u8>>>,
}

impl Gateways {
    fn new() -> Self {
        let now = Now { at: NOW, wall: WallTime::from_micros(1) };
        let keys = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]));
        let [mut a, mut b] = [0, 1].map(|at: usize| {
            let config = SessionConfig {
                accept: Accept::Any,
                configured: Vec::new(),
                aes_in_hardware: true,
                hops_left: 60,
            };
            Sessions::new(config, &keys[at], [3; 32], now)
        });
        a.connect(keys[1].address(), now).unwrap();
        let from = Hop { link: LinkId(1), neighbour: RouterId::from_bytes([0; 32]) };
        // Initiation and answer; the keepalive that confirms them is of no matter here.
        for round in 0..2 {
            let (sender, from_key, receiver) =
                if round % 2 == 0 { (&mut a, &keys[0], &mut b) } else { (&mut b, &keys[1], &mut a) };
            while let Some(message) = sender.poll_transmit() {
                let header = Header::new(message.mode, from_key.public()).to(Recipient::Address(message.to));
                receiver.handle_frame(from, &header, &message.payload, now).unwrap();
            }
        }
        let ours = Keys {
            table: a.table(),
            refusal: Mutex::default(),
            refused: Mutex::default(),
            calls: Mutex::default(),
        };
        Self { ours, theirs: b.table() }
    }

    fn remote() -> Address {
        SecretKey::from_seed([2; 32]).address()
    }

    /// The packets in sealed frames, in their order.
    fn open(&self, frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for mut frame in frames {
            let payload = &mut frame[SESSION_HEADER..];
            let opened = self.theirs.open(payload, NOW, &mut |packet| packets.push(packet.bytes.to_vec()));
            opened.unwrap();
        }
        packets
    }
}

impl Seal for Keys {
    fn seal(
        &self,
        remote: &Address,
        records: &mut [u8],
        link: Mtu,
        now: Timestamp,
        out: &mut Sealed,
    ) -> Result<(), SessionDrop> {
        if let Some(why) = *self.refusal.lock().unwrap() {
            return Err(why);
        }
        self.calls.lock().unwrap().push(records.to_vec());
        self.table.send_key(remote).unwrap().seal(records, link, now, out)
    }

    fn not_sealed(&self, remote: &Address, records: &[u8], _why: SessionDrop) {
        assert_eq!(*remote, Gateways::remote());
        self.refused.lock().unwrap().extend(records);
    }
}

struct Bed {
    medium: Arc<Medium>,
    egress: Egress,
    gateways: Gateways,
}

impl Bed {
    fn new() -> Self {
        let medium = Arc::new(Medium::default());
        let egress = Egress::new(medium.clone(), HashSeed::from_bytes([7; 16]), Arc::default());
        Self { medium, egress, gateways: Gateways::new() }
    }

    fn room(&self, calls: usize) {
        self.medium.room.store(calls, Ordering::Relaxed);
    }

    fn send(&self, flow: u64, packet: &[u8]) {
        self.send_record(flow, &mut record(packet));
    }

    fn send_record(&self, flow: u64, records: &mut [u8]) {
        let packets = OwnPackets { remote: Gateways::remote(), records, flows: &[flow] };
        if self.egress.send_packets(packets, &self.gateways.ours, NOW) {
            while self.egress.send_next(Some(&self.gateways.ours), NOW) {}
        }
    }

    fn writable(&self) {
        self.egress.writable(Some(&self.gateways.ours), NOW);
    }

    fn arrived(&self) -> Vec<Vec<u8>> {
        self.gateways.open(self.medium.frames())
    }
}

fn record(packet: &[u8]) -> Vec<u8> {
    record_with(&VirtioNetHeader::NONE, packet)
}

fn record_with(metadata: &VirtioNetHeader, packet: &[u8]) -> Vec<u8> {
    let length = u16::try_from(packet.len()).unwrap();
    let header = RecordHeader { length, metadata: metadata.to_wire() }.encode();
    [&header[..], packet].concat()
}

/// A packet to be cut into four segments of 1240 bytes and one of 240; its payload is behind 40 bytes.
fn super_packet() -> (VirtioNetHeader, Vec<u8>) {
    let payload: Vec<u8> = (0..5_000_u16).map(|number| number.to_be_bytes()[1]).collect();
    let mut packet = Vec::new();
    etherparse::PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(1, 2, 7, 1000)
        .write(&mut packet, &payload)
        .unwrap();
    let header = VirtioNetHeader {
        flags: VirtioNetHeader::NEEDS_CSUM,
        gso_type: 1,
        hdr_len: 40,
        gso_size: 1_200,
        csum_start: 20,
        csum_offset: 16,
    };
    (header, packet)
}

/// Whether these are the segments of [`super_packet`] in order.
fn assert_segments_of(packet: &[u8], segments: &[Vec<u8>]) {
    let lengths: Vec<_> = segments.iter().map(Vec::len).collect();
    assert_eq!(lengths, [1_240, 1_240, 1_240, 1_240, 240]);
    assert_eq!(segments.iter().flat_map(|packet| &packet[40..]).copied().collect::<Vec<_>>(), packet[40..]);
}

fn frame(from: u8, payload: usize) -> Vec<u8> {
    let header = Header::new(Mode::SESSION_DATA, [from; 32]).to(Recipient::Address(Gateways::remote()));
    Frame { header, payload: &vec![from; payload] }.encode()
}

#[test]
fn while_nothing_waits_packets_are_sealed_where_they_lie_and_sent_at_once() {
    let bed = Bed::new();
    bed.room(1);
    bed.send(1, b"first");
    assert_eq!(bed.arrived(), [b"first"]);
    assert_eq!(bed.egress.stats().waiting, 0);
}

#[test]
fn what_waits_is_sealed_when_the_link_takes_it_small_packets_of_all_flows_together() {
    let bed = Bed::new();
    for (flow, packet) in [(1, &b"one"[..]), (2, b"two"), (1, b"three")] {
        bed.send(flow, packet);
    }
    assert!(bed.medium.calls().is_empty() && bed.gateways.ours.calls.lock().unwrap().is_empty());
    assert!(bed.egress.stats().waiting > 0);
    bed.room(9);
    bed.writable();
    let calls = bed.medium.calls();
    assert_eq!((calls.len(), calls[0].len()), (1, 1), "one call, one frame");
    let mut packets = bed.gateways.open(calls.concat());
    assert_eq!(packets.iter().position(|packet| packet == b"one"), Some(0), "a flow keeps its order");
    packets.sort_unstable();
    assert_eq!(packets, [&b"one"[..], b"three", b"two"]);
    assert_eq!(bed.egress.stats().waiting, 0);
}

#[test]
fn nothing_overtakes_what_waits_of_its_flow_and_a_new_flow_goes_first() {
    let bed = Bed::new();
    let bulk: Vec<_> = (0..40_u8).map(|number| vec![number; 40_000]).collect();
    for packet in &bulk[..39] {
        bed.send(1, packet);
    }
    bed.room(2);
    bed.writable();
    bed.send(2, b"ping");
    bed.room(100);
    bed.send(1, &bulk[39]);
    let arrived = bed.arrived();
    let ping = arrived.iter().position(|packet| packet == b"ping").unwrap();
    assert!(ping <= 3, "the ping waited behind {ping} packets");
    let rest: Vec<_> = arrived.into_iter().filter(|packet| packet != b"ping").collect();
    assert_eq!(rest, bulk);
}

#[test]
fn counters_are_in_the_order_of_the_wire_whatever_was_dropped() {
    let bed = Bed::new();
    let packet = vec![1; 60_000];
    for flow in 0..1_000 {
        bed.send(flow % 5, &packet);
    }
    let dropped = bed.egress.stats().dropped;
    assert!(dropped > 0, "the queue was not filled");
    bed.room(usize::MAX);
    bed.writable();
    let frames = bed.medium.frames();
    let counters: Vec<_> = frames
        .iter()
        .map(|frame| DataHeader::decode(frame[SESSION_HEADER..].first_chunk().unwrap()).unwrap().counter)
        .collect();
    assert!(counters.iter().zip(counters[0]..).all(|(found, expected)| *found == expected));
    assert_eq!(u64::try_from(bed.gateways.open(frames).len()).unwrap() + dropped, 1_000);
}

#[test]
fn frames_of_others_leave_untouched_and_links_share() {
    let bed = Bed::new();
    let frames: Vec<_> = (1..=200).map(|sender| frame(sender, 20_000)).collect();
    let parts: Vec<_> = frames.iter().map(|frame| FrameParts::whole(frame)).collect();
    bed.room(1);
    let taken = bed.egress.send_frames(1, &parts[..100], None, NOW);
    assert_eq!(taken, 100);
    let at_once = bed.medium.frames();
    assert_eq!(at_once, frames[..at_once.len()], "as much as one call takes");
    assert!(!at_once.is_empty());
    bed.egress.send_frames(2, &parts[100..110], None, NOW);
    bed.room(usize::MAX);
    bed.writable();
    let sent = bed.medium.frames();
    let last_of_two = sent.iter().rposition(|frame| frames[100..110].contains(frame)).unwrap();
    assert!(last_of_two < 25, "ten frames of one link beside those of another left as number {last_of_two}");
    let mut all = [at_once, sent].concat();
    all.sort_unstable();
    let mut expected = frames[..110].to_vec();
    expected.sort_unstable();
    assert_eq!(all, expected);
}

#[test]
fn packets_without_a_key_are_given_back_whether_they_waited_or_not() {
    let bed = Bed::new();
    *bed.gateways.ours.refusal.lock().unwrap() = Some(SessionDrop::KeyExpired);
    bed.send(1, b"waits");
    bed.room(9);
    bed.writable();
    bed.send(1, b"at once");
    assert_eq!(*bed.gateways.ours.refused.lock().unwrap(), [record(b"waits"), record(b"at once")].concat());
    assert!(bed.medium.calls().is_empty());
    assert_eq!(bed.egress.stats().waiting, 0);
}

#[test]
fn a_closed_link_drops_and_counts_all_that_waits_and_comes() {
    let bed = Bed::new();
    bed.send(1, b"waits");
    bed.egress.close();
    bed.send(1, b"late");
    bed.room(9);
    bed.writable();
    assert!(bed.medium.calls().is_empty());
    let EgressStats { waiting, dropped, over_budget, .. } = bed.egress.stats();
    assert_eq!((waiting, dropped, over_budget), (0, 2, 0));
}

#[test]
fn a_super_packet_is_sent_as_its_segments_in_order() {
    let bed = Bed::new();
    let (header, packet) = super_packet();
    bed.room(9);
    let segments = Segments::new(&header, &packet).unwrap();
    bed.egress.queue_segments(Gateways::remote(), 1, segments, NOW);
    bed.writable();
    assert_segments_of(&packet, &bed.arrived());
}

#[test]
fn a_call_holds_no_more_than_a_slow_link_sends_soon() {
    let bed = Bed::new();
    bed.medium.unit.store(2_600, Ordering::Relaxed);
    let (header, packet) = super_packet();
    let large = vec![9; 4_000];
    bed.room(99);
    bed.send_record(1, &mut record_with(&header, &packet));
    let calls = bed.medium.calls();
    assert_eq!(calls.len(), 3, "two segments each");
    assert_segments_of(&packet, &bed.gateways.open(calls.concat()));

    // From a buffer of its own just so; what is no super-packet stays whole.
    for record in [record_with(&header, &packet), record(&large)] {
        let mut buffer = vec![0; WHOLE].into_boxed_slice();
        buffer[..record.len()].copy_from_slice(&record);
        bed.egress.queue_large(Gateways::remote(), 1, &mut buffer, record.len(), NOW);
    }
    bed.writable();
    let mut arrived = bed.arrived();
    assert_eq!(arrived.pop(), Some(large.clone()));
    assert_segments_of(&packet, &arrived);

    // Frames of others go one by one, whether they wait or not.
    for room in [99, 0] {
        bed.room(room);
        let frames = [1, 2, 3].map(|from| frame(from, 2_000));
        let parts = frames.each_ref().map(|frame| FrameParts::whole(frame));
        assert_eq!(bed.egress.send_frames(7, &parts, None, NOW), 3);
        bed.room(99);
        bed.writable();
        assert_eq!(bed.medium.calls().len(), 3);
    }
}

#[test]
fn control_frames_do_not_wait() {
    let bed = Bed::new();
    bed.send(1, b"waits");
    bed.egress.send_control(b"echo");
    assert_eq!(*bed.medium.control.lock().unwrap(), [b"echo"]);
}

#[test]
fn what_waits_for_a_link_that_is_left_is_handed_over_in_order_and_stays_where_nobody_takes_it() {
    let bed = Bed::new();
    for (flow, packet) in [(1, &b"one"[..]), (2, b"two"), (1, b"three")] {
        bed.send(flow, packet);
    }
    bed.egress.send_frames(7, &[FrameParts::whole(&frame(3, 10))], None, NOW);
    let (mut packets, mut frames) = (Vec::new(), Vec::new());
    let taken = bed.egress.leave(
        &mut |left| match left {
            Left::Packets(packet) => {
                assert_eq!(packet.remote, Gateways::remote());
                let first_flow = packet.flows == [1];
                packets.extend(first_flow.then(|| packet.records.to_vec()));
                first_flow
            }
            Left::Frame { group, frame } => {
                frames.push((group, frame.to_vec()));
                true
            }
        },
        NOW,
    );
    assert_eq!(taken, 3);
    assert_eq!(packets, [record(b"one"), record(b"three")]);
    assert_eq!(frames, [(7, frame(3, 10))]);
    bed.room(9);
    bed.writable();
    assert_eq!(bed.arrived(), [b"two"]);
    assert_eq!(bed.egress.stats().waiting, 0);
}
