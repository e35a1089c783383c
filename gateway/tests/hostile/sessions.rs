// SPDX-License-Identifier: AGPL-3.0-or-later
//! Sessions of strangers and of remotes that lie about where their packets come from.

use std::net::IpAddr;

use ratman_types::{Address, Recipient, Signature, Signer};
use ratman_wire::session::INITIATION_LEN;
use ratman_wire::{Frame, Header, Mode};

use crate::mesh::{Books, Mesh, address_of, running};
use crate::packets::{datagram, echo_request, is_echo_reply, is_tcp_from, syn, v4, v6};
use crate::rogue::{Rogue, address_key};

const SEED: u8 = 41;

/// Metadata of a packet that needs nothing of the kernel.
const PLAIN: [u8; 10] = [0; 10];

/// Where the firewall of A lets configured remotes connect to.
const OPEN_PORT: u16 = 8080;

fn rogue(mesh: &Mesh) -> Rogue {
    let rogue = Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, SEED);
    mesh.wait_for_route(&mesh.a, &rogue.address().to_string());
    rogue
}

fn inside_a(mesh: &Mesh) -> IpAddr {
    v6(mesh.a.identity().overlay)
}

#[test]
fn a_stranger_where_only_configured_remotes_are_accepted() {
    let mut mesh = Mesh::prepare();
    mesh.configure_a(|config| config.extra = "sessions.accept = \"configured\"".to_owned());
    mesh.start();
    let tunnel = mesh.tunnel();
    let rogue = rogue(&mesh);
    let mut books = Books::open(&mesh.a);
    rogue.ask_for_session(address_of(&mesh.a));
    books.expect("not_accepted", 1);
    assert!(!rogue.has_session(address_of(&mesh.a)));
    let stranger = rogue.address().to_string();
    assert!(mesh.a.status().unwrap().sessions.iter().all(|session| session.remote != stranger));
    drop(rogue);
    tunnel.end_unharmed();
}

#[test]
fn a_stranger_has_its_own_overlay_address_and_the_firewall_before_it() {
    let (mesh, tunnel) = running();
    let rogue = rogue(&mesh);
    let (a, own, inside) = (address_of(&mesh.a), v6(rogue.overlay()), inside_a(&mesh));
    let mut books = Books::open(&mesh.a);
    rogue.open_session(a);
    rogue.send_packet(a, PLAIN, &echo_request(own, inside));
    rogue.packet("an answer to the stranger", |packet| is_echo_reply(packet, inside));
    // Another's overlay address, a prefix of B's, A's own, and one that belongs to nobody.
    for source in [v6(mesh.b.identity().overlay), v6("fd69:7264::1".parse().unwrap()), inside] {
        rogue.send_packet(a, PLAIN, &echo_request(source, inside));
    }
    for source in ["10.66.2.1", "10.66.1.1", "192.0.2.99"] {
        rogue.send_packet(a, PLAIN, &echo_request(v4(source), v4("10.66.1.1")));
    }
    books.expect("source_not_allowed", 6);
    rogue.send_packet(a, PLAIN, &syn(own, inside, OPEN_PORT));
    books.expect("inbound_connection", 1);
    rogue.send_packet(a, PLAIN, &datagram(own, inside, OPEN_PORT));
    books.expect("no_flow", 1);
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn a_configured_remote_has_its_prefix_and_no_other() {
    let mut mesh = Mesh::prepare();
    let remote = address_key(SEED).address().to_string();
    mesh.configure_a(|config| config.routes.push(("10.66.9.0/24".to_owned(), remote)));
    mesh.start();
    let tunnel = mesh.tunnel();
    let rogue = rogue(&mesh);
    let (a, own, inside) = (address_of(&mesh.a), v4("10.66.9.1"), v4("10.66.1.1"));
    let mut books = Books::open(&mesh.a);
    rogue.open_session(a);
    // Nobody listens: that A's kernel refuses shows that its firewall did not.
    rogue.send_packet(a, PLAIN, &syn(own, inside, OPEN_PORT));
    rogue.packet("A's kernel to refuse", |packet| is_tcp_from(packet, OPEN_PORT));
    rogue.send_packet(a, PLAIN, &syn(own, inside, OPEN_PORT + 1));
    books.expect("inbound_connection", 1);
    rogue.send_packet(a, PLAIN, &syn(v4(Mesh::B_INSIDE), inside, OPEN_PORT));
    books.expect("source_not_allowed", 1);
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn packets_that_no_kernel_should_see() {
    let (mesh, tunnel) = running();
    let rogue = rogue(&mesh);
    let (a, own, inside) = (address_of(&mesh.a), v6(rogue.overlay()), inside_a(&mesh));
    let mut books = Books::open(&mesh.a);
    rogue.open_session(a);
    rogue.send_packet(a, PLAIN, &[0x60]);
    books.expect("too_short", 1);
    rogue.send_packet(a, PLAIN, &[0xf0; 60]);
    books.expect("bad_version", 1);
    let request = echo_request(own, inside);
    rogue.send_packet(a, PLAIN, &request[..request.len() - 1]);
    books.expect("length_mismatch", 1);
    // A super-packet of segments of one byte, claimed of an echo request.
    rogue.send_packet(a, [1, 4, 0, 40, 0, 1, 0, 40, 0, 2], &request);
    books.expect("bad_metadata", 1);
    rogue.send_packet(a, PLAIN, &request);
    rogue.packet("an answer all the same", |packet| is_echo_reply(packet, inside));
    tunnel.end_unharmed();
    books.close();
}

#[test]
fn session_frames_of_the_wrong_form() {
    let (mesh, tunnel) = running();
    let rogue = rogue(&mesh);
    let (mut at_r, mut at_a) = (Books::open(&mesh.r), Books::open(&mesh.a));
    let to_a = Recipient::Address(address_of(&mesh.a));
    let header = |mode| Header::new(mode, address_key(SEED).public()).to(to_a);
    let send = |header: Header, payload: &[u8]| rogue.send(&Frame { header, payload }.encode());
    send(Header { signature: Some(Signature([1; 64])), ..header(Mode::SESSION_DATA) }, &[1; 40]);
    at_r.expect("session_form", 1);
    let nowhere = Recipient::Address(Address::from_bytes([9; 32]));
    send(header(Mode::SESSION_DATA).to(nowhere), &[1; 40]);
    at_r.expect("no_route", 1);
    send(Header { hops_left: 0, ..header(Mode::SESSION_DATA) }, &[1; 40]);
    at_r.expect("hop_limit", 1);
    for mode in [Mode::SESSION_INITIATION, Mode::SESSION_RESPONSE, Mode::SESSION_COOKIE, Mode::SESSION_DATA] {
        send(header(mode), &[0xff; 15]);
    }
    at_a.expect("malformed_session_frame", 4);
    let unknown = [&[1, 0, 0, 0, 0, 0, 0, 1][..], &[0; 24]].concat();
    send(header(Mode::SESSION_DATA), &unknown);
    at_a.expect("unknown_index", 1);
    send(header(Mode::SESSION_COOKIE), &[5; 20]);
    at_a.expect("unknown_handshake", 1);
    send(header(Mode::SESSION_INITIATION), &[5; INITIATION_LEN]);
    at_a.expect("bad_handshake", 1);
    tunnel.end_unharmed();
    at_r.close();
    at_a.close();
}
