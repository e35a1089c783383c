// SPDX-License-Identifier: AGPL-3.0-or-later
//! Echoes, RouterMeta, their signatures and freshness, and the clocks in them.

use super::*;
use ratman_wire::FrameId;
use ratman_wire::custody::Custody;
use ratman_wire::router_meta::RouterMeta;

fn frames(rig: &mut Rig, index: usize, mode: Mode) -> Vec<Vec<u8>> {
    let got = core::mem::take(&mut rig.neighbours[index].got);
    got.into_iter().filter(|bytes| Frame::decode(bytes).unwrap().header.mode == mode).collect()
}

fn request(rig: &mut Rig, index: usize) -> Vec<u8> {
    let time = rig.neighbours[index].next_time();
    let echo = Echo { time, nonce: [7; 8], wall_time: rig.wall() };
    rig.neighbours[index].one_hop(Mode::ECHO_REQUEST, &echo.encode())
}

#[test]
fn an_echo_request_is_answered_at_once_with_the_raw_clock() {
    let mut rig = Rig::with_neighbours(1);
    let frame = request(&mut rig, 0);
    rig.receive(0, &frame);
    let [reply] = frames(&mut rig, 0, Mode::ECHO_REPLY).try_into().unwrap();
    let reply = Frame::decode(&reply).unwrap();
    let echo = Echo::decode(reply.payload).unwrap();
    assert_eq!((echo.nonce, echo.wall_time), ([7; 8], rig.wall()));
    let signed = reply.hop_signed_bytes(&rig.neighbours[0].proofs);
    assert!(Ed25519Verifier.verify(rig.router.id().as_bytes(), &signed, &reply.header.signature.unwrap()));
}

#[test]
fn a_clock_before_the_build_date_is_told_as_zero() {
    let now = Now { at: Timestamp::from_micros(7_000_000), wall: WallTime::from_micros(9_000_000) };
    let mut rig = Rig::at(RouterConfig::new([9; 32], BUILD), now);
    let index = rig.link(0, 100);
    let frame = request(&mut rig, index);
    rig.receive(index, &frame);
    let [reply] = frames(&mut rig, index, Mode::ECHO_REPLY).try_into().unwrap();
    assert_eq!(Echo::decode(Frame::decode(&reply).unwrap().payload).unwrap().wall_time, WallTime::default());
}

#[test]
fn one_hop_frames_of_others_of_other_links_replayed_or_unsigned_are_refused() {
    let mut rig = Rig::with_neighbours(2);
    let good = request(&mut rig, 0);
    assert_eq!(rig.dropped(DropReason::WrongSender, |rig| rig.receive(1, &good)), 1);
    let unsigned = {
        let frame = Frame::decode(&good).unwrap();
        Frame { header: Header { signature: None, ..frame.header }, ..frame }.encode()
    };
    assert_eq!(rig.dropped(DropReason::Unsigned, |rig| rig.receive(0, &unsigned)), 1);
    let other_link = rig.link(9, 100);
    assert_eq!(
        rig.dropped(DropReason::BadSignature, |rig| rig.receive(other_link, &good)),
        1,
        "other proofs"
    );
    rig.receive(0, &good);
    let verified = rig.verified(|rig| {
        assert_eq!(rig.dropped(DropReason::StaleOneHop, |rig| rig.receive(0, &good)), 1, "replayed");
    });
    assert_eq!(verified, 0);
    let mut reply = Echo { time: rig.wall(), nonce: [1; 8], wall_time: rig.wall() }.encode();
    let frame = rig.neighbours[0].one_hop(Mode::ECHO_REPLY, &reply);
    assert_eq!(rig.dropped(DropReason::UnaskedEcho, |rig| rig.receive(0, &frame)), 1);
    reply.pop();
    let frame = rig.neighbours[0].one_hop(Mode::ECHO_REPLY, &reply);
    assert_eq!(rig.dropped(DropReason::MalformedPayload, |rig| rig.receive(0, &frame)), 1);
}

#[test]
fn a_forged_echo_reply_does_not_make_a_link_live() {
    let mut rig = Rig::new();
    let index = rig.link(0, 100);
    rig.neighbours[index].answers = false;
    rig.neighbours[index].replies.clear();
    let [first, ..] = &frames(&mut rig, index, Mode::ECHO_REQUEST)[..] else { panic!() };
    let nonce = Echo::decode(Frame::decode(first).unwrap().payload).unwrap().nonce;
    let echo = Echo { time: BUILD, nonce, wall_time: rig.wall() };
    let mut frame = rig.neighbours[index].one_hop(Mode::ECHO_REPLY, &echo.encode());
    let last = frame.len() - 1;
    frame[last] ^= 1;
    assert_eq!(rig.dropped(DropReason::BadSignature, |rig| rig.receive(index, &frame)), 1);
    assert_eq!(rig.router.links().next().unwrap().state, LinkState::Starting);
    rig.pass(secs(6));
    let hop = rig.hop(index).unwrap();
    assert!(rig.events.contains(&Event::CloseLink { hop, reason: CloseReason::Silent }));
}

