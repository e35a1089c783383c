// SPDX-License-Identifier: AGPL-3.0-or-later
use super::*;
use crate::deframer::Deframer;
use proptest::prelude::*;
use ratman_wire::MAX_FRAME;

/// A socket that takes `budget` bytes before it would block.
#[derive(Default)]
struct Socket {
    budget: usize,
    bytes: Vec<u8>,
    largest: usize,
}

impl Socket {
    fn write(&mut self) -> impl Writev {
        |slices| {
            self.largest = self.largest.max(slices.iter().map(|slice| slice.len()).sum());
            assert!(slices.len() <= 1024, "more slices than Linux takes");
            let mut count = 0;
            for slice in slices {
                let now = slice.len().min(self.budget);
                self.bytes.extend(&slice[..now]);
                self.budget -= now;
                count += now;
            }
            if count == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
        }
    }

    fn frames(&self) -> Vec<Vec<u8>> {
        let mut deframer = Deframer::new();
        let mut found = Vec::new();
        for piece in self.bytes.chunks(100_000) {
            deframer.room()[..piece.len()].copy_from_slice(piece);
            deframer.filled(piece.len());
            let (frames, result) = deframer.take();
            found.extend(frames.map(|frame| frame.to_vec()));
            result.unwrap();
        }
        assert_eq!(
            self.bytes.len(),
            found.iter().map(|frame| PREFIX + frame.len()).sum::<usize>(),
            "no frame is cut"
        );
        found
    }
}

fn numbered(count: u8, length: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| vec![number; length]).collect()
}

fn parts(frames: &[Vec<u8>]) -> Vec<FrameParts<'_>> {
    frames
        .iter()
        .map(|frame| {
            let (head, rest) = frame.split_at(frame.len() / 3);
            let (body, tail) = rest.split_at(rest.len() / 2);
            FrameParts { head, body, tail }
        })
        .collect()
}

fn outgoing() -> Outgoing {
    Outgoing::new(MAX_FRAME)
}

const ALL: usize = usize::MAX;

#[test]
fn a_free_socket_takes_any_batch_at_once() {
    let frames = numbered(200, 9);
    let mut socket = Socket { budget: ALL, ..Socket::default() };
    let mut outgoing = outgoing();
    let sent = outgoing.send(Class::Data, &parts(&frames), socket.write()).unwrap();
    assert_eq!(sent, Sent { accepted: 200, dropped: 0 });
    assert_eq!(socket.frames(), frames);
    assert_eq!((outgoing.written(), outgoing.waiting()), (200 * 13, 0));
    assert_eq!(outgoing.data.bytes.capacity() + outgoing.started.capacity(), 0, "nothing was copied");
}

#[test]
fn data_is_refused_from_when_the_socket_says_that_it_has_no_room_until_it_has() {
    let frames = numbered(1, 9);
    let mut socket = Socket { budget: ALL, ..Socket::default() };
    let mut outgoing = outgoing();
    assert!(outgoing.ready_if(|| panic!("asked though it may be handed a part")));
    outgoing.set_writes(Writes::Whole);
    assert!(outgoing.ready_if(|| true) && !outgoing.is_busy());
    assert!(!outgoing.ready_if(|| false));
    assert!(outgoing.is_busy() && !outgoing.waits());
    assert!(!outgoing.ready_if(|| panic!("asked again by somebody who does not wait for it")));
    assert_eq!(outgoing.send(Class::Data, &parts(&frames), socket.write()).unwrap(), Sent::default());
    let control = outgoing.send(Class::Control, &parts(&frames), socket.write()).unwrap();
    assert_eq!(control, Sent { accepted: 1, dropped: 0 });
    outgoing.ask_again(|| false);
    assert!(!outgoing.take_refused());
    outgoing.ask_again(|| true);
    assert!(outgoing.take_refused() && !outgoing.is_busy());
    assert!(outgoing.ready());
    outgoing.ask_again(|| panic!("asked though it had room"));
}

#[test]
fn control_overtakes_data_at_a_frame_boundary() {
    let frames = numbered(4, 10);
    for budget in 0..3 * 14 {
        let mut socket = Socket { budget, ..Socket::default() };
        let mut outgoing = outgoing();
        outgoing.send(Class::Data, &parts(&frames[..3]), socket.write()).unwrap();
        outgoing.send(Class::Control, &parts(&frames[3..]), socket.write()).unwrap();
        socket.budget = ALL;
        outgoing.flush(socket.write()).unwrap();
        let order: Vec<_> = socket.frames().iter().map(|frame| frame[0]).collect();
        let begun = budget.div_ceil(14);
        let mut expected = vec![0, 1, 2];
        expected.insert(begun, 3);
        assert_eq!(order, expected, "{budget} bytes");
    }
}

