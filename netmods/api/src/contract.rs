// SPDX-License-Identifier: AGPL-3.0-or-later
//! The contract of a driver, as tests that any driver can be put through: join two routers by one link, then call
//! [`check`].

mod recorder;

use std::time::{Duration, Instant};

use ratman_types::Hop;
pub use recorder::{Event, Recorder};

use crate::{Class, FrameParts, Inbox, LinkUp, MAX_UNIT, Netmod, Sent, Target};

/// How long a medium may take to move what it took towards an end that does not read.
const FILLS_UP: Duration = Duration::from_millis(300);
/// How long a medium may take to acknowledge what has arrived.
const ACKNOWLEDGES: Duration = Duration::from_secs(5);
/// Frames of 245 bytes that a medium may hold between two routers: 64 MiB.
const MOST_TAKEN: u32 = 64 * 1024 * 1024 / 245;

/// One router of the test: its driver, and what the driver said.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The driver under test.
    pub netmod: &'a dyn Netmod,
    /// The inbox it was given.
    pub inbox: &'a Recorder,
}

/// Puts a driver through everything that it owes its users.
///
/// `a` and `b` are joined by exactly one link, no third router is there, and nothing is lost on the way. `stall(true)`
/// makes the medium take no more data from `a` after a while, at most 64 MiB; `stall(false)` lets everything go.
///
/// # Panics
/// Where the contract is broken.
pub fn check(a: End<'_>, b: End<'_>, stall: &dyn Fn(bool)) {
    let (at_a, at_b) = (a.inbox.link(), b.inbox.link());
    links_agree(a, &at_a, b, &at_b);
    frames_arrive_whole_and_in_order(&at_a, b, &at_b);
    frames_arrive_whole_and_in_order(&at_b, a, &at_a);
    the_mtu_is_kept(a, &at_a, b);
    drops_are_told(a, b, &at_b);
    a_busy_hop_takes_nothing_and_says_when_it_does_again(a, &at_a, b, stall);
    targets_are_served_as_the_capabilities_say(a, &at_a, b);
    peering_frames_stay_below(a, &at_a, b);
    a_closed_link_is_gone_for_good(a, &at_a, b, &at_b);
}

fn links_agree(a: End<'_>, at_a: &LinkUp, b: End<'_>, at_b: &LinkUp) {
    assert_ne!(at_a.hop.neighbour, at_b.hop.neighbour);
    assert_ne!(at_a.dialed, at_b.dialed, "one end dials, the other listens");
    assert_eq!(at_a.proofs, at_b.proofs, "one-hop frames are signed over the same hash at both ends");
    for (end, up) in [(a, at_a), (b, at_b)] {
        assert!(told_about(end).iter().all(|hop| *hop == up.hop), "nothing about hops that are not up");
        assert_eq!(up.netmod, end.netmod.name());
        assert_eq!(end.netmod.mtu(Some(up.hop)), Some(up.mtu));
        assert_eq!(up.outbox.mtu(), up.mtu);
        assert!(end.netmod.mtu(None).is_some_and(|mtu| mtu <= up.mtu), "what fits any hop fits this one");
        assert!(end.netmod.name().is_ascii());
    }
    assert_eq!(a.netmod.mtu(Some(at_b.hop)), None, "a hop of another router is not up here");
}

/// The hops that the driver says something about.
fn told_about(end: End<'_>) -> Vec<Hop> {
    let samples = end.netmod.samples(end.inbox.now()).into_iter().map(|(hop, _)| hop);
    samples.chain(end.netmod.underlay().into_iter().map(|(hop, _)| hop)).collect()
}

fn frames_arrive_whole_and_in_order(from: &LinkUp, to: End<'_>, at_to: &LinkUp) {
    let before = at_to.outbox.activity().received_frames;
    let frames: Vec<_> = (0..100_u8).map(|number| vec![number; 10 + usize::from(number)]).collect();
    let parts: Vec<_> = frames
        .iter()
        .map(|frame| FrameParts { head: &frame[..4], body: &frame[4..8], tail: &frame[8..] })
        .collect();
    assert_eq!(from.outbox.send(Class::Data, &[]), Sent::default());
    assert_eq!(from.outbox.send(Class::Data, &parts), Sent { accepted: 100, dropped: 0 });
    assert_eq!(to.inbox.take_frames(100), frames);
    let activity = from.outbox.activity();
    assert!(activity.sent_bytes >= 100, "{activity:?}");
    assert_eq!((activity.queued_bytes, activity.dropped), (0, 0));
    to.inbox.wait_until(|_| (at_to.outbox.activity().received_frames == before + 100).then_some(()));
}

