// SPDX-License-Identifier: AGPL-3.0-or-later
use super::*;
use crate::deframer::Deframer;
use proptest::prelude::*;

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
    Outgoing::new(Budget::new(DATA_LIMIT))
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
fn full_queues_drop_the_newest_whole_frames_and_count_them() {
    for (class, limit) in [(Class::Control, CONTROL_LIMIT), (Class::Data, DATA_LIMIT)] {
        let mut socket = Socket::default();
        let mut outgoing = outgoing();
        let frame = vec![1; 1020];
        let frames = vec![FrameParts::whole(&frame); limit / 1024 + 7];
        let sent = outgoing.send(class, &frames, socket.write()).unwrap();
        assert_eq!(sent, Sent { accepted: limit / 1024, dropped: 7 });
        assert_eq!((outgoing.waiting(), outgoing.dropped()), (limit, 7));
        let other = if class == Class::Data { Class::Control } else { Class::Data };
        let sent = outgoing.send(other, &frames[..1], socket.write()).unwrap();
        assert_eq!(sent.accepted, 1, "a full queue does not fill the other");
        socket.budget = ALL;
        outgoing.flush(socket.write()).unwrap();
        assert_eq!(socket.frames().len(), limit / 1024 + 1);
        assert!(socket.largest <= CONTROL_LIMIT + DATA_AT_ONCE, "{} bytes at once", socket.largest);
        assert!(outgoing.data.bytes.capacity() <= KEPT, "a burst does not stay allocated");
    }
}

#[test]
fn frames_above_the_limit_are_dropped_and_the_others_pass() {
    let (good, bad) = (vec![1; MAX_FRAME], vec![2; MAX_FRAME + 1]);
    let frames = [&bad, &good, &bad, &good].map(|frame| FrameParts::whole(frame));
    let mut socket = Socket { budget: ALL, ..Socket::default() };
    let mut outgoing = outgoing();
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

proptest! {
    /// Whatever the socket takes when: whole frames only, each class in its order.
    #[test]
    fn partial_writes_never_cut_or_reorder(
        steps in prop::collection::vec((0_usize..200, any::<bool>(), 0_usize..6, 0_usize..90), 1..60),
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
            let sent = outgoing.send(class, &parts(&frames), socket.write()).unwrap();
            prop_assert_eq!(sent.accepted, count);
            expected[usize::from(control)].extend(frames);
        }
        socket.budget = ALL;
        outgoing.flush(socket.write()).unwrap();
        prop_assert_eq!(outgoing.waiting(), 0);
        prop_assert_eq!(outgoing.written(), u64::try_from(socket.bytes.len()).unwrap());
        let (control, data): (Vec<_>, Vec<_>) = socket.frames().into_iter().partition(|frame| frame[0] == 1);
        prop_assert_eq!([data, control], expected);
    }
}

#[test]
fn queues_of_many_links_together_are_limited() {
    let budget = Budget::new(2 * DATA_LIMIT);
    let mut links: Vec<_> = (0..4).map(|_| Outgoing::new(Arc::clone(&budget))).collect();
    let frame = [vec![7; 8000]];
    let blocked = || Socket::default();
    let mut accepted = [0; 4];
    for (link, accepted) in links.iter_mut().zip(&mut accepted) {
        while link.send(Class::Data, &parts(&frame), blocked().write()).unwrap().dropped == 0 {
            *accepted += 1;
        }
    }
    let dropped_by_all: Vec<_> = links.iter().map(Outgoing::over_budget).collect();
    assert_eq!(dropped_by_all, [0, 0, 1, 1]);
    assert_eq!(accepted[0], accepted[1]);
    assert_eq!(accepted[3], crate::budget::OWN / 8004, "what is a link's own it has even then");
    let waiting: usize = links.iter().map(Outgoing::waiting).sum();
    assert!(waiting <= 2 * DATA_LIMIT + 4 * crate::budget::OWN, "{waiting}");
    let control = links[3].send(Class::Control, &parts(&frame), blocked().write()).unwrap();
    assert_eq!(control.accepted, 1, "control has a limit of its own");

    // What one link writes, another may queue; what is discarded too.
    links[0].flush(Socket { budget: 100_000, ..Socket::default() }.write()).unwrap();
    assert_eq!(links[3].send(Class::Data, &parts(&frame), blocked().write()).unwrap().accepted, 1);
    links[1].discard();
    assert_eq!(links[1].waiting(), 0);
    while links[3].send(Class::Data, &parts(&frame), blocked().write()).unwrap().dropped == 0 {}
    assert_eq!(links[3].over_budget(), 1, "now the link's own queue is full");
}

#[test]
fn memory_goes_back_while_a_burst_ends() {
    let mut outgoing = outgoing();
    let frame = [vec![7; 8000]];
    while outgoing.send(Class::Data, &parts(&frame), Socket::default().write()).unwrap().dropped == 0 {}
    while outgoing.waits() {
        outgoing.flush(Socket { budget: 50_000, ..Socket::default() }.write()).unwrap();
        let queue = &outgoing.data.bytes;
        assert!(queue.capacity() <= KEPT.max(4 * queue.len() + 8), "{} of {}", queue.len(), queue.capacity());
    }
}
