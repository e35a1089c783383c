// SPDX-License-Identifier: AGPL-3.0-or-later
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use gateway_core::session::{Sealed, SessionDrop};
use netmod_api::{Activity, Class, Outbox, Sent};
use ratman_types::{
    Address, Digest, Ed25519Verifier, Mtu, Now, Recipient, RouterId, SecretKey, Signer, WallTime,
};
use ratman_wire::carrier::peek_mode;
use ratman_wire::session::{DataHeader, PathReason, PathReport, SessionIndex};
use ratman_wire::{Frame, Header, Mode};
use router_core::{Event, Fib, LinkEvent, Lookup, Router, RouterConfig};

use super::batches::BATCH;
use super::leave::Saved;
use super::*;

const SEED: (HashSeed, [u8; 16]) = (HashSeed::from_bytes([5; 16]), [6; 16]);
const NEAR: Hop = Hop { link: LinkId(1), neighbour: RouterId::from_bytes([8; 32]) };

fn ours() -> Address {
    SecretKey::from_seed([1; 32]).address()
}

fn router(seed: u8) -> Router {
    let config = RouterConfig::new([0; 32], WallTime::default());
    let key = Arc::new(SecretKey::from_seed([seed; 32]));
    Router::new(config, key, Arc::new(Ed25519Verifier), [0; 32], Now::default())
}

/// A router at which [`ours`] is local.
fn our_router() -> Router {
    let mut router = router(2);
    router.add_local(Arc::new(SecretKey::from_seed([1; 32])), WallTime::default(), Now::default());
    router
}

/// A forwarding table in which [`ours`] is local.
fn fib() -> Fib {
    Fib::clone(&our_router().fib())
}

/// The address of the relay of [`fib_with_a_way`].
fn of_the_relay() -> Address {
    SecretKey::from_seed([4; 32]).address()
}

/// The forwarding table of a relay that reaches [`ours`] over a link with frames of `mtu`, and that link.
fn fib_with_a_way(mtu: Mtu) -> (Fib, Hop) {
    let (mut relay, mut end, mut now) = (router(3), our_router(), Now::default());
    relay.add_local(Arc::new(SecretKey::from_seed([4; 32])), WallTime::default(), now);
    let there = Hop { link: LinkId(1), neighbour: end.id() };
    let back = Hop { link: LinkId(1), neighbour: relay.id() };
    let up = |hop, dialed| LinkEvent::Up { hop, mtu, proofs: Digest::from_bytes([0; 32]), dialed };
    relay.handle_link(up(there, true), now);
    end.handle_link(up(back, false), now);
    while relay.fib().lookup(&ours(), None) == Lookup::NoRoute {
        for router in [&mut relay, &mut end] {
            while let Some(event) = router.poll_event() {
                if let Event::OriginTime { address, time } = event {
                    router.handle_origin_time_stored(&address, time, now);
                }
            }
        }
        while let Some(transmit) = relay.poll_transmit() {
            end.handle_frame(back, &transmit.frame, now.at, now);
        }
        while let Some(transmit) = end.poll_transmit() {
            relay.handle_frame(there, &transmit.frame, now.at, now);
        }
        let step = std::time::Duration::from_millis(10);
        assert!(now.at < Timestamp::default() + step * 1_000, "no route after ten seconds");
        now = now + step;
        relay.handle_timeout(now);
        end.handle_timeout(now);
    }
    (Fib::clone(&relay.fib()), there)
}

/// Records what is sent and takes `room` calls; nothing of what it took is ever acknowledged.
#[derive(Debug)]
struct Recorder {
    calls: Mutex<Vec<Vec<Vec<u8>>>>,
    room: AtomicUsize,
}

impl Outbox for Recorder {
    fn mtu(&self) -> Mtu {
        Mtu(33_004)
    }

