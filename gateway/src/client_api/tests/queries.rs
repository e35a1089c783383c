// SPDX-License-Identifier: AGPL-3.0-or-later
//! What every client may ask about the router.

use ratman_types::{Bandwidth, Mtu};
use ratman_wire::api::{
    Capacity, Cursor, LinkEntry, LinkState, LocalAddress, NextHop, Page, PageOf, Refusal, RefusalReason,
    RouteEntry, Text,
};

use super::*;
use crate::status::{LinkStatus, PeerStatus, RouteState, RouteStatus};

fn pages_of(limit: u16, after: Cursor) -> PageOf {
    PageOf { after, limit }
}

/// All entries of a list, in pages of this length.
async fn all<T: Clone>(
    client: &mut Client,
    limit: u16,
    request: impl Fn(PageOf) -> Request,
    page: impl Fn(Reply) -> Page<T>,
) -> Vec<Vec<T>> {
    let mut pages = Vec::new();
    let mut after = Cursor::default();
    loop {
        let Page { entries, next } = page(client.ask(&request(pages_of(limit, after)), None).await);
        pages.push(entries.into_vec());
        if next.is_empty() {
            return pages;
        }
        after = next;
    }
}

fn links_of(reply: Reply) -> Page<LinkEntry> {
    let Reply::LinkPage(page) = reply else { panic!("{reply:?}") };
    page
}

