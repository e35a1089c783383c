// SPDX-License-Identifier: AGPL-3.0-or-later
//! The layout of what is ours, byte by byte: written down apart from the code, as other programs would read it.

use core::net::Ipv6Addr;
use core::time::Duration;

use super::*;

const ANN: [u8; 32] = [0x11; 32];
const BEN: [u8; 32] = [0x22; 32];
const SPACE: [u8; 32] = [0x33; 32];
const STREAM: [u8; 32] = [0x44; 32];

fn ann() -> Address {
    Address::from_bytes(ANN)
}

fn ben() -> Recipient {
    Recipient::Address(Address::from_bytes(BEN))
}

fn space() -> Recipient {
    Recipient::Namespace(Namespace::from_bytes(SPACE))
}

fn stream() -> StreamId {
    StreamId::from_bytes(STREAM)
}

fn is_request(request: &Request, mode: u16, parts: &[&[u8]]) {
    let frame = request.to_frame(None);
    assert_eq!((frame.mode, frame.payload.as_slice()), (ApiMode(mode), parts.concat().as_slice()));
    assert_eq!(Request::decode(&frame).as_ref(), Ok(request));
}

fn is_reply(reply: &Reply, parts: &[&[u8]]) {
    let frame = reply.to_frame(None);
    assert_eq!((frame.mode, frame.payload.as_slice()), (ApiMode(0), parts.concat().as_slice()));
    assert_eq!(Reply::decode(&frame, ApiMode(0x0031)).as_ref(), Ok(reply));
}

#[test]
fn streams_to_be_sent() {
    let streams = [OpenedStream { to: ben(), stream: stream() }];
    let streams = || streams.iter().cloned().collect();
    let new = NewStream {
        from: ann(),
        to: [ben(), space()].into_iter().collect(),
        size: Some(ByteCount(5)),
        lifetime: Lifetime::from_secs(0x0102).unwrap(),
        progress: true,
        auxiliary_data: AuxiliaryData::new([(c"k", c"v")]).unwrap(),
    };
    is_request(
        &Request::StreamCreate(new),
        0x0701,
        &[
            &[1],
            &ANN,
            &[0, 2, 1],
            &BEN,
            &[2],
            &SPACE,
            &[1, 0, 0, 0, 0, 0, 0, 0, 5],
            &[0, 0, 1, 2, 1],
            b"\0\x01k\0v\0",
        ],
    );
    is_reply(
        &Reply::Opened(Opened { streams: streams(), offset: ByteCount(9) }),
        &[&[0x90, 1, 0, 1, 1], &BEN, &STREAM, &[0, 0, 0, 0, 0, 0, 0, 9]],
    );
    let resumed = ResumedStream { from: ann(), streams: streams(), progress: false };
    let parts: &[&[u8]] = &[&[1], &ANN, &[0, 1, 1], &BEN, &STREAM, &[0]];
    is_request(&Request::StreamResume(resumed), 0x0744, parts);
    is_request(&Request::Content(Content::new(b"hello".to_vec()).unwrap()), 0x0740, &[b"hello"]);
    is_request(&Request::End(Nothing), 0x0741, &[&[1]]);
    is_request(&Request::Cancel(Nothing), 0x0742, &[&[1]]);
}

#[test]
fn news_of_streams() {
    let progress = Progress { arrived: ByteCount(3), in_all: Some(ByteCount(7)) };
    for (news, bytes) in [
        (News::Progress(progress), &[1, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 7][..]),
        (News::Accepted, &[2]),
        (News::Stored, &[3]),
        (News::Delivered, &[4]),
        (News::Refused, &[5]),
        (News::Denied, &[6]),
        (News::Expired, &[7]),
        (News::Published, &[8]),
        (News::Failed, &[9]),
        (News::Cancelled, &[10]),
    ] {
        let told = StreamNews { stream: OpenedStream { to: space(), stream: stream() }, news };
        is_reply(&Reply::News(told), &[&[0x91, 1, 2], &SPACE, &STREAM, bytes]);
    }
}

