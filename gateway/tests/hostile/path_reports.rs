// SPDX-License-Identifier: AGPL-3.0-or-later
//! Path reports: what is forged is counted by its reason and changes nothing, from the remote itself too; what quotes a frame
//! that was sent a moment ago is believed.

use std::time::{Duration, Instant};

use ratman_types::{Address, Mtu, Recipient};
use ratman_wire::session::{DataHeader, PathReason, PathReport, SessionIndex};
use ratman_wire::{Frame, Header, Mode};

use crate::device::Victim;
use crate::packets::icmp;

/// How old a frame is that nobody may quote: 10 s, and the coarse clock's share.
const TOO_OLD: Duration = Duration::from_millis(10_500);

/// Bytes behind the header of an echo: 1300 in all, above the least inner MTU and below that of the device.
const LARGE: [u8; 1_256] = [0; 1_256];

/// Smaller than the frame of a large echo.
const SMALL: PathReason = PathReason::TooBig { mtu: Mtu(1_300) };

impl Victim {
    /// Has A answer a large ping, and returns a report about the frame of the answer.
    fn large_answer(&self, reason: PathReason) -> (PathReport, usize) {
        self.rogue.forget_packets();
        let (own, inside) = self.v6;
        self.send(&icmp(own, inside, 128, &LARGE));
        let is_large = |packet: &[u8]| packet.len() == 44 + LARGE.len() && packet[40] == 129;
        self.rogue.packet("a large answer", is_large);
        let a = self.a;
        let is_newest = |frame: &Frame<'_>| is_data_of(frame, a) && frame.payload.len() > LARGE.len();
        let frame = self.rogue.last_frame("its frame", is_newest);
        let about = PathReport::about(&frame, reason).expect("a data frame");
        let report = Frame::decode(&about).expect("a frame").payload.to_vec();
        (PathReport::decode(&report).expect("a report"), frame.len())
    }

    fn report(&self, sender: Address, payload: &[u8]) {
        let header = Header::new(Mode::PATH_REPORT, *sender.as_bytes()).to(Recipient::Address(self.a));
        self.rogue.send(&Frame { header, payload }.encode());
    }
}

fn is_data_of(frame: &Frame<'_>, sender: Address) -> bool {
    frame.header.mode == Mode::SESSION_DATA && frame.header.sender_address() == sender
}

#[test]
fn forged_reports_change_nothing() {
    let victim = Victim::new();
    let mut books = victim.books();
    let (report, length) = victim.large_answer(SMALL);
    let sent_before = Instant::now();
    let holds = PathReason::TooBig { mtu: Mtu(u32::try_from(length).unwrap()) };
    let header = |change: fn(&mut DataHeader)| {
        let mut report = report;
        change(&mut report.header);
        report
    };
    let rows = [
        ("another tag", "report_forged", PathReport { tag: [7; 16], ..report }),
        ("the frame before it", "report_forged", header(|header| header.counter -= 1)),
        ("a frame of the future", "report_not_ours", header(|header| header.counter += 1_000)),
        ("the last frame of all", "report_not_ours", header(|header| header.counter = u64::MAX)),
        (
            "another key",
            "report_not_ours",
            header(|header| header.receiver = SessionIndex(!header.receiver.0)),
        ),
        ("an MTU that holds the frame", "report_wrong", PathReport { reason: holds, ..report }),
    ];
    let own = victim.rogue.address();
    for (name, reason, report) in rows {
        victim.report(own, &report.encode());
        books.expect_row(name, reason);
    }
    // In the name of B, with whom A has no session.
    victim.report(victim.mesh.b.identity().address.parse().unwrap(), &report.encode());
    books.expect_row("in another's name", "report_not_ours");
    let payload = report.encode();
    for (name, payload) in [
        ("too short", payload[..payload.len() - 1].to_vec()),
        ("too long", [&payload[..], &[0]].concat()),
        ("an unknown reason", [&[9], &payload[1..]].concat()),
        ("no route, with an MTU", [&[2], &payload[1..]].concat()),
    ] {
        victim.report(own, &payload);
        books.expect_row(name, "malformed_session_frame");
    }
    // Still as large as before, so none of them was believed.
    victim.large_answer(SMALL);
    victim.mesh.limit().wait_until("the frame to be too old", || sent_before.elapsed() > TOO_OLD).unwrap();
    victim.report(own, &payload);
    books.expect_row("a frame of 10 s ago", "report_too_old");
    victim.large_answer(SMALL);
    books.close();
    victim.is_unharmed();
}

#[test]
fn a_report_about_a_frame_of_a_moment_ago_is_believed() {
    let victim = Victim::new();
    let mut books = victim.books();
    let (report, _) = victim.large_answer(SMALL);
    victim.report(victim.rogue.address(), &report.encode());
    // A's kernel is told so when it answers with as much again, and cuts what it sends from then on.
    victim.rogue.forget_packets();
    let (own, inside) = victim.v6;
    let is_fragment = |packet: &[u8]| packet.len() > 40 && packet[6] == 44;
    let cut = || {
        victim.send(&icmp(own, inside, 128, &LARGE));
        victim.rogue.has_packet(is_fragment)
    };
    victim.mesh.limit().wait_until("answers in fragments", cut).unwrap();
    let told = victim.mesh.a.status().unwrap().drops["packet_too_big"];
    assert!(told >= 1);
    books.expect("packet_too_big", told);
    victim.is_unharmed();
}