#[test]
fn router_meta_goes_out_every_thirty_seconds_and_is_kept_when_it_comes() {
    let mut rig = Rig::new();
    let index = rig.link(0, 100);
    rig.pass(secs(61));
    let sent = frames(&mut rig, index, Mode::ROUTER_META);
    assert_eq!(sent.len(), 3);
    let meta = RouterMeta::decode(Frame::decode(&sent[0]).unwrap().payload).unwrap();
    assert_eq!((meta.key_id, meta.known_peers), (rig.router.id(), 1));
    let another = RouterMeta { time: rig.wall(), ..meta };
    let frame = rig.neighbours[index].one_hop(Mode::ROUTER_META, &another.encode());
    assert_eq!(
        rig.dropped(DropReason::WrongSender, |rig| rig.receive(index, &frame)),
        1,
        "it names another router"
    );
    let key_id = rig.neighbours[index].hop.neighbour;
    let theirs = RouterMeta { time: rig.wall(), key_id, known_peers: 9, ..meta };
    let frame = rig.neighbours[index].one_hop(Mode::ROUTER_META, &theirs.encode());
    rig.receive(index, &frame);
    assert_eq!(rig.router.links().next().unwrap().meta, Some(theirs));
}

#[test]
fn custody_is_told_once_and_only_by_the_neighbour_itself() {
    let mut rig = Rig::with_neighbours(2);
    let frames = vec![FrameId::from_bytes([3; 32]), FrameId::from_bytes([4; 32])];
    let mut payload = Vec::new();
    Custody::new(rig.neighbours[0].next_time(), frames.clone()).unwrap().encode_into(&mut payload);
    let good = rig.neighbours[0].one_hop(Mode::CUSTODY, &payload);
    rig.events.clear();
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(rig.dropped(DropReason::BadSignature, |rig| rig.receive(0, &forged)), 1);
    assert_eq!(rig.dropped(DropReason::WrongSender, |rig| rig.receive(1, &good)), 1);
    rig.receive(0, &good);
    assert_eq!(rig.dropped(DropReason::StaleOneHop, |rig| rig.receive(0, &good)), 1);
    let empty = rig.neighbours[0].one_hop(Mode::CUSTODY, &[0; 10]);
    assert_eq!(rig.dropped(DropReason::MalformedPayload, |rig| rig.receive(0, &empty)), 1);
    let told: Vec<_> = rig.events.iter().filter(|event| matches!(event, Event::Custody { .. })).collect();
    assert_eq!(told, [&Event::Custody { from: rig.hop(0).unwrap(), frames }]);
}

#[test]
fn custody_goes_out_in_frames_that_the_link_takes() {
    let mut rig = Rig::with_neighbours(1);
    let hop = rig.hop(0).unwrap();
    rig.router.handle_link(LinkEvent::Mtu { hop, mtu: Mtu(576) }, rig.now);
    let names: Vec<_> = (0..40).map(|byte| FrameId::from_bytes([byte; 32])).collect();
    rig.router.send_custody(hop, &names, rig.now);
    let gone = Hop { link: LinkId(99), ..hop };
    rig.router.send_custody(gone, &names, rig.now);
    rig.collect();
    let (mut told, mut times) = (Vec::new(), Vec::new());
    for bytes in frames(&mut rig, 0, Mode::CUSTODY) {
        assert!(bytes.len() <= 576);
        let frame = Frame::decode(&bytes).unwrap();
        let signed = frame.hop_signed_bytes(&rig.neighbours[0].proofs);
        let id = rig.router.id();
        assert!(Ed25519Verifier.verify(id.as_bytes(), &signed, &frame.header.signature.unwrap()));
        let custody = Custody::decode(frame.payload).unwrap();
        times.push(custody.time);
        told.extend_from_slice(custody.frames());
    }
    assert_eq!(told, names);
    assert!(times.len() > 2 && times.is_sorted_by(|earlier, later| earlier < later), "{times:?}");
}

#[test]
fn clocks_far_apart_are_told_once() {
    let mut rig = Rig::new();
    for byte in 0..2 {
        let index = rig.link(byte, 100 + byte);
        rig.neighbours[index].clock_off = 240_000_000;
    }
    rig.pass(secs(5));
    let told: Vec<_> =
        rig.events.iter().filter(|event| matches!(event, Event::ClockSkew { ahead: false, .. })).collect();
    assert_eq!(told.len(), 1);
    assert!(rig.router.clock_correction().abs_diff(240_000_000) < 10_000);
    assert!(rig.router.links().all(|link| link.clock_offset.unwrap().abs_diff(240_000_000) < 10_000));
    let origin = Origin::new(1);
    let theirs = rig.wall() + secs(240);
    rig.announce(0, &origin, theirs, 5);
    assert!(rig.hop_to(&origin.address()).is_some(), "every time that we compare is corrected");
    for index in 0..2 {
        let hop = rig.hop(index).unwrap();
        rig.router.handle_link(LinkEvent::Down { hop }, rig.now);
    }
    assert_eq!(rig.router.clock_correction(), 0, "who is gone has no vote");
}

#[test]
fn a_used_link_that_gives_nothing_back_is_left_within_a_third_of_a_second() {
    let mut rig = Rig::with_neighbours(2);
    let origin = Origin::new(1);
    rig.pass(secs(1));
    let time = rig.wall();
    rig.announce(0, &origin, time, 5_000);
    rig.announce(1, &origin, time, 5_500);
    rig.neighbours[0].answers = false;
    let hop = rig.hop(0).unwrap();
    for step in 1..=7 {
        let activity =
            LinkEvent::Activity { hop, sent_bytes: step * 1_000, received_frames: 5, acked_bytes: Some(9) };
        rig.router.handle_link(activity, rig.now);
        rig.pass(millis(50));
    }
    assert_eq!(rig.hop_to(&origin.address()), rig.hop(1));
    let told = [Event::FibChanged, Event::LinkStalled { hop }, Event::Neighbours];
    assert!(rig.events.ends_with(&told), "{:?}", rig.events);
}