#[test]
fn streams_to_be_received() {
    let key = StreamKey { from: ann(), to: ben(), stream: stream() };
    let resume = Some(ResumedReceive { stream: key.clone(), offset: ByteCount(2) });
    let limit = core::num::NonZeroU32::new(3);
    let address = Address::from_bytes(BEN);
    let receive = Receive { address, from: Some(ann()), to: Some(space()), limit, wait: true, resume };
    let key_bytes = [&ANN[..], &[1], &BEN, &STREAM].concat();
    is_request(
        &Request::StreamReceive(receive),
        0x0733,
        &[
            &[1],
            &BEN,
            &[1],
            &ANN,
            &[2],
            &SPACE,
            &[1, 0, 0, 0, 3, 1, 1],
            &key_bytes,
            &[0, 0, 0, 0, 0, 0, 0, 2],
        ],
    );
    let all = Receive { address, from: None, to: None, limit: None, wait: false, resume: None };
    is_request(&Request::StreamReceive(all), 0x0733, &[&[1], &BEN, &[0, 0, 0, 0, 0]]);
    let letterhead = Letterhead {
        from: ann(),
        to: ben(),
        stream_size: ByteCount(5),
        auxiliary_data: AuxiliaryData::default(),
    };
    let created = WallTime::from_micros(0x0102);
    let arrived = Arrived { letterhead, stream: stream(), created, offset: ByteCount(1) };
    is_reply(
        &Reply::Arrived(Box::new(arrived)),
        &[
            &[0x92, 1, 1],
            &ANN,
            &[1],
            &BEN,
            &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0],
            &STREAM,
            &[0, 0, 0, 0, 0, 0, 1, 2],
            &[0, 0, 0, 0, 0, 0, 0, 1],
        ],
    );
    is_request(&Request::Taken(Nothing), 0x0743, &[&[1]]);
    is_reply(&Reply::Taken, &[&[0x94, 1]]);
    is_reply(&Reply::NoStream, &[&[0x93, 1]]);
    is_request(&Request::StreamDestroy(key.clone()), 0x0702, &[&[1], &key_bytes]);
    is_request(&Request::StreamStatus(key.clone()), 0x0734, &[&[1], &key_bytes]);
    let progress = Progress { arrived: ByteCount(1), in_all: None };
    let entry = StreamEntry { stream: key, stage: Stage::Waiting, size: None, progress, end: created };
    let page = Page { entries: [entry].into_iter().collect(), next: [7, 8].into_iter().collect() };
    is_reply(
        &Reply::StreamPage(page),
        &[
            &[0x8A, 1, 0, 1],
            &key_bytes,
            &[5, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
            &[0, 0, 0, 0, 0, 0, 1, 2],
            &[0, 2, 7, 8],
        ],
    );
}

#[test]
fn contacts_and_filters() {
    let name = || ContactName::of("ann");
    let contact = NewContact { address: ann(), name: Some(name()), trust: Some(7) };
    is_request(&Request::ContactAdd(contact), 0x0220, &[&[1], &ANN, b"\x01\0\x03ann", &[1, 0, 0, 0, 7]]);
    let (contact, name_bytes) = (ContactKey::Name(name()), b"\x02\0\x03ann");
    is_request(&Request::ContactDelete(contact.clone()), 0x0221, &[&[1], name_bytes]);
    let change = ContactChange { contact, name: NameChange::Keep, trust: TrustChange::Set(7) };
    is_request(&Request::ContactModify(change), 0x0222, &[&[1], name_bytes, &[0, 1, 0, 0, 0, 7]]);
    let change = ContactChange {
        contact: ContactKey::Address(ann()),
        name: NameChange::Unset,
        trust: TrustChange::Unset,
    };
    is_request(&Request::ContactModify(change), 0x0222, &[&[1, 1], &ANN, &[2, 2]]);
    let rule =
        FilterRule { from: Senders::Strangers, at_least: Some(ByteCount(256)), action: FilterAction::Deny };
    let rule_bytes = [3, 1, 0, 0, 0, 0, 0, 0, 1, 0, 2];
    let filter = NewFilter { address: ann(), rule: rule.clone() };
    is_request(&Request::FilterAdd(filter), 0x0520, &[&[1], &ANN, &rule_bytes]);
    is_reply(&Reply::FilterAdded(5), &[&[0x89, 1, 0, 0, 0, 5]]);
    let entries = [FilterEntry { filter: 5, rule }].into_iter().collect();
    let page = Page { entries, next: Cursor::default() };
    is_reply(&Reply::FilterPage(page), &[&[0x88, 1, 0, 1, 0, 0, 0, 5], &rule_bytes, &[0, 0]]);
}