fn routes_of(reply: Reply) -> Page<RouteEntry> {
    let Reply::RoutePage(page) = reply else { panic!("{reply:?}") };
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_says_what_it_is() {
    let api = Api::new();
    let mut client = api.client().await;
    let told = client.ask(&Request::RouterQuery(Nothing), None).await;
    let Reply::Router(router) = told else { panic!("{told:?}") };
    let status = sample();
    assert_eq!(
        (router.version.as_str(), router.address, router.router_id, router.overlay),
        ("0.1.0", status.address, status.router_id, status.overlay)
    );
    assert_eq!((router.uptime, router.clock_correction_us), (Duration::from_secs(3_700), -90_500_000));
    assert_eq!(router.payload_limit, 256 << 10);
    assert_eq!(router.warnings[0].as_str(), "reload refused: gateway.toml:3: not TOML");
    assert_eq!((router.drops[0].name.as_str(), router.drops[0].value), ("replayed frame", 7));
    let streams = router.streams.unwrap();
    assert_eq!((streams.sending, streams.waiting, streams.flooded), (2, 3, 12));
    assert_eq!((streams.journal, streams.quota), (ByteCount(1_100_000), ByteCount(1 << 30)));
    assert_eq!((streams.disk, streams.unsaved), (ByteCount(1_600_000), ByteCount(640)));
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_told_with_what_is_measured_and_nothing_else() {
    let api = Api::new();
    let mut client = api.client().await;
    let page = links_of(client.ask(&Request::LinkList(PageOf::first()), None).await);
    let [measured, unmeasured] = &page.entries[..] else { panic!("{page:?}") };
    assert!(page.next.is_empty());
    let expected = LinkEntry {
        link: 3,
        netmod: Text::of("inet"),
        neighbour: RouterId::from_bytes([0xCD; 32]),
        local: Text::of("192.0.2.1:5860"),
        remote: Text::of("[2001:db8::1]:40000"),
        interface: Some(Text::of("to-b")),
        dialed: false,
        state: LinkState::Live,
        up: Duration::from_secs(12),
        mtu: Mtu(33_004),
        round_trip: Some(Duration::from_micros(213)),
        loaded_round_trip: Some(Duration::from_millis(48)),
        clock_offset_us: Some(-7),
        capacity: Capacity::AtLeast(Bandwidth::from_bytes_per_second(6_250_000)),
        loss_per_million: Some(12_300),
        sent: Some(1_200_000),
        received: Some(100),
        queued: ByteCount(0),
        dropped_frames: 7,
        cost: Some(Duration::from_micros(2_500)),
    };
    assert_eq!(*measured, expected);
    assert_eq!((unmeasured.link, &unmeasured.state, unmeasured.dialed), (4, &LinkState::Starting, true));
    assert_eq!((unmeasured.round_trip, unmeasured.loaded_round_trip, unmeasured.sent), (None, None, None));
    assert_eq!((&unmeasured.capacity, unmeasured.loss_per_million), (&Capacity::Unknown, None));
    assert_eq!((unmeasured.interface.as_ref(), unmeasured.cost), (None, None));

    let one = links_of(client.ask(&Request::LinkQuery(3), None).await);
    assert_eq!((&one.entries[..], one.next.is_empty()), (&[expected][..], true));
    let none = links_of(client.ask(&Request::LinkQuery(5), None).await);
    assert!(none.entries.is_empty() && none.next.is_empty());
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_told_in_the_order_of_their_names() {
    let api = Api::new();
    let unreached =
        PeerStatus { failure: Some("x".repeat(600)), ..api.status.lock().unwrap().peers[1].clone() };
    api.status.lock().unwrap().peers[1] = unreached;
    let mut client = api.client().await;
    let told = all(&mut client, 1, Request::PeerQuery, |reply| {
        let Reply::PeerPage(page) = reply else { panic!("{reply:?}") };
        page
    });
    let told = told.await;
    let [first, second] = &told[..] else { panic!("{told:?}") };
    assert_eq!((first[0].peer.as_str(), first[0].linked), ("inet:[2001:db8::1]:5860", true));
    assert_eq!((second[0].peer.as_str(), second[0].reached), ("inet:a.example:1", false));
    assert_eq!(second[0].failure.as_ref().map(|failure| failure.as_str().len()), Some(512));
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_table_of_routes_comes_in_pages_and_each_route_once() {
    let api = Api::new();
    let mut routes = Vec::new();
    for number in 0..300_u16 {
        let mut address = [0xEE; 32];
        address[..2].copy_from_slice(&number.to_be_bytes());
        routes.push(RouteStatus { address: Address::from_bytes(address), ..sample().routes[1].clone() });
    }
    // Addresses of our own come first in a status.
    routes[200] = RouteStatus { local: true, state: RouteState::Live, hops: Some(0), ..routes[200].clone() };
    routes[0..=200].rotate_right(1);
    api.status.lock().unwrap().routes.clone_from(&routes);
    let mut client = api.client().await;
    for (limit, lengths) in [(100, vec![100, 100, 100]), (256, vec![256, 44]), (7, vec![7; 43])] {
        let told = all(&mut client, limit, Request::RouteList, routes_of).await;
        let mut expected = lengths;
        *expected.last_mut().unwrap() = 300 - expected[1..].len() * usize::from(limit);
        assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), expected);
        let told: Vec<Address> = told.concat().iter().map(|route| route.address).collect();
        let mut expected: Vec<Address> = routes.iter().map(|route| route.address).collect();
        expected.sort_unstable();
        assert_eq!(told, expected);
    }
    let local = client.ask(&Request::RouteQuery(routes[0].address), None).await;
    let local = routes_of(local).entries.into_vec();
    assert_eq!((local[0].local, local[0].live, local[0].hops), (true, true, Some(0)));
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_told_with_its_next_hop() {
    let api = Api::new();
    let mut client = api.client().await;
    let RouteStatus { address, overlay, .. } = sample().routes[0];
    let expected = RouteEntry {
        address,
        overlay,
        local: false,
        live: true,
        next_hop: Some(NextHop { link: 3, neighbour: RouterId::from_bytes([0xCD; 32]) }),
        hops: Some(3),
        ping: Some(Duration::from_micros(1_420)),
        mtu: Some(Mtu(33_004)),
        bandwidth: Bandwidth::from_bytes_per_second(6_250_000),
        reason: Text::of("lowest ping"),
    };
    assert_eq!(routes_of(client.ask(&Request::RouteQuery(address), None).await).entries[..], [expected]);
    let idle = routes_of(client.ask(&Request::RouteQuery(sample().routes[1].address), None).await);
    let idle = &idle.entries[0];
    assert_eq!((idle.live, idle.ping, idle.bandwidth), (false, None, Bandwidth::UNKNOWN));
    assert_eq!((idle.next_hop.as_ref(), idle.mtu), (None, None));
    let nobody = SecretKey::from_seed([77; 32]).address();
    assert!(routes_of(client.ask(&Request::RouteQuery(nobody), None).await).entries.is_empty());
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_clients_are_told_and_whether_they_are_up() {
    let api = Api::new();
    let mut client = api.client().await;
    let (up, _) = client.address().await;
    let (down, token) = client.address().await;
    assert_eq!(client.ask(&Request::AddressDown(down), Some(&token)).await, Reply::Ok);
    let told = all(&mut client, 1, Request::AddressQuery, |reply| {
        let Reply::AddressPage(page) = reply else { panic!("{reply:?}") };
        page
    });
    let entry = |address, up| LocalAddress { address, up, damage: None };
    let mut expected = [vec![entry(up, true)], vec![entry(down, false)]];
    expected.sort_by_key(|page| page[0].address);
    assert_eq!(told.await, expected);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_entries_or_with_too_many_is_refused() {
    let api = Api::new();
    let mut client = api.client().await;
    for limit in [0, 257, u16::MAX] {
        let wanted = || pages_of(limit, Cursor::default());
        for request in [
            Request::AddressQuery(wanted()),
            Request::LinkList(wanted()),
            Request::PeerQuery(wanted()),
            Request::RouteList(wanted()),
        ] {
            let told = client.ask(&request, None).await;
            let Reply::Refused(Refusal { reason: RefusalReason::Invalid, detail }) = told else {
                panic!("{request:?}: {told:?}")
            };
            assert_eq!(detail.as_str(), format!("expected a limit from 1 to 256, got {limit}"));
        }
    }
    assert_eq!(client.ask(&Request::Connect(ApiVersion::OURS), None).await, Reply::Ok, "it goes on");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_page_is_far_below_what_a_client_takes() {
    let api = Api::new();
    let long = || "ß".repeat(1_000);
    {
        let mut status = api.status.lock().unwrap();
        let link = LinkStatus { netmod: long(), local: long(), remote: long(), ..status.links[0].clone() };
        status.links = (0..300).map(|number| LinkStatus { link: number, ..link.clone() }).collect();
        let peer = PeerStatus { failure: Some(long()), ..status.peers[0].clone() };
        let peers = (0..300).map(|number| PeerStatus { peer: format!("{number}{}", long()), ..peer.clone() });
        status.peers = peers.collect();
        status.warnings = (0..100).map(|_| long()).collect();
        status.counters = (0..2_000).map(|number| (format!("{number}{}", long()), u64::MAX)).collect();
    }
    let mut client = api.client().await;
    for request in [
        Request::RouterQuery(Nothing),
        Request::LinkList(PageOf::first()),
        Request::PeerQuery(PageOf::first()),
    ] {
        client.say(&request, None).await;
        let frame = client.hear().await.unwrap();
        assert!(frame.payload.len() < 1 << 19, "{request:?}: {}", frame.payload.len());
        let told = Reply::decode(&frame, request.mode()).unwrap();
        let (entries, more) = if let Reply::LinkPage(page) = &told {
            (page.entries.len(), !page.next.is_empty())
        } else if let Reply::PeerPage(page) = &told {
            (page.entries.len(), !page.next.is_empty())
        } else {
            assert!(matches!(told, Reply::Router(_)), "{told:?}");
            continue;
        };
        assert_eq!((entries, more), (256, true));
    }
    api.end().await;
}
