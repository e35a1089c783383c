// SPDX-License-Identifier: AGPL-3.0-or-later
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::MOST_MTU;

const LIMITS: InetLimits =
    InetLimits { half_open: 0, half_open_per_source: 0, links: 8, links_reserved: 3, links_per_neighbour: 2 };
const OWN: RouterId = RouterId::from_bytes([5; 32]);
const SMALLER: RouterId = RouterId::from_bytes([4; 32]);
const GREATER: RouterId = RouterId::from_bytes([6; 32]);

fn at(millis: u64) -> Timestamp {
    Timestamp::default() + Duration::from_millis(millis)
}

/// A link that came up at a time, over a connection to an address of loopback.
async fn link(id: u32, neighbour: RouterId, dialed: bool, ip: &str, up: Timestamp) -> Arc<Link> {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let hop = Hop { link: LinkId(id), neighbour };
    Arc::new(Link::new(stream, hop, dialed, (MOST_MTU, false), up, Arc::default()).unwrap())
}

/// What becomes of two links between the same ends, the second of which comes up after so long.
async fn verdict(neighbour: RouterId, dialed: [bool; 2], after: Timestamp) -> &'static str {
    let links = Links::new(OWN, InetLimits::default(), 0);
    let old = link(1, neighbour, dialed[0], "127.0.0.1", at(0)).await;
    let new = link(2, neighbour, dialed[1], "127.0.0.1", after).await;
    assert!(links.add(&old, false, at(0)).unwrap().is_empty());
    match links.add(&new, false, after) {
        Err(Refused::Duplicate) => "old",
        Ok(leaving) if leaving.is_empty() => "both",
        Ok(leaving) => {
            assert!(leaving.len() == 1 && Arc::ptr_eq(&leaving[0], &old));
            "new"
        }
        Err(reason) => panic!("{reason}"),
    }
}

#[tokio::test]
async fn the_listener_of_the_link_that_loses_closes_it() {
    let (dialed, listened) = (true, false);
    let table = [
        // By the same side the later stays; if that is ours, the other end closes the earlier.
        (GREATER, [listened, listened], 10, "new"),
        (GREATER, [dialed, dialed], 10, "both"),
        // Ours is the smaller id: what we dialled stays.
        (GREATER, [dialed, listened], 10, "old"),
        (GREATER, [listened, dialed], 10, "new"),
        // Ours is the greater id: what we listened to stays, and the other end closes what we dialled.
        (SMALLER, [dialed, listened], 10, "both"),
        (SMALLER, [listened, dialed], 10, "both"),
        // A stalled link loses to any, whoever listens.
        (GREATER, [dialed, listened], 1600, "new"),
        (SMALLER, [listened, dialed], 1600, "new"),
        (GREATER, [dialed, dialed], 1600, "new"),
    ];
    for (neighbour, dialed, after, expected) in table {
        let found = verdict(neighbour, dialed, at(after)).await;
        assert_eq!(found, expected, "{neighbour:?}, dialled {dialed:?}, after {after} ms");
    }
}

#[tokio::test]
async fn other_ends_are_other_links() {
    let links = Links::new(OWN, InetLimits::default(), 0);
    let first = link(1, GREATER, false, "127.0.0.1", at(0)).await;
    let other_address = link(2, GREATER, false, "127.0.0.2", at(0)).await;
    let other_router = link(3, SMALLER, false, "127.0.0.1", at(0)).await;
    for link in [&first, &other_address, &other_router] {
        assert!(links.add(link, false, at(0)).unwrap().is_empty());
        assert!(links.twin(link).is_none());
    }
    let twin = link(4, GREATER, true, "127.0.0.1", at(0)).await;
    assert!(Arc::ptr_eq(&links.twin(&twin).unwrap(), &first));
    first.close(DownReason::ClosedByPeer);
    assert!(links.twin(&twin).is_none(), "a closed link is in nobody's way");
    assert_eq!(links.all_but(&[GREATER]).len(), 1);
    assert!(links.get(Hop { link: LinkId(1), neighbour: SMALLER }).is_none());
}