    fn send(&self, _class: Class, frames: &[FrameParts<'_>]) -> Sent {
        if !self.ready() {
            return Sent::default();
        }
        self.room.fetch_sub(1, Ordering::Relaxed);
        let bytes = frames.iter().map(|frame| frame.pieces().concat()).collect();
        self.calls.lock().unwrap().push(bytes);
        Sent { accepted: frames.len(), dropped: 0 }
    }

    fn ready(&self) -> bool {
        self.room.load(Ordering::Relaxed) > 0
    }

    fn unacknowledged(&self, take: &mut dyn FnMut(&[u8])) {
        self.calls.lock().unwrap().iter().flatten().for_each(|frame| take(frame));
    }

    fn activity(&self) -> Activity {
        Activity::default()
    }
}

#[derive(Default)]
struct Sessions(Mutex<Vec<Vec<u8>>>);

impl LocalSessions for Sessions {
    fn receive_data(&self, _from: Hop, _arrived: Timestamp, frames: &mut [&mut [u8]]) {
        self.0.lock().unwrap().extend(frames.iter().map(|frame| frame.to_vec()));
    }
}

impl Seal for Sessions {
    fn seal(
        &self,
        _remote: &Address,
        _records: &mut [u8],
        _link: Mtu,
        _now: Timestamp,
        _out: &mut Sealed,
    ) -> Result<(), SessionDrop> {
        unreachable!("nobody sends packets here")
    }

    fn not_sealed(&self, _remote: &Address, _records: &[u8], _why: SessionDrop) {}
}

struct Bed {
    forwarder: Forwarder,
    notices: Notices,
    sessions: Arc<Sessions>,
    ways: Arc<Ways>,
}

impl Bed {
    fn new(fib: Fib) -> Self {
        let ways = Arc::new(Ways::default());
        ways.set_fib(Arc::new(fib));
        let sessions = Arc::new(Sessions::default());
        let (sender, notices) = notices();
        let forwarder = Forwarder::new(Clock, ways.clone(), Some(sessions.clone()), (sender, None), SEED);
        Self { forwarder, notices, sessions, ways }
    }

    fn link(&mut self, hop: Hop, room: usize) -> Arc<Recorder> {
        let recorder = Arc::new(Recorder { calls: Mutex::default(), room: AtomicUsize::new(room) });
        self.forwarder.link_up(LinkUp {
            hop,
            netmod: "test",
            outbox: recorder.clone(),
            mtu: Mtu(33_004),
            dialed: true,
            local: String::new(),
            remote: String::new(),
            proofs: Digest::from_bytes([0; 32]),
        });
        assert!(matches!(self.notices.waiting(), Some(Notice::LinkUp(link)) if link.hop == hop));
        recorder
    }

    fn receive(&self, from: Hop, frames: &mut [Vec<u8>]) {
        let arrived = self.forwarder.now();
        self.forwarder.receive(from, arrived, &mut frames.iter_mut().map(Vec::as_mut_slice));
    }

