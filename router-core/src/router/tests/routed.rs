// SPDX-License-Identifier: AGPL-3.0-or-later
//! Signed frames on their way through, and session frames beside them.

use super::*;
use crate::{Forward, forward, sign_frame};
use ratman_types::{Namespace, Recipient};

/// A router with an address behind each of two neighbours.
fn rig() -> (Rig, Origin, Origin) {
    let mut rig = Rig::with_neighbours(2);
    let (left, right) = (Origin::new(1), Origin::new(2));
    rig.announce(0, &left, rig.wall(), 5);
    rig.announce(1, &right, rig.wall(), 5);
    rig.neighbours.iter_mut().for_each(|neighbour| neighbour.got.clear());
    (rig, left, right)
}

fn block(from: &Origin, to: Address) -> Vec<u8> {
    let header = Header::new(Mode(8), [0; 32]).to(Recipient::Address(to));
    sign_frame(&from.key, header, b"block")
}

#[test]
fn a_signed_frame_is_verified_and_forwarded_with_one_hop_less() {
    let (mut rig, left, right) = rig();
    let frame = block(&left, right.address());
    assert_eq!(rig.verified(|rig| rig.receive(0, &frame)), 1);
    let [got] = &rig.neighbours[1].got[..] else { panic!() };
    let mut expected = frame;
    ratman_wire::carrier::set_hops_left(&mut expected, 63);
    assert_eq!(*got, expected);
    assert_eq!(rig.router.counters().frames_forwarded, 1);
}

#[test]
fn a_forged_or_unsigned_frame_is_not_forwarded() {
    let (mut rig, left, right) = rig();
    let mut forged = block(&left, right.address());
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(rig.dropped(DropReason::BadSignature, |rig| rig.receive(0, &forged)), 1);
    let header = Header::new(Mode(8), left.key.public()).to(Recipient::Address(right.address()));
    let unsigned = Frame { header, payload: b"block" }.encode();
    assert_eq!(rig.dropped(DropReason::Unsigned, |rig| rig.receive(0, &unsigned)), 1);
    assert!(rig.neighbours[1].got.is_empty());
}

#[test]
fn the_cheap_questions_come_before_the_signature() {
    let (mut rig, left, right) = rig();
    let verified = rig.verified(|rig| {
        let back = block(&left, left.address());
        assert_eq!(rig.dropped(DropReason::OnlyWayBack, |rig| rig.receive(0, &back)), 1);
        let nowhere = block(&left, Address::from_bytes([77; 32]));
        assert_eq!(rig.dropped(DropReason::NoRoute, |rig| rig.receive(0, &nowhere)), 1);
        let mut tired = block(&left, right.address());
        ratman_wire::carrier::set_hops_left(&mut tired, 0);
        assert_eq!(rig.dropped(DropReason::HopLimit, |rig| rig.receive(0, &tired)), 1);
        let nobody = sign_frame(&left.key, Header::new(Mode(16), [0; 32]), b"");
        assert_eq!(rig.dropped(DropReason::NoRecipient, |rig| rig.receive(0, &nobody)), 1);
        let header = Header::new(Mode(8), [0; 32]).to(Recipient::Namespace(Namespace::from_bytes([1; 32])));
        let many = sign_frame(&left.key, header, b"");
        assert_eq!(rig.dropped(DropReason::NamespaceNotServed, |rig| rig.receive(0, &many)), 1);
        let hop = rig.hop(1).unwrap();
        rig.router.handle_link(LinkEvent::Mtu { hop, mtu: Mtu(100) }, rig.now);
        let big = block(&left, right.address());
        assert_eq!(rig.dropped(DropReason::FrameTooBig, |rig| rig.receive(0, &big)), 1);
    });
    assert_eq!(verified, 0);
}