/// Takes every place that strangers may have.
async fn fill(links: &Links, places: u32) {
    for number in 1..=places {
        let byte = 100 + u8::try_from(number).unwrap();
        let stranger = link(number, RouterId::from_bytes([byte; 32]), false, "127.0.0.1", at(0)).await;
        assert!(links.add(&stranger, false, at(0)).unwrap().is_empty(), "stranger {number}");
    }
}

#[tokio::test]
async fn strangers_leave_places_for_those_whom_we_know() {
    // Two places for each of two lines are more than the three that are reserved anyway.
    for (lines, places) in [(0, 5), (2, 4)] {
        let links = Links::new(OWN, LIMITS, lines);
        fill(&links, places).await;
        let stranger = link(20, GREATER, false, "127.0.0.1", at(0)).await;
        assert!(matches!(links.add(&stranger, false, at(0)), Err(Refused::LinksFull)));

        let dialed = link(21, GREATER, true, "127.0.0.1", at(0)).await;
        links.add(&dialed, false, at(0)).unwrap();
        let back = link(22, GREATER, false, "127.0.0.2", at(0)).await;
        links.add(&back, false, at(0)).expect("we dial the router, so it is no stranger");
        let named = link(23, SMALLER, false, "127.0.0.1", at(0)).await;
        links.add(&named, true, at(0)).expect("a peer line names the router");
        for number in 24..29 - places {
            let byte = u8::try_from(number).unwrap();
            let named = link(number, RouterId::from_bytes([byte; 32]), false, "127.0.0.1", at(0)).await;
            links.add(&named, true, at(0)).expect("every place is theirs");
        }
    }
}

#[tokio::test]
async fn the_last_place_is_the_last_for_anybody() {
    let links = Links::new(OWN, LIMITS, 0);
    for number in 1..=8 {
        let router = RouterId::from_bytes([100 + number; 32]);
        let dialed = link(number.into(), router, true, "127.0.0.1", at(0)).await;
        links.add(&dialed, false, at(0)).unwrap();
    }
    for (dialed, named) in [(true, false), (false, true), (false, false)] {
        let late = link(20, GREATER, dialed, "127.0.0.1", at(0)).await;
        assert!(matches!(links.add(&late, named, at(0)), Err(Refused::LinksFull)));
    }
}

#[tokio::test]
async fn a_stranger_may_replace_its_own_link_when_strangers_have_no_place_left() {
    let links = Links::new(OWN, LIMITS, 0);
    let old = link(20, GREATER, false, "127.0.0.1", at(0)).await;
    links.add(&old, false, at(0)).unwrap();
    fill(&links, 4).await;
    let named = link(21, SMALLER, false, "127.0.0.1", at(0)).await;
    links.add(&named, true, at(0)).unwrap();
    let new = link(22, GREATER, false, "127.0.0.1", at(10)).await;
    assert_eq!(links.add(&new, false, at(10)).unwrap().len(), 1);
}

#[tokio::test]
async fn more_lines_than_places_leave_strangers_none() {
    let links = Links::new(OWN, LIMITS, 5);
    let stranger = link(1, GREATER, false, "127.0.0.1", at(0)).await;
    assert!(matches!(links.add(&stranger, false, at(0)), Err(Refused::LinksFull)));
}

#[tokio::test]
async fn a_stopped_table_closes_all_links_and_takes_no_more() {
    let links = Links::new(OWN, InetLimits::default(), 0);
    let first = link(1, GREATER, false, "127.0.0.1", at(0)).await;
    links.add(&first, false, at(0)).unwrap();
    links.stop();
    assert_eq!(first.ended().await, DownReason::Stopped);
    let late = link(2, SMALLER, false, "127.0.0.1", at(0)).await;
    assert!(matches!(links.add(&late, false, at(0)), Err(Refused::Stopped)));
}