#[test]
fn a_full_control_queue_drops_the_newest_whole_frames_and_counts_them() {
    let mut socket = Socket::default();
    let mut outgoing = outgoing();
    let frame = vec![1; 1020];
    let data = outgoing.send(Class::Data, &[FrameParts::whole(b"before")], socket.write()).unwrap();
    assert_eq!(data, Sent { accepted: 1, dropped: 0 });
    let frames = vec![FrameParts::whole(&frame); CONTROL_LIMIT / 1024 + 7];
    let sent = outgoing.send(Class::Control, &frames, socket.write()).unwrap();
    assert_eq!(sent, Sent { accepted: CONTROL_LIMIT / 1024, dropped: 7 });
    assert_eq!((outgoing.waiting(), outgoing.dropped()), (CONTROL_LIMIT + 10, 7));
    socket.budget = ALL;
    outgoing.flush(socket.write()).unwrap();
    assert_eq!(socket.frames().len(), CONTROL_LIMIT / 1024 + 1);
    assert!(socket.largest <= CONTROL_LIMIT + 10, "{} bytes at once", socket.largest);
}

#[test]
fn data_is_taken_whole_or_not_at_all_and_who_was_refused_is_told_once() {
    let frames = numbered(8, 12_000);
    let call = 8 * 12_004;
    // Nothing, half a prefix, half a frame, whole frames, all but one byte.
    for room in [0, 2, 5_000, 3 * 12_004, call - 1] {
        let mut socket = Socket { budget: room, ..Socket::default() };
        let mut outgoing = outgoing();
        assert!(outgoing.ready());
        let sent = outgoing.send(Class::Data, &parts(&frames), socket.write()).unwrap();
        assert_eq!(sent, Sent { accepted: 8, dropped: 0 });
        assert_eq!(outgoing.waiting(), call - room);
        assert!(!outgoing.take_refused(), "nobody was refused yet");

        let too_large = [vec![2; MAX_FRAME + 1]];
        for refused in [&frames, &too_large[..]] {
            let sent = outgoing.send(Class::Data, &parts(refused), socket.write()).unwrap();
            assert_eq!(sent, Sent::default());
        }
        assert_eq!((outgoing.waiting(), outgoing.dropped()), (call - room, 0));
        outgoing.flush(socket.write()).unwrap();
        assert!(!outgoing.take_refused(), "it would be refused again");

        socket.budget = ALL;
        outgoing.flush(socket.write()).unwrap();
        assert_eq!([outgoing.take_refused(), outgoing.take_refused()], [true, false]);
        assert!(outgoing.ready());
        assert_eq!(socket.frames(), frames);
    }
}

#[test]
fn data_does_not_pass_control_that_waits() {
    let mut socket = Socket::default();
    let mut outgoing = outgoing();
    outgoing.send(Class::Control, &parts(&numbered(1, 10)), socket.write()).unwrap();
    socket.budget = ALL;
    let sent = outgoing.send(Class::Data, &parts(&numbered(1, 10)), socket.write()).unwrap();
    assert_eq!(sent, Sent::default());
    outgoing.flush(socket.write()).unwrap();
    assert!(outgoing.take_refused());
}

#[test]
fn a_call_above_the_limit_is_dropped_and_counted() {
    let mut socket = Socket { budget: ALL, ..Socket::default() };
    let mut outgoing = outgoing();
    let mut frames = vec![vec![1; 1024]; MAX_UNIT / 1024];
    assert_eq!(outgoing.send(Class::Data, &parts(&frames), socket.write()).unwrap().accepted, frames.len());
    frames.push(vec![1]);
    let sent = outgoing.send(Class::Data, &parts(&frames), socket.write()).unwrap();
    assert_eq!(sent, Sent { accepted: 0, dropped: frames.len() });
    assert_eq!(outgoing.dropped(), u64::try_from(frames.len()).unwrap());
    assert!(outgoing.ready());
}

#[test]
fn frames_above_the_limit_are_dropped_and_the_others_pass() {
    let (good, bad) = (vec![1; 1280], vec![2; 1281]);
    let frames = [&bad, &good, &bad, &good].map(|frame| FrameParts::whole(frame));
    let mut socket = Socket { budget: ALL, ..Socket::default() };
    let mut outgoing = Outgoing::new(1280);
    let sent = outgoing.send(Class::Data, &frames, socket.write()).unwrap();
    assert_eq!(sent, Sent { accepted: 2, dropped: 2 });
    assert_eq!(socket.frames(), [good.clone(), good]);
}

