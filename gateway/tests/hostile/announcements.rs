// SPDX-License-Identifier: AGPL-3.0-or-later
//! Announcements that are forged, replayed, late or early: none of them moves a route.

use ratman_types::{SecretKey, Signature, Signer, WallTime};
use ratman_wire::announcement::{Announcement, PathLatency};
use ratman_wire::{Frame, Mode};

use crate::forger::{announcement, frame, now, sent_on, sent_on_where};
use crate::mesh::{Books, Mesh, address_of, running};
use crate::rogue::{Rogue, router_key};
use crate::wire_link::{WireLink, wait_until_closed};

const SEED: u8 = 21;

/// Somebody whose address nobody has heard of.
fn victim() -> SecretKey {
    SecretKey::from_seed([77; 32])
}

fn rogue(mesh: &Mesh) -> Rogue {
    Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, SEED)
}

/// B's newest announcement as R sends it on to the attacker.
fn heard_of_b(mesh: &Mesh, rogue: &Rogue) -> Vec<u8> {
    let b = address_of(&mesh.b);
    rogue.frame("B's announcement", |frame| {
        frame.header.mode == Mode::ANNOUNCEMENT && frame.header.sender_address() == b
    })
}

fn decode(bytes: &[u8]) -> Announcement {
    Announcement::decode(Frame::decode(bytes).unwrap().payload).unwrap()
}

fn assert_b_is_where_it_was(mesh: &Mesh) {
    let status = mesh.r.status().unwrap();
    let hop = status.next_hop(&mesh.b.identity().address).expect("a route to B");
    assert_eq!(hop.neighbour, mesh.b.identity().router_id);
}

#[test]
fn a_forged_origin() {
    let (mesh, tunnel) = running();
    let rogue = rogue(&mesh);
    let (id, key, b) = (rogue.router_id(), router_key(SEED), address_of(&mesh.b));
    let mut books = Books::open(&mesh.r);
    // All but the origin signature is in order, the attacker's own signature included.
    let own = announcement(&key, now());
    rogue.send(&sent_on(victim().public(), own, id, &key, 1));
    books.expect("bad_signature", 1);
    rogue.send(&sent_on(*b.as_bytes(), announcement(&key, now()), id, &key, 1));
    books.expect("bad_signature", 1);
    // A time that R remembers, under another signature.
    let heard = decode(&heard_of_b(&mesh, &rogue));
    let forged = Announcement { origin_signature: own.origin_signature, ..heard };
    rogue.send(&sent_on(*b.as_bytes(), forged, id, &key, 1));
    books.expect("origin_signature_differs", 1);
    assert!(mesh.r.status().unwrap().next_hop(&victim().address().to_string()).is_none());
    assert_b_is_where_it_was(&mesh);
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn a_forged_hop() {
    let (mesh, tunnel) = running();
    let rogue = rogue(&mesh);
    let mut books = Books::open(&mesh.r);
    let heard = decode(&heard_of_b(&mesh, &rogue));
    let b = *address_of(&mesh.b).as_bytes();
    // B's own words, and a way of one microsecond that the attacker did not sign: it is the one to win.
    rogue.send(&sent_on(b, heard, rogue.router_id(), &victim(), 1));
    books.expect("bad_signature", 1);
    // The same of an announcement that nobody has heard: it stands, and its way does not.
    rogue.send(&sent_on(victim().public(), announcement(&victim(), now()), rogue.router_id(), &victim(), 1));
    books.expect("bad_signature", 1);
    // In the name of B's router, which is no neighbour on this link.
    let name = mesh.b.identity().router_id.parse().unwrap();
    rogue.send(&sent_on(b, heard, name, &victim(), 1));
    books.expect("copy_without_peer", 1);
    // And a way back that does not exist cannot be taken away.
    rogue.send(&sent_on(b, heard, rogue.router_id(), &victim(), PathLatency::RETRACTED.0));
    books.expect("nothing_to_retract", 1);
    assert_b_is_where_it_was(&mesh);
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn a_replayed_announcement_and_a_foreign_peer_part() {
    let (mesh, tunnel) = running();
    let rogue = rogue(&mesh);
    let (id, key) = (rogue.router_id(), router_key(SEED));
    let mut books = Books::open(&mesh.r);
    // What R said comes back to it: the peer part is R's and not the attacker's.
    rogue.send(&heard_of_b(&mesh, &rogue));
    books.expect("copy_without_peer", 1);
    let of = |time: WallTime| sent_on(victim().public(), announcement(&victim(), time), id, &key, 1);
    let first = now();
    rogue.send(&of(first));
    mesh.wait_for_route(&mesh.r, &victim().address().to_string());
    rogue.send(&of(first));
    books.expect("announcement_repeated", 1);
    // Older than the newest and never seen: it may have been on its way for a minute.
    rogue.send(&of(first.shifted(-60_000_000)));
    books.expect("announcement_stale", 1);
    assert_b_is_where_it_was(&mesh);
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn an_announcement_of_ours_that_comes_back() {
    let (mesh, tunnel) = running();
    let rogue = Rogue::join(&mesh.m, Mesh::A_TO_M, &mesh.a, SEED);
    let a = address_of(&mesh.a);
    let own = rogue.frame("A's announcement", |frame| {
        frame.header.mode == Mode::ANNOUNCEMENT && frame.header.sender_address() == a
    });
    let mut books = Books::open(&mesh.a);
    rogue.send(&own);
    books.expect("own_announcement", 1);
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn an_announcement_from_another_time() {
    let (mesh, tunnel) = running();
    let rogue = rogue(&mesh);
    let (id, key) = (rogue.router_id(), router_key(SEED));
    let mut books = Books::open(&mesh.r);
    for minutes in [-6, 6] {
        let time = now().shifted(minutes * 60_000_000);
        rogue.send(&sent_on(victim().public(), announcement(&victim(), time), id, &key, 1));
        books.expect("clock_window", 1);
    }
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn a_neighbour_with_many_bad_signatures_is_cut_off() {
    let (mesh, tunnel) = running();
    let rogue = rogue(&mesh);
    let mut books = Books::open(&mesh.r);
    let forged = Announcement { origin_signature: Signature([7; 64]), ..announcement(&victim(), now()) };
    (0..17).for_each(|_| rogue.send(&frame(victim().public(), &forged)));
    mesh.limit().wait_until("R to hang up", || rogue.is_closed()).unwrap();
    books.expect("bad_signature", 17);
    // Its key is good all the same, and so it may peer; but R hangs up again for the next minute.
    let again = WireLink::dial(&mesh.m, Mesh::R_TO_M, &router_key(SEED)).unwrap();
    wait_until_closed(again.stream);
    assert_b_is_where_it_was(&mesh);
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn signatures_that_begin_with_a_zero_byte_are_as_good_as_any() {
    let (mesh, tunnel) = running();
    let rogue = rogue(&mesh);
    let books = Books::open(&mesh.r);
    let zero = |signature: &Signature| signature.0[0] == 0;
    let began = now();
    let mut made = (0..).map(|micros| announcement(&victim(), began.shifted(micros)));
    let found = made.find(|made| zero(&made.origin_signature)).unwrap();
    rogue.send(&sent_on_where(victim().public(), found, &router_key(SEED), zero));
    mesh.wait_for_route(&mesh.r, &victim().address().to_string());
    mesh.wait_for_route(&mesh.b, &victim().address().to_string());
    tunnel.end_unharmed();
    books.close();
}