    fn dropped(&self, name: &str) -> u64 {
        self.forwarder.drops().find(|(other, _)| *other == name).unwrap().1
    }
}

fn session(mode: Mode, to: Address) -> Vec<u8> {
    let header = Header::new(mode, [7; 32]).to(Recipient::Address(to));
    Frame { header, payload: b"sealed" }.encode()
}

#[test]
fn our_sessions_are_opened_by_who_reads_and_their_handshakes_wait_for_the_control_plane() {
    let mut bed = Bed::new(fib());
    bed.link(NEAR, 9);
    let data = session(Mode::SESSION_DATA, ours());
    let handshake = session(Mode::SESSION_INITIATION, ours());
    bed.receive(NEAR, &mut [data.clone(), handshake.clone()]);
    assert_eq!(*bed.sessions.0.lock().unwrap(), [data]);
    let Some(Notice::Frame(frame)) = bed.notices.waiting() else { panic!("the handshake was not handed on") };
    assert_eq!((frame.from, frame.bytes), (NEAR, handshake));
    assert!(bed.notices.waiting().is_none());
}

#[test]
fn one_link_fills_its_own_share_of_the_control_queue_and_gives_it_back() {
    let far = Hop { link: LinkId(2), neighbour: RouterId::from_bytes([9; 32]) };
    let mut bed = Bed::new(Fib::default());
    bed.link(NEAR, 9);
    bed.link(far, 9);
    let control = Frame { header: Header::new(Mode::ANNOUNCEMENT, [7; 32]), payload: b"any" }.encode();
    let limit = CONTROL_BYTES_PER_LINK / (control.len() + shares::COST);
    bed.receive(NEAR, &mut vec![control.clone(); limit + 3]);
    assert_eq!(bed.dropped("control_queue_full"), 3);
    bed.receive(far, &mut [control.clone()]);
    assert_eq!(bed.dropped("control_queue_full"), 3, "another link has its own share");

    assert!(matches!(bed.notices.waiting(), Some(Notice::Frame(_))), "one is handled");
    bed.receive(NEAR, &mut [control.clone(), control]);
    assert_eq!(bed.dropped("control_queue_full"), 4, "one place was free again");
}

#[test]
fn frames_of_streams_go_to_the_message_plane_where_there_is_one() {
    let mut bed = Bed::new(fib());
    bed.link(NEAR, 9);
    let header = Header::new(Mode::DATA, [7; 32]).to(Recipient::Address(ours()));
    let frame = Frame { header, payload: b"block" }.encode();
    bed.receive(NEAR, &mut [frame]);
    assert_eq!(bed.dropped("mode_not_served"), 1);
    assert!(bed.notices.waiting().is_none(), "not to the control plane");
}

#[test]
fn frames_of_a_link_that_is_gone_are_dropped_and_nothing_is_sent_to_it() {
    let mut bed = Bed::new(Fib::default());
    let recorder = bed.link(NEAR, 9);
    assert!(bed.ways.load().egress(NEAR).is_some());
    bed.forwarder.link_down(NEAR, DownReason::ClosedByPeer);
    assert!(matches!(bed.notices.waiting(), Some(Notice::LinkDown(NEAR, DownReason::ClosedByPeer))));
    assert!(bed.ways.load().egress(NEAR).is_none());
    bed.receive(
        NEAR,
        &mut [Frame { header: Header::new(Mode::ECHO_REQUEST, [7; 32]), payload: b"" }.encode()],
    );
    assert_eq!(bed.dropped("control_queue_full"), 1);
    assert!(recorder.calls.lock().unwrap().is_empty());
}

#[test]
fn frames_that_cannot_go_on_are_counted_by_reason() {
    let mut bed = Bed::new(Fib::default());
    bed.link(NEAR, 9);
    let lost = session(Mode::SESSION_DATA, ours());
    bed.receive(NEAR, &mut [lost.clone(), lost, vec![1, 2, 3], Vec::new()]);
    assert_eq!(bed.dropped("no_route"), 2);
    assert_eq!(bed.forwarder.drops().map(|(_, count)| count).sum::<u64>(), 4);
}

#[test]
fn relayed_frames_leave_in_batches_per_hop_and_what_has_no_link_is_counted() {
    let mut bed = Bed::new(Fib::default());
    let recorder = bed.link(NEAR, 1);
    let from = Hop { link: LinkId(7), ..NEAR };
    let (snapshot, now) = (bed.ways.load(), bed.forwarder.now());
    let frames: Vec<_> = (0..=BATCH).map(|_| session(Mode::SESSION_DATA, ours())).collect();
    let mut relayed = Relayed::new(&bed.forwarder, &snapshot, from, now);
    for frame in &frames {
        relayed.push(NEAR, frame);
    }
    relayed.push(Hop { link: LinkId(2), ..NEAR }, &frames[0]);
    relayed.flush();
    assert_eq!(recorder.calls.lock().unwrap()[..], [frames[..BATCH].to_vec()], "the one call that is taken");
    assert_eq!(bed.forwarder.relayed(), u64::try_from(frames.len()).unwrap(), "the last one waits");
    assert_eq!(bed.dropped("link_gone"), 1);

    recorder.room.store(9, Ordering::Relaxed);
    bed.forwarder.writable(NEAR);
    assert_eq!(recorder.calls.lock().unwrap()[1..], [frames[BATCH..].to_vec()]);
}

#[test]
fn what_neighbours_say_to_each_other_overtakes_a_flood_and_does_not_stop_it() {
    let mut bed = Bed::new(Fib::default());
    bed.link(NEAR, 9);
    let frame = |mode| Frame { header: Header::new(mode, [7; 32]), payload: b"" }.encode();
    bed.receive(NEAR, &mut vec![frame(Mode::ANNOUNCEMENT); 100]);
    bed.receive(NEAR, &mut vec![frame(Mode::ECHO_REQUEST); 100]);
    let mut modes = Vec::new();
    while let Some(Notice::Frame(frame)) = bed.notices.waiting() {
        modes.push(peek_mode(&frame.bytes).unwrap());
    }
    assert_eq!(modes.len(), 200);
    assert!(modes[..30].iter().all(|mode| *mode == Mode::ECHO_REQUEST));
    let last_echo = modes.iter().rposition(|mode| *mode == Mode::ECHO_REQUEST).unwrap();
    let waited = modes[..last_echo].iter().filter(|mode| **mode == Mode::ANNOUNCEMENT).count();
    assert!((1..=5).contains(&waited), "{waited} announcements went between the echoes");
}

/// A data frame of [`ours`] for an address, of at least this many bytes.
fn data(to: Address, len: usize) -> Vec<u8> {
    let header = Header::new(Mode::SESSION_DATA, *ours().as_bytes()).to(Recipient::Address(to));
    let session = DataHeader { goes_on: false, continued: 0, receiver: SessionIndex(7), counter: 1 };
    Frame { header, payload: &[&session.encode()[..], &vec![5; len]].concat() }.encode()
}

#[test]
fn a_sender_is_told_why_its_data_goes_no_further() {
    let (fib, near) = fib_with_a_way(Mtu(1280));
    let from = Hop { link: LinkId(7), ..NEAR };
    for (mut frame, reason, name) in [
        (data(Address::from_bytes([9; 32]), 40), PathReason::NoRoute, "no_route"),
        (data(ours(), 2_000), PathReason::TooBig { mtu: Mtu(1280) }, "frame_too_big"),
    ] {
        let mut bed = Bed::new(fib.clone());
        let recorder = bed.link(near, 9);
        let report = PathReport::about(&frame, reason).unwrap();
        bed.receive(from, std::slice::from_mut(&mut frame));
        assert_eq!(*recorder.calls.lock().unwrap(), [[report.to_vec()]], "{name}");
        bed.receive(from, &mut [frame]);
        assert_eq!(recorder.calls.lock().unwrap().len(), 1, "{name}: one in a tenth of a second");
        assert_eq!((bed.dropped(name), bed.forwarder.reported()), (2, (1, 1)));
    }
    // Nobody is told about what is no data of a session, nor who cannot be reached.
    let mut bed = Bed::new(fib);
    let recorder = bed.link(near, 9);
    bed.receive(from, &mut [session(Mode::SESSION_INITIATION, Address::from_bytes([9; 32]))]);
    bed.receive(from, &mut [session(Mode::SESSION_DATA, Address::from_bytes([9; 32]))]);
    assert_eq!(bed.dropped("no_route"), 2);
    assert!(recorder.calls.lock().unwrap().is_empty());
}

/// A session frame for an address from whom these bytes name.
fn session_from(sender: [u8; 32], to: Address) -> Vec<u8> {
    let header = Header::new(Mode::SESSION_DATA, sender).to(Recipient::Address(to));
    Frame { header, payload: b"sealed" }.encode()
}

#[test]
fn what_is_left_at_a_stalled_link_goes_another_way_in_order() {
    let (fib, good) = fib_with_a_way(Mtu(33_004));
    let mut bed = Bed::new(fib);
    let stalled = Hop { link: LinkId(2), ..good };
    let (way, left) = (bed.link(good, 99), bed.link(stalled, 1));
    let nowhere = Address::from_bytes([9; 32]);
    let frames = [(1, ours()), (2, nowhere), (3, ours()), (4, nowhere)];
    let frames = frames.map(|(number, to)| session_from([number; 32], to));
    let ways = bed.ways.load();
    let egress = ways.egress(stalled).unwrap();
    // Two in the one call that is taken; the others have to wait.
    for pair in frames.chunks(2) {
        let parts = [&pair[0], &pair[1]].map(|frame| FrameParts::whole(frame));
        assert_eq!(egress.send_frames(7, &parts, None, bed.forwarder.now()), 2);
    }
    let saved = bed.forwarder.leave(stalled, left.as_ref(), bed.forwarder.now());
    assert_eq!(saved, Saved { unacknowledged: 1, waiting: 1 });
    assert_eq!(way.calls.lock().unwrap().concat(), [frames[0].clone(), frames[2].clone()]);
    assert!(egress.stats().waiting > 0, "what leads nowhere else waits on");

    // The way that is in use cannot be left for itself.
    let saved = bed.forwarder.leave(good, way.as_ref(), bed.forwarder.now());
    assert_eq!(saved, Saved::default());
}

#[test]
fn nothing_that_is_left_at_a_stalled_link_goes_back_to_where_it_came_from() {
    let (fib, good) = fib_with_a_way(Mtu(33_004));
    let mut bed = Bed::new(fib);
    let stalled = Hop { link: LinkId(2), ..NEAR };
    let (way, left) = (bed.link(good, 99), bed.link(stalled, 1));
    let ways = bed.ways.load();
    let egress = ways.egress(stalled).unwrap();
    let send = |group, frame: &[u8]| {
        assert_eq!(egress.send_frames(group, &[FrameParts::whole(frame)], None, bed.forwarder.now()), 1);
    };
    let parts = [session_from(*of_the_relay().as_bytes(), ours()), session_from([1; 32], ours())];
    let unacknowledged = [&parts[0], &parts[1]].map(|frame| FrameParts::whole(frame));
    assert_eq!(egress.send_frames(7, &unacknowledged, None, bed.forwarder.now()), 2);
    let [back, unknown, on] = [2, 3, 4].map(|number| session_from([number; 32], ours()));
    send(good.link.0, &back);
    // As what was not acknowledged at a link that was left before.
    send(OURS, &unknown);
    send(7, &on);
    let own = session_from(*of_the_relay().as_bytes(), ours());
    send(OURS, &own);

    let saved = bed.forwarder.leave(stalled, left.as_ref(), bed.forwarder.now());
    assert_eq!(saved, Saved { unacknowledged: 1, waiting: 2 });
    let mut gone = way.calls.lock().unwrap().concat();
    let mut expected = vec![parts[0].clone(), on, own];
    gone.sort();
    expected.sort();
    assert_eq!(gone, expected);

    left.room.store(9, Ordering::Relaxed);
    bed.forwarder.writable(stalled);
    let mut stayed = left.calls.lock().unwrap()[1..].concat();
    stayed.sort();
    assert_eq!(stayed, [back, unknown], "what would go back, or may");
}

#[test]
fn what_another_way_does_not_take_stays_at_the_stalled_link() {
    let (fib, good) = fib_with_a_way(Mtu(1280));
    let mut bed = Bed::new(fib);
    let stalled = Hop { link: LinkId(2), ..good };
    let (way, left) = (bed.link(good, 9), bed.link(stalled, 1));
    let [fits, too_big] = [data(ours(), 40), data(ours(), 2_000)];
    let (ways, now) = (bed.ways.load(), bed.forwarder.now());
    let egress = ways.egress(stalled).unwrap();
    for _unacknowledged_then_waiting in 0..2 {
        let parts = [&fits, &too_big].map(|frame| FrameParts::whole(frame));
        assert_eq!(egress.send_frames(7, &parts, None, now), 2);
    }
    let saved = bed.forwarder.leave(stalled, left.as_ref(), now);
    assert_eq!(saved, Saved { unacknowledged: 1, waiting: 1 }, "the way carries no frame of 2000 bytes");
    assert_eq!(way.calls.lock().unwrap().concat(), [fits.clone(), fits.clone()]);

    // The other way's queue takes nothing once its link is gone.
    assert_eq!(egress.send_frames(7, &[FrameParts::whole(&fits)], None, now), 1);
    ways.egress(good).unwrap().close();
    way.room.store(0, Ordering::Relaxed);
    let saved = bed.forwarder.leave(stalled, left.as_ref(), now);
    assert_eq!(saved, Saved::default());
    left.room.store(9, Ordering::Relaxed);
    bed.forwarder.writable(stalled);
    let mut later = left.calls.lock().unwrap()[1..].concat();
    later.sort_by_key(Vec::len);
    assert_eq!(later, [fits, too_big]);
}
