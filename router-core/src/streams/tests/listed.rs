// SPDX-License-Identifier: AGPL-3.0-or-later
//! Lists of the streams of one address, page by page.

use super::sharing::namespace;
use super::*;

/// What a list of all streams has of an address, in the order of the places, each once.
fn all_of(mesh: &Mesh, index: usize) -> Vec<ListedStream> {
    let own = mesh.address(index);
    let is_theirs = |listed: &ListedStream| match (listed.place(), listed.key.recipient) {
        ((key, true), _) => key.sender == own,
        (_, Recipient::Address(to)) => to == own,
        (_, to) => to == namespace(),
    };
    let mut all: Vec<_> = mesh.node(index).streams.list().filter(is_theirs).collect();
    all.sort_by_key(ListedStream::place);
    all.dedup_by_key(|listed| listed.place());
    all
}

/// A mesh in which the middle sends, receives and shares, and others do through it.
fn bed() -> Mesh {
    let mut mesh = Mesh::line(3);
    mesh.subscribe(1);
    for turn in 0..12 {
        mesh.send(0, 1, &content(100 + turn));
        mesh.send(2, 1, &content(200 + turn));
        mesh.send(1, 1, b"to itself");
        mesh.publish(0, &content(300 + turn));
        mesh.publish(2, &content(400 + turn));
    }
    mesh.run_for(MINUTE);
    mesh.cut(Cut::Between(0, 1));
    mesh.cut(Cut::Between(1, 2));
    for turn in 0..6_u8 {
        let capability = mesh.share(1, &content(2_000 + usize::from(turn)));
        mesh.announce(1, &capability, Recipient::Address(mesh.address(2)));
        mesh.send(1, 0, &content(500));
        mesh.send(1, 2, &content(500));
    }
    mesh
}

#[test]
fn the_streams_of_an_address_are_listed_from_any_place_on_as_the_list_of_all_has_them() {
    let mut mesh = bed();
    for is_up in [true, false] {
        if !is_up {
            mesh.address_down(1);
        }
        let all = all_of(&mesh, 1);
        assert!(all.len() >= 60, "{}", all.len());
        let here = if is_up { StreamStage::Waiting } else { StreamStage::Sleeping };
        for stage in [here, StreamStage::Sending, StreamStage::Shared] {
            assert!(all.iter().any(|listed| listed.stage == stage), "{stage:?}");
        }
        let (own, streams) = (mesh.address(1), &mesh.node(1).streams);
        assert_eq!(streams.count(), streams.list().count());
        let recipients = [namespace(), Recipient::Address(own)];
        let beyond = |after| streams.list_of(own, recipients, after).collect::<Vec<_>>();
        assert_eq!(beyond(None), all);
        for (place, listed) in all.iter().enumerate() {
            assert_eq!(beyond(Some(listed.place())), all[place + 1..]);
            let (key, is_sent) = listed.place();
            let other = Some((key, !is_sent));
            let expected: Vec<_> =
                all.iter().filter(|listed| Some(listed.place()) > other).cloned().collect();
            assert_eq!(beyond(other), expected, "also from where nothing is");
        }
    }
}

#[test]
fn no_more_is_looked_at_than_is_asked_for() {
    let mesh = bed();
    let looked_at = core::cell::Cell::new(0);
    let all: Vec<Place> = all_of(&mesh, 1).iter().map(ListedStream::place).collect();
    let counted = |places: Vec<Place>| -> super::super::listed::Places<'_> {
        Box::new(places.into_iter().inspect(|_| looked_at.set(looked_at.get() + 1)))
    };
    let sources: Vec<Vec<Place>> =
        (0..4).map(|of| all.iter().copied().skip(of).step_by(4).collect()).collect();
    let page: Vec<_> =
        super::super::listed::merged(sources.into_iter().map(counted).collect()).take(10).collect();
    assert_eq!(page, all[..10]);
    assert!(looked_at.get() <= 10 + 4, "{} of {}", looked_at.get(), all.len());
}