#[test]
fn errors_of_the_socket_come_through() {
    let frame = [FrameParts::whole(b"frame")];
    let mut outgoing = outgoing();
    let mut interrupted = true;
    let error = outgoing.send(Class::Data, &frame, |_: &[IoSlice<'_>]| {
        let kind = if interrupted { ErrorKind::Interrupted } else { ErrorKind::BrokenPipe };
        interrupted = false;
        Err(kind.into())
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::BrokenPipe);
    let error = outgoing.send(Class::Data, &frame, |_: &[IoSlice<'_>]| Ok(0));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::WriteZero);
}

/// Data frames, which begin with a zero, that begin behind so many bytes.
fn data_behind(socket: &Socket, bytes: usize) -> Vec<Vec<u8>> {
    let mut end = 0;
    let begun_behind = |frame: &Vec<u8>| {
        let start = end;
        end += PREFIX + frame.len();
        start >= bytes && frame[0] == 0
    };
    socket.frames().into_iter().filter(begun_behind).collect()
}

proptest! {
    /// Whatever the socket takes when: whole frames only, each class in its order.
    #[test]
    fn partial_writes_never_cut_or_reorder(
        steps in prop::collection::vec((0_usize..200, any::<bool>(), 0_usize..6, 0_usize..90), 1..60),
        acknowledged: prop::sample::Index,
    ) {
        let mut socket = Socket::default();
        let mut outgoing = outgoing();
        let mut expected = [Vec::new(), Vec::new()];
        let mut number = 0_u32;
        for (budget, control, count, length) in steps {
            socket.budget = budget;
            outgoing.flush(socket.write()).unwrap();
            let frames: Vec<_> = (0..count)
                .map(|_| {
                    number += 1;
                    [&[u8::from(control)][..], &number.to_be_bytes(), &vec![0; length]].concat()
                })
                .collect();
            let class = if control { Class::Control } else { Class::Data };
            let (ready, dropped) = (outgoing.ready(), outgoing.dropped());
            let sent = outgoing.send(class, &parts(&frames), socket.write()).unwrap();
            prop_assert_eq!(outgoing.dropped(), dropped);
            if control || ready {
                prop_assert_eq!(sent, Sent { accepted: count, dropped: 0 });
                expected[usize::from(control)].extend(frames);
            } else {
                prop_assert_eq!(sent, Sent::default());
            }
        }
        let acknowledged = acknowledged.index(socket.bytes.len() + 1);
        let unacknowledged = outgoing.unacknowledged(socket.bytes[acknowledged..].to_vec());
        socket.budget = ALL;
        outgoing.flush(socket.write()).unwrap();
        let found: Vec<_> = unacknowledged.frames().map(<[u8]>::to_vec).collect();
        prop_assert_eq!(found, data_behind(&socket, acknowledged));
        prop_assert_eq!(outgoing.waiting(), 0);
        prop_assert_eq!(outgoing.written(), u64::try_from(socket.bytes.len()).unwrap());
        let (control, data): (Vec<_>, Vec<_>) = socket.frames().into_iter().partition(|frame| frame[0] == 1);
        prop_assert_eq!([data, control], expected);
    }
}

#[test]
fn memory_goes_back_while_a_burst_ends() {
    let mut outgoing = outgoing();
    // Tiny frames need most beside their bytes.
    let frames = vec![FrameParts::whole(b"!"); MAX_UNIT];
    let sent = outgoing.send(Class::Data, &frames, Socket::default().write()).unwrap();
    assert_eq!(sent.accepted, MAX_UNIT);
    while outgoing.waits() {
        outgoing.flush(Socket { budget: 50_000, ..Socket::default() }.write()).unwrap();
        let queue = &outgoing.data.bytes;
        assert!(queue.capacity() <= KEPT.max(4 * queue.len() + 8), "{} of {}", queue.len(), queue.capacity());
    }
}

#[test]
fn of_many_frames_the_newest_are_remembered() {
    let mut socket = Socket { budget: ALL, ..Socket::default() };
    let mut outgoing = outgoing();
    let frames: Vec<_> = (0..5000_u16).map(|number| number.to_be_bytes().to_vec()).collect();
    outgoing.send(Class::Data, &parts(&frames), socket.write()).unwrap();
    let found = outgoing.unacknowledged(socket.bytes);
    assert!(found.frames().eq(frames[5000 - begun::LIMIT..].iter()));
}

#[test]
fn a_held_link_takes_control_alone_until_it_is_let_go() {
    let mut outgoing = Outgoing::new(MAX_FRAME);
    let mut socket = Socket { budget: 10_000, ..Socket::default() };
    outgoing.hold(true);
    let (data, control) = (numbered(2, 100), numbered(1, 50));
    assert_eq!(outgoing.send(Class::Data, &parts(&data), socket.write()).unwrap(), Sent::default());
    let sent = outgoing.send(Class::Control, &parts(&control), socket.write()).unwrap();
    assert_eq!(sent, Sent { accepted: 1, dropped: 0 });
    assert_eq!(socket.frames(), control);
    assert!(!outgoing.take_refused(), "it is not yet over");
    outgoing.hold(false);
    assert!(outgoing.take_refused() && !outgoing.take_refused(), "said once");
    let sent = outgoing.send(Class::Data, &parts(&data), socket.write()).unwrap();
    assert_eq!(sent.accepted, 2);
}