#[test]
fn routes_and_links() {
    is_request(&Request::RouteList(PageOf::first()), 0x0930, &[&[1, 0, 0, 1, 0]]);
    is_request(&Request::RouteQuery(ann()), 0x0931, &[&[1], &ANN]);
    let neighbour = RouterId::from_bytes(BEN);
    let route = RouteEntry {
        address: ann(),
        overlay: Ipv6Addr::LOCALHOST,
        local: false,
        live: true,
        next_hop: Some(NextHop { link: 2, neighbour }),
        hops: Some(3),
        ping: Some(Duration::from_micros(0x0102)),
        mtu: Some(Mtu(1500)),
        bandwidth: Bandwidth::from_bytes_per_second(4),
        reason: Text::of("best"),
    };
    let page = Page { entries: [route].into_iter().collect(), next: Cursor::default() };
    is_reply(
        &Reply::RoutePage(page),
        &[
            &[0x86, 1, 0, 1],
            &ANN,
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 1, 1, 0, 0, 0, 2],
            &BEN,
            &[1, 3, 1, 0, 0, 0, 0, 0, 0, 1, 2],
            &[1, 0, 0, 5, 0xDC, 0, 0, 0, 4],
            b"\0\x04best\0\0",
        ],
    );
    let link = LinkEntry {
        link: 1,
        netmod: Text::of("inet"),
        neighbour,
        local: Text::of("a"),
        remote: Text::of("b"),
        interface: None,
        dialed: true,
        state: LinkState::Stalled,
        up: Duration::from_micros(9),
        mtu: Mtu(1500),
        round_trip: None,
        loaded_round_trip: None,
        clock_offset_us: Some(-1),
        capacity: Capacity::AtLeast(Bandwidth::from_bytes_per_second(4)),
        loss_per_million: None,
        sent: None,
        received: None,
        queued: ByteCount(6),
        dropped_frames: 7,
        cost: None,
    };
    let page = Page { entries: [link].into_iter().collect(), next: Cursor::default() };
    is_reply(
        &Reply::LinkPage(page),
        &[
            &[0x84, 1, 0, 1, 0, 0, 0, 1],
            b"\0\x04inet",
            &BEN,
            b"\0\x01a\0\x01b\0\x01\x03",
            &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 5, 0xDC],
            &[0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            &[2, 0, 0, 0, 4, 0, 0, 0],
            &[0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0],
            &[0, 0],
        ],
    );
}

#[test]
fn refusals() {
    for (reason, bytes) in [
        (RefusalReason::OperatorOnly, &[1][..]),
        (RefusalReason::NotFound, &[2]),
        (RefusalReason::InUse, &[3]),
        (RefusalReason::Configured, &[4]),
        (RefusalReason::Invalid, &[5]),
        (RefusalReason::TooLong(ByteCount(1)), &[6, 0, 0, 0, 0, 0, 0, 0, 1]),
        (RefusalReason::Size(ByteCount(1)), &[7, 0, 0, 0, 0, 0, 0, 0, 1]),
        (RefusalReason::Full, &[8]),
        (RefusalReason::Busy, &[9]),
        (RefusalReason::Ending, &[10]),
        (RefusalReason::NotStored, &[11]),
        (RefusalReason::OutOfTurn, &[12]),
        (RefusalReason::Version(1), &[13, 1]),
        (RefusalReason::NoStreams, &[14]),
    ] {
        let refusal = Refusal { reason, detail: Text::of("no") };
        is_reply(&Reply::Refused(refusal), &[&[0x80, 1], bytes, b"\0\x02no"]);
    }
}

