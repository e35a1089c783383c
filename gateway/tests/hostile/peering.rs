// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who may not be a neighbour.

use std::io::Write;

use irdest_lab::Peer;
use ratman_types::Signer;

use crate::mesh::{Books, Mesh, drops, running};
use crate::rogue::{Rogue, router_key};
use crate::wire_link::{WireLink, connect, listen_as, wait_until_closed};

const SEED: u8 = 11;

#[test]
fn a_router_with_another_key_than_its_line_names() {
    let mut mesh = Mesh::prepare();
    listen_as(&mesh.m, "203.0.113.130:5860", router_key(SEED));
    let expected = mesh.b.identity().router_id.clone();
    let wrong = Peer { target: "inet:203.0.113.130:5860".to_owned(), router_key: Some(expected), mtu: None };
    mesh.configure_a(|config| config.peers.push(wrong));
    mesh.r.start_as_ratmand().unwrap();
    mesh.a.start().unwrap();
    let refused = || drops(&mesh.a).contains_key("wrong_router_key");
    mesh.limit().wait_until("A to refuse the key", refused).unwrap();
    mesh.start();
    let tunnel = mesh.tunnel();
    let links = mesh.a.status().unwrap().links;
    assert_eq!(links.len(), 1, "R and nobody else: {links:?}");
    assert_eq!(drops(&mesh.a).into_keys().collect::<Vec<_>>(), ["wrong_router_key"]);
    tunnel.end_unharmed();
}

#[test]
fn a_neighbour_whom_no_line_names() {
    let mut mesh = Mesh::prepare();
    mesh.configure_a(|config| config.extra = "accept_unknown_peers = false".to_owned());
    mesh.start();
    let tunnel = mesh.tunnel();
    let mut books = Books::open(&mesh.a);
    for _ in 0..3 {
        assert!(WireLink::dial(&mesh.m, Mesh::A_TO_M, &router_key(SEED)).is_err(), "A hangs up");
    }
    books.expect("unknown_router", 3);
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn a_neighbour_that_cannot_prove_who_it_claims_to_be() {
    let (mesh, tunnel) = running();
    let mut books = Books::open(&mesh.r);
    let [b, r] = [&mesh.b, &mesh.r].map(|gateway| gateway.identity().router_id.parse().unwrap());
    assert!(WireLink::dial_as(&mesh.m, Mesh::R_TO_M, &router_key(SEED), b).is_err());
    books.expect("bad_proof", 1);
    assert!(WireLink::dial_as(&mesh.m, Mesh::R_TO_M, &router_key(SEED), r).is_err());
    books.expect("own_router_key", 1);
    let mut stream = connect(&mesh.m, Mesh::R_TO_M);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    wait_until_closed(stream);
    books.expect("broken_peering", 1);
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn bad_framing_ends_the_link_and_the_neighbour_may_come_back() {
    let (mesh, tunnel) = running();
    let rogue = Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, SEED);
    let mut books = Books::open(&mesh.r);
    rogue.send_bytes(&33_005_u32.to_be_bytes());
    mesh.limit().wait_until("R to hang up", || rogue.is_closed()).unwrap();
    books.expect("bad_framing", 1);
    books.close();
    let again = Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, SEED);
    let links = mesh.r.status().unwrap().links;
    let id = router_key(SEED).router_id().to_string();
    assert_eq!(links.iter().filter(|link| link.neighbour.as_ref() == Some(&id)).count(), 1);
    assert!(!again.is_closed());
    tunnel.end_unharmed();
}
