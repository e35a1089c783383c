// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the data plane decides about session frames, and what it leaves to others.

use super::*;
use crate::{Forward, forward, sign_frame};
use ratman_types::{Namespace, Recipient};

#[test]
fn the_data_plane_decides_alone_about_session_frames() {
    let mut rig = Rig::with_neighbours(2);
    let (left, right) = (Origin::new(1), Origin::new(2));
    rig.announce(0, &left, rig.wall(), 5);
    rig.announce(1, &right, rig.wall(), 5);
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
    let signed = |mode, to| {
        let header = Header::new(mode, [0; 32]).to(Recipient::Address(to));
        sign_frame(&left.key, header, b"block")
    };
    for mode in [Mode::DATA, Mode::RECEIPT, Mode(0x9000)] {
        for to in [local, right.address(), nowhere] {
            assert_eq!(decide(signed(mode, to)), Forward::Stream);
        }
    }
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
fn frames_of_streams_are_none_of_the_routers_business() {
    let mut rig = Rig::with_neighbours(1);
    let origin = Origin::new(1);
    let header = Header::new(Mode::DATA, [0; 32]).to(Recipient::Address(origin.address()));
    let frame = sign_frame(&origin.key, header, b"block");
    let verified = rig.verified(|rig| {
        assert_eq!(rig.dropped(DropReason::ModeNotServed, |rig| rig.receive(0, &frame)), 1);
    });
    assert_eq!(verified, 0);
}