#[test]
fn frames_for_us_that_we_do_not_serve_are_counted() {
    let (mut rig, left, _) = rig();
    let ours = SecretKey::from_seed([50; 32]);
    let address = ours.address();
    rig.router.add_local(Arc::new(ours), WallTime::default(), rig.now);
    let frame = block(&left, address);
    assert_eq!(rig.dropped(DropReason::NotDelivered, |rig| rig.receive(0, &frame)), 1);
    let header = Header::new(Mode(0x9000), [0; 32]).to(Recipient::Address(address));
    let user = sign_frame(&left.key, header, b"");
    assert_eq!(rig.dropped(DropReason::NotDelivered, |rig| rig.receive(0, &user)), 1);
}

#[test]
fn the_data_plane_decides_alone_about_session_frames() {
    let (mut rig, left, right) = rig();
    let ours = SecretKey::from_seed([50; 32]);
    let local = ours.address();
    rig.router.add_local(Arc::new(ours), WallTime::default(), rig.now);
    let fib = rig.router.fib();
    let from = rig.hop(0).unwrap();
    let session = |to: Option<Recipient>, change: fn(&mut Header)| {
        let mut header = Header { recipient: to, ..Header::new(Mode::SESSION_DATA, left.key.public()) };
        change(&mut header);
        Frame { header, payload: &[0; 200] }.encode()
    };
    let to = |address| Some(Recipient::Address(address));
    let decide = |mut frame: Vec<u8>| forward(&fib, from, &mut frame);
    let keep = |_: &mut Header| ();
    assert_eq!(decide(session(to(local), keep)), Forward::Local);
    assert_eq!(decide(session(to(right.address()), keep)), Forward::Send { hop: rig.hop(1).unwrap() });
    assert_eq!(decide(session(to(left.address()), keep)), Forward::Drop(DropReason::OnlyWayBack));
    assert_eq!(decide(session(None, keep)), Forward::Drop(DropReason::NoRecipient));
    let nowhere = Address::from_bytes([77; 32]);
    assert_eq!(decide(session(to(nowhere), keep)), Forward::Drop(DropReason::NoRoute));
    let many = Some(Recipient::Namespace(Namespace::from_bytes([1; 32])));
    assert_eq!(decide(session(many, keep)), Forward::Drop(DropReason::NamespaceNotServed));
    let tired = session(to(right.address()), |header| header.hops_left = 0);
    assert_eq!(decide(tired), Forward::Drop(DropReason::HopLimit));
    let at_its_end = session(to(local), |header| header.hops_left = 0);
    assert_eq!(decide(at_its_end), Forward::Local);
    let options = session(to(local), |header| header.auxiliary = Some([0; 64]));
    assert_eq!(decide(options), Forward::Drop(DropReason::SessionForm));
    assert_eq!(decide(block(&left, right.address())), Forward::Control);
    assert_eq!(decide(vec![2]), Forward::Drop(DropReason::MalformedFrame));
    assert_eq!(decide(vec![1; 90]), Forward::Drop(DropReason::CarrierVersion1));
    let mut frame = session(to(right.address()), keep);
    forward(&fib, from, &mut frame);
    assert_eq!(Frame::decode(&frame).unwrap().header.hops_left, 63);
    let header = Header::new(Mode::SESSION_DATA, left.key.public()).to(Recipient::Address(right.address()));
    let big = Frame { header, payload: &[0; 30_000] }.encode();
    assert_eq!(decide(big), Forward::Drop(DropReason::FrameTooBig));
}

#[test]
fn a_flood_of_routed_frames_leaves_announcements_their_verifications() {
    let (mut rig, left, right) = rig();
    let frame = block(&left, right.address());
    let refused = rig.dropped(DropReason::VerificationQuota, |rig| {
        for _ in 0..1_100 {
            rig.receive(0, &frame);
        }
    });
    assert_eq!(refused, 100);
    let newcomer = Origin::new(3);
    rig.announce(0, &newcomer, rig.wall(), 5);
    assert_eq!(rig.hop_to(&newcomer.address()), rig.hop(0));
}
