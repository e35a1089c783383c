// SPDX-License-Identifier: AGPL-3.0-or-later
//! Path reports: what is believed, for how long, and what is not.

use core::time::Duration;
use std::sync::Arc;

use ratman_types::{Mtu, Recipient};
use ratman_wire::session::{PathReason, PathReport};
use ratman_wire::{Frame, Mode};

use super::super::{SessionDrop, SessionEvent};
use super::network::{Carried, Network, address, header};

const SECOND: Duration = Duration::from_secs(1);
const SMALL: PathReason = PathReason::TooBig { mtu: Mtu(1000) };

/// Three gateways, with sessions of the first to the others.
fn connected() -> Network {
    let mut net = Network::strangers(3);
    net.connect(0, 1);
    net.connect(0, 2);
    net.run(SECOND);
    net
}

/// Sends a frame of over 1300 bytes from the first gateway and returns it.
fn frame(net: &mut Network, to: usize) -> Carried {
    net.send(0, to, &[&[9; 1200]]).unwrap();
    net.history.last().unwrap().clone()
}

/// What a relay says of a frame; `from` and `to` of the result are those that the report itself names.
fn report(about: &Carried, reason: PathReason) -> Carried {
    let header = header(about.mode, address(1), about.to);
    let frame = Frame { header, payload: &about.payload }.encode();
    let report = PathReport::about(&frame, reason).unwrap();
    let Frame { header, payload } = Frame::decode(&report).unwrap();
    let Some(Recipient::Address(to)) = header.recipient else { panic!("nobody") };
    let from = [address(1), address(2), address(3)].iter().position(|node| *node.as_bytes() == header.sender);
    Carried { from: from.unwrap(), to, mode: header.mode, payload: payload.to_vec() }
}

fn path_mtu(net: &mut Network, to: usize) -> Option<Mtu> {
    let remote = net.address(to);
    let believed = net.table(0).path_mtu(&remote);
    assert_eq!(net.status(0, to).unwrap().path_mtu, believed);
    believed
}

#[test]
fn a_report_lowers_the_mtu_of_its_path_only() {
    let mut net = connected();
    let frame = frame(&mut net, 1);
    let table = net.table(0);
    assert_eq!(net.arrive(&report(&frame, SMALL)), Ok(()));
    assert!(!Arc::ptr_eq(&table, &net.table(0)), "the data half sees it");
    assert_eq!(path_mtu(&mut net, 1), Some(Mtu(1000)));
    assert_eq!(path_mtu(&mut net, 2), None);
    let table = net.table(0);
    for larger in [1000, 1001, 1300] {
        assert_eq!(net.arrive(&report(&frame, PathReason::TooBig { mtu: Mtu(larger) })), Ok(()));
    }
    assert!(Arc::ptr_eq(&table, &net.table(0)), "no news");
    assert_eq!(net.arrive(&report(&frame, PathReason::TooBig { mtu: Mtu(0) })), Ok(()));
    assert_eq!(path_mtu(&mut net, 1), Some(Mtu(576)), "never lower");
}

#[test]
fn what_is_lowered_is_believed_for_ten_minutes() {
    let mut net = connected();
    let first = frame(&mut net, 1);
    assert_eq!(net.arrive(&report(&first, SMALL)), Ok(()));
    for second in 0..602 {
        let frame = frame(&mut net, 1);
        if second == 300 {
            // The same again from frames under way does not prolong it.
            assert_eq!(net.arrive(&report(&frame, SMALL)), Ok(()));
        }
        // The sessions are looked over once a second.
        if second != 600 {
            assert_eq!(path_mtu(&mut net, 1).is_some(), second < 600, "second {second}");
        }
        net.run(SECOND);
    }
}

#[test]
fn no_way_is_a_hint_once_a_second() {
    let mut net = connected();
    let frame = frame(&mut net, 2);
    net.nodes[0].events.clear();
    for reason in [PathReason::NoRoute, PathReason::HopLimit] {
        for _ in 0..10 {
            assert_eq!(net.arrive(&report(&frame, reason)), Ok(()));
        }
        assert_eq!(net.nodes[0].events, [SessionEvent::NoWay { remote: address(3) }]);
    }
    net.run(SECOND);
    assert_eq!(net.arrive(&report(&frame, PathReason::NoRoute)), Ok(()));
    assert_eq!(net.nodes[0].events.len(), 2);
    assert_eq!(path_mtu(&mut net, 2), None);
}

#[test]
fn frames_under_the_key_before_may_be_quoted() {
    let mut net = connected();
    let frame = frame(&mut net, 1);
    let key = |net: &mut Network| Arc::clone(net.table(0).send_key(&address(2)).unwrap());
    let old = key(&mut net);
    // The remote has lost its keys and begins anew.
    net.restart(1);
    net.connect(1, 0);
    net.run(SECOND);
    assert!(!Arc::ptr_eq(&old, &key(&mut net)), "there is another key");
    assert_eq!(net.arrive(&report(&frame, SMALL)), Ok(()));
    assert_eq!(path_mtu(&mut net, 1), Some(Mtu(1000)));
}

#[test]
fn what_quotes_no_frame_of_ours_is_refused_and_counted() {
    let mut net = connected();
    let sent = frame(&mut net, 1);
    let good = report(&sent, SMALL);
    let changed = |at: usize, bit: u8| {
        let mut report = good.clone();
        report.payload[at] ^= bit;
        report
    };
    let mut refused = |report: Carried, reason: SessionDrop| {
        let before = net.drops(0, reason);
        assert_eq!(net.arrive(&report), Err(reason));
        assert_eq!(net.drops(0, reason), before + 1);
    };
    refused(changed(21, 1), SessionDrop::ReportForged);
    refused(changed(12, 1), SessionDrop::ReportNotOurs); // another receiver index
    refused(changed(15, 1), SessionDrop::ReportNotOurs); // a counter that was not given out
    refused(changed(20, 1), SessionDrop::ReportForged); // the counter of another frame
    refused(changed(0, 8), SessionDrop::MalformedFrame);
    refused(Carried { payload: vec![1; 36], ..good.clone() }, SessionDrop::MalformedFrame);
    refused(Carried { from: 2, ..good.clone() }, SessionDrop::ReportNotOurs); // of another session
    refused(report(&sent, PathReason::TooBig { mtu: Mtu(1500) }), SessionDrop::ReportWrong);
    let length = u32::try_from(74 + sent.payload.len()).unwrap();
    refused(report(&sent, PathReason::TooBig { mtu: Mtu(length) }), SessionDrop::ReportWrong);
    assert_eq!(path_mtu(&mut net, 1), None);
    net.run(10 * SECOND + SECOND / 2);
    assert_eq!(net.arrive(&good), Err(SessionDrop::ReportTooOld));
    assert_eq!(net.drops(0, SessionDrop::ReportTooOld), 1);
    assert_eq!(path_mtu(&mut net, 1), None);
}

#[test]
fn a_report_about_a_keepalive_is_as_good_as_any() {
    let mut net = connected();
    let keepalive =
        net.history.iter().find(|carried| carried.from == 0 && carried.mode == Mode::SESSION_DATA);
    let keepalive = keepalive.unwrap().clone();
    assert_eq!(net.arrive(&report(&keepalive, PathReason::NoRoute)), Ok(()));
    assert_eq!(net.arrive(&report(&keepalive, SMALL)), Err(SessionDrop::ReportWrong));
}