fn the_mtu_is_kept(a: End<'_>, at_a: &LinkUp, b: End<'_>) {
    let mtu = usize::try_from(at_a.mtu.0).expect("an MTU fits in memory");
    let (largest, more) = (vec![0xfe; mtu], vec![0xff; mtu + 1]);
    let frames = [&more, &largest].map(|frame| FrameParts::whole(frame));
    assert_eq!(at_a.outbox.send(Class::Data, &frames), Sent { accepted: 1, dropped: 1 });
    assert_eq!(b.inbox.take_frames(1), [largest]);
    assert_eq!(at_a.outbox.activity().dropped, 1);
    let target = if a.netmod.capabilities().unicast() { Target::One(at_a.hop) } else { Target::AllBut(&[]) };
    assert_eq!(a.netmod.send(target, Class::Data, &more), Sent { accepted: 0, dropped: 1 });
}

/// A frame above the MTU and a hop that is not up here, each over both ways to send.
fn drops_are_told(a: End<'_>, b: End<'_>, at_b: &LinkUp) {
    let told = |end: End<'_>| end.netmod.drops().iter().map(|(_, count)| count).sum::<u64>();
    let before = told(a);
    let sent = a.netmod.send(Target::One(at_b.hop), Class::Data, b"\xeenot here");
    assert_eq!(sent, Sent { accepted: 0, dropped: 1 });
    assert_eq!(told(a), before + 1, "a hop that is not up");
    let before = told(b);
    let mtu = usize::try_from(at_b.mtu.0).expect("an MTU fits in memory");
    let more = vec![0xff; mtu + 1];
    assert_eq!(at_b.outbox.send(Class::Data, &[FrameParts::whole(&more)]).dropped, 1);
    assert_eq!(told(b), before + 1, "a frame above the MTU");
    let frames = vec![FrameParts::whole(&more[..mtu]); MAX_UNIT / mtu + 1];
    assert_eq!(at_b.outbox.send(Class::Data, &frames), Sent { accepted: 0, dropped: frames.len() });
    assert_eq!(told(b), before + 1 + u64::try_from(frames.len()).expect("few"), "a call above the limit");
}