#[test]
fn routers_and_what_is_theirs() {
    is_request(&Request::RouterQuery(Nothing), 0x0031, &[&[1]]);
    let figure = Figure { name: Text::of("x"), value: 2 };
    let streams = StreamFigures {
        sending: 1,
        receiving: 2,
        waiting: 3,
        carried: 4,
        flooded: 5,
        journal: ByteCount(6),
        quota: ByteCount(7),
        disk: ByteCount(8),
        unsaved: ByteCount(9),
    };
    let stream_bytes: Vec<u8> = (1..=9_u64).flat_map(u64::to_be_bytes).collect();
    let router = RouterInfo {
        version: Text::of("0.1.0"),
        address: ann(),
        router_id: RouterId::from_bytes(BEN),
        overlay: Ipv6Addr::LOCALHOST,
        uptime: Duration::from_micros(0x0102),
        payload_limit: 1 << 20,
        clock_correction_us: -2,
        warnings: [Text::of("clock")].into_iter().collect(),
        streams: Some(streams),
        drops: List::default(),
        counters: [figure].into_iter().collect(),
    };
    is_reply(
        &Reply::Router(Box::new(router)),
        &[
            b"\x81\x01\0\x050.1.0",
            &ANN,
            &BEN,
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 0, 0, 0, 0, 0, 1, 2, 0, 0x10, 0, 0],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE],
            b"\0\x01\0\x05clock\x01",
            &stream_bytes,
            b"\0\0\0\x01\0\x01x\0\0\0\0\0\0\0\x02",
        ],
    );
    let addresses = [LocalAddress { address: ann(), up: true, damage: Some(Text::of("d")) }];
    let page = Page { entries: addresses.into_iter().collect(), next: Cursor::default() };
    is_reply(&Reply::AddressPage(page), &[&[0x82, 1, 0, 1], &ANN, b"\x01\x01\0\x01d\0\0"]);
    let contact = Contact { address: ann(), name: None, configured: true, trust: Some(0) };
    let page = Page { entries: [contact].into_iter().collect(), next: Cursor::default() };
    is_reply(&Reply::ContactPage(page), &[&[0x83, 1, 0, 1], &ANN, &[0, 1, 1, 0, 0, 0, 0, 0, 0]]);
    let peer =
        DialledPeer { peer: Text::of("p"), linked: false, reached: true, failure: Some(Text::of("f")) };
    let page = Page { entries: [peer].into_iter().collect(), next: Cursor::default() };
    is_reply(&Reply::PeerPage(page), &[b"\x85\x01\0\x01\0\x01p\0\x01\x01\0\x01f\0\0"]);
    let namespace = LocalNamespace { namespace: Namespace::from_bytes(SPACE), up: true };
    let page = Page { entries: [namespace].into_iter().collect(), next: Cursor::default() };
    is_reply(&Reply::NamespacePage(page), &[&[0x87, 1, 0, 1], &SPACE, &[1, 0, 0]]);
    let page = PageOf { after: [7].into_iter().collect(), limit: 2 };
    is_request(&Request::AddressQuery(page.clone()), 0x0131, &[&[1, 0, 1, 7, 0, 2]]);
    let streams = StreamsOf { address: ann(), page };
    is_request(&Request::StreamQuery(streams), 0x0731, &[&[1], &ANN, &[0, 1, 7, 0, 2]]);
    let membership = Membership { address: ann(), namespace: Namespace::from_bytes(SPACE) };
    is_request(&Request::NamespaceDestroy(membership), 0x0802, &[&[1], &ANN, &SPACE]);
    is_request(&Request::LinkQuery(7), 0x0331, &[&[1, 0, 0, 0, 7]]);
}
