// SPDX-License-Identifier: AGPL-3.0-or-later
//! Announcements made by hand: honest in every field and signature until a test changes one.

use irdest_gateway::clock::Clock;
use ratman_types::{Bandwidth, Mtu, RouterId, SecretKey, Signature, Signer, WallTime};
use ratman_wire::announcement::{Announcement, PathLatency, Peer, origin_signed_bytes};
use ratman_wire::{Frame, Header, MAX_FRAME, Mode};

/// The interval that honest routers tell, in seconds.
const INTERVAL: u16 = 2;

/// An announcement of `origin` that its owner has just made, without peer part.
pub(crate) fn announcement(origin: &SecretKey, time: WallTime) -> Announcement {
    Announcement {
        origin_time: time,
        origin_signature: origin.sign(&origin_signed_bytes(&origin.address(), time)),
        peer: None,
        available_bw: Bandwidth::UNKNOWN,
        available_mtu: Mtu(u32::try_from(MAX_FRAME).expect("33 004")),
    }
}

/// The time of an announcement made now.
pub(crate) fn now() -> WallTime {
    Clock.now().wall
}

/// The frame in which the router `named` sends an announcement of `address` on, signed with a key that ought to be its.
pub(crate) fn sent_on(
    address: [u8; 32],
    announcement: Announcement,
    named: RouterId,
    key: &SecretKey,
    latency: u32,
) -> Vec<u8> {
    let latency = PathLatency(latency);
    let signature = hop_signature(address, &announcement, named, key, latency);
    let peer = Some(Peer { router: named, latency, interval: INTERVAL, signature });
    frame(address, &Announcement { peer, ..announcement })
}

/// As [`sent_on`] by an honest router, with the first latency whose signature is as wanted.
pub(crate) fn sent_on_where(
    address: [u8; 32],
    announcement: Announcement,
    key: &SecretKey,
    wanted: impl Fn(&Signature) -> bool,
) -> Vec<u8> {
    let named = key.router_id();
    let signature = |latency: &u32| hop_signature(address, &announcement, named, key, PathLatency(*latency));
    let latency =
        (1..).find(|latency| wanted(&signature(latency))).expect("one signature in 256 is as wanted");
    sent_on(address, announcement, named, key, latency)
}

/// The frame of an announcement.
pub(crate) fn frame(address: [u8; 32], announcement: &Announcement) -> Vec<u8> {
    Frame { header: Header::new(Mode::ANNOUNCEMENT, address), payload: &announcement.encode() }.encode()
}

fn hop_signature(
    address: [u8; 32],
    announcement: &Announcement,
    named: RouterId,
    key: &SecretKey,
    latency: PathLatency,
) -> Signature {
    let address = ratman_types::Address::from_bytes(address);
    key.sign(&announcement.hop_signed_bytes(&address, &named, latency, INTERVAL))
}