fn a_busy_hop_takes_nothing_and_says_when_it_does_again(
    a: End<'_>,
    at_a: &LinkUp,
    b: End<'_>,
    stall: &dyn Fn(bool),
) {
    let numbered = |number: u32| [&[0xee][..], &number.to_be_bytes(), &[7; 240]].concat();
    let dropped = at_a.outbox.activity().dropped;
    assert!(at_a.outbox.ready());
    stall(true);
    let mut taken = 0;
    let calls = loop {
        let unit: Vec<_> = (taken..taken + 100).map(numbered).collect();
        let parts: Vec<_> = unit.iter().map(|frame| FrameParts::whole(frame)).collect();
        let calls = a.inbox.writable_calls(at_a.hop);
        match at_a.outbox.send(Class::Data, &parts) {
            Sent { accepted: 100, dropped: 0 } => taken += 100,
            nothing => {
                assert_eq!(nothing, Sent::default(), "all of a call or nothing");
                // Between here and the end that does not read there may be room yet.
                std::thread::sleep(FILLS_UP);
                if a.inbox.writable_calls(at_a.hop) == calls {
                    break calls;
                }
            }
        }
        assert!(taken < MOST_TAKEN, "the medium does not fill up");
    };
    assert!(!at_a.outbox.ready());
    let more = vec![0xff; usize::try_from(at_a.mtu.0).expect("an MTU fits in memory") + 1];
    assert_eq!(at_a.outbox.send(Class::Data, &[FrameParts::whole(&more)]), Sent::default());
    let control = at_a.outbox.send(Class::Control, &[FrameParts::whole(b"\xeecontrol")]);
    assert_eq!(control, Sent { accepted: 1, dropped: 0 }, "control does not wait for data");
    assert_eq!(a.inbox.writable_calls(at_a.hop), calls, "it is not writable yet");
    let sent: Vec<_> = (0..taken).map(numbered).collect();
    assert!(sent.ends_with(&unacknowledged(at_a)), "the newest data frames, whole, in order, and no control");

    stall(false);
    a.inbox.wait_until(|events| {
        let writable = |event: &&Event| matches!(event, Event::Writable(hop) if *hop == at_a.hop);
        (events.iter().filter(writable).count() == calls + 1).then_some(())
    });
    assert!(at_a.outbox.ready());
    let last = numbered(taken);
    assert_eq!(at_a.outbox.send(Class::Data, &[FrameParts::whole(&last)]).accepted, 1);
    let expected = usize::try_from(taken).expect("it fits") + 2;
    let mut frames = b.inbox.take_frames(expected);
    frames.retain(|frame| frame != b"\xeecontrol");
    assert!(frames.iter().eq((0..=taken).map(numbered).collect::<Vec<_>>().iter()), "whole and in order");
    assert_eq!(a.inbox.writable_calls(at_a.hop), calls + 1, "nobody asked again");
    assert_eq!(at_a.outbox.activity().dropped, dropped);
    let began = Instant::now();
    while !unacknowledged(at_a).is_empty() {
        assert!(began.elapsed() < ACKNOWLEDGES, "what has arrived is acknowledged");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn unacknowledged(at: &LinkUp) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    at.outbox.unacknowledged(&mut |frame| frames.push(frame.to_vec()));
    frames
}

fn targets_are_served_as_the_capabilities_say(a: End<'_>, at_a: &LinkUp, b: End<'_>) {
    let can = a.netmod.capabilities();
    let expect = |sent, can: bool, frame: &[u8]| {
        assert_eq!(sent, Sent { accepted: usize::from(can), dropped: usize::from(!can) });
        if can {
            assert_eq!(b.inbox.take_frames(1), [frame]);
        }
    };
    expect(a.netmod.send(Target::One(at_a.hop), Class::Control, b"\xeeone"), can.unicast(), b"\xeeone");
    expect(a.netmod.send(Target::AllBut(&[]), Class::Data, b"\xeeall"), can.broadcast(), b"\xeeall");
    if can.unicast() && can.broadcast() {
        let sent = a.netmod.send(Target::AllBut(&[at_a.hop.neighbour]), Class::Data, b"\xeenobody");
        assert_eq!(sent, Sent::default(), "the only neighbour is left out");
    }
}

fn peering_frames_stay_below(a: End<'_>, at_a: &LinkUp, b: End<'_>) {
    // Version 2, hops_left 0, mode 36, and version 1, mode 32; then one that arrives.
    let frames = [&[2, 0, 0, 36, 1][..], &[1, 0, 32, 1], b"\xeelast"].map(FrameParts::whole);
    at_a.outbox.send(Class::Data, &frames);
    assert_eq!(b.inbox.take_frames(1), [b"\xeelast"]);
    a.netmod.network_changed();
    assert!(a.netmod.mtu(Some(at_a.hop)).is_some(), "a change of the network ends no link");
}

fn a_closed_link_is_gone_for_good(a: End<'_>, at_a: &LinkUp, b: End<'_>, at_b: &LinkUp) {
    a.netmod.close(at_a.hop);
    a.netmod.close(at_a.hop);
    for (end, up) in [(a, at_a), (b, at_b)] {
        end.inbox.down(up.hop);
        assert_eq!(end.netmod.mtu(Some(up.hop)), None);
        let sent = up.outbox.send(Class::Control, &[FrameParts::whole(b"\xeelate")]);
        assert_eq!(sent, Sent { accepted: 0, dropped: 1 });
        let sent = up.outbox.send(Class::Data, &[FrameParts::whole(b"\xeelate")]);
        assert_eq!(sent, Sent { accepted: 0, dropped: 1 });
        assert!(!up.outbox.ready());
        assert!(unacknowledged(up).is_empty());
        assert!(!told_about(end).contains(&up.hop), "nothing is said about a link that is gone");
        let writable = end.inbox.writable_calls(up.hop);
        std::thread::sleep(Duration::from_millis(10));
        let downs = end.inbox.count(|event| matches!(event, Event::Down(hop, _) if *hop == up.hop));
        assert_eq!(downs, 1, "the end of a link is said once");
        assert_eq!(end.inbox.writable_calls(up.hop), writable, "and is the last that is said");
    }
}
