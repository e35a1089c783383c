// SPDX-License-Identifier: AGPL-3.0-or-later
//! An attacker between A and R says again what it saw of the living tunnel, in both directions.

use irdest_lab::Peer;
use ratman_wire::Mode;
use ratman_wire::carrier::SESSION_HEADER;
use ratman_wire::peering::is_peering;
use ratman_wire::session::DataHeader;

use crate::mesh::{Books, Mesh, Tunnel};
use crate::rogue::Rogue;
use crate::splice::Splice;

/// How often each data frame comes again.
const TIMES: u64 = 20;

fn spliced() -> (Mesh, Tunnel, Splice) {
    let mut mesh = Mesh::prepare();
    let splice = Splice::start(&mesh.m, "203.0.113.130:5861", Mesh::R_TO_M);
    mesh.configure_a(|config| config.peers = vec![Peer::from("inet:203.0.113.130:5861")]);
    mesh.start();
    let tunnel = mesh.tunnel();
    (mesh, tunnel, splice)
}

#[test]
fn replayed_frames_of_a_session() {
    let (mesh, tunnel, splice) = spliced();
    let (mut at_a, at_r, mut at_b) = (Books::open(&mesh.a), Books::open(&mesh.r), Books::open(&mesh.b));
    let data = splice.forth.newest(Mode::SESSION_DATA, mesh.limit());
    (0..TIMES).for_each(|_| splice.forth.inject(&data));
    at_b.expect("replayed", TIMES);
    let data = splice.back.newest(Mode::SESSION_DATA, mesh.limit());
    (0..TIMES).for_each(|_| splice.back.inject(&data));
    at_a.expect("replayed", TIMES);
    // A pinged first, so it was the one to begin.
    splice.forth.inject(&splice.forth.newest(Mode::SESSION_INITIATION, mesh.limit()));
    at_b.expect("replayed_initiation", 1);
    splice.back.inject(&splice.back.newest(Mode::SESSION_RESPONSE, mesh.limit()));
    at_a.expect("unknown_handshake", 1);
    // Seen and changed, with a counter far ahead so that only the seal can tell.
    let mut changed = splice.forth.newest(Mode::SESSION_DATA, mesh.limit());
    changed[SESSION_HEADER + DataHeader::ASSOCIATED + 3] ^= 1;
    splice.forth.inject(&changed);
    at_b.expect("bad_seal", 1);
    tunnel.end_unharmed();
    at_a.close();
    at_r.close();
    at_b.close();
}

#[test]
fn replayed_announcements_echoes_and_proofs() {
    let (mesh, tunnel, splice) = spliced();
    let mut at_r = Books::open(&mesh.r);
    splice.forth.inject(&splice.forth.newest(Mode::ANNOUNCEMENT, mesh.limit()));
    at_r.expect("announcement_repeated", 1);
    splice.forth.inject(&splice.forth.newest(Mode::ECHO_REQUEST, mesh.limit()));
    at_r.expect("stale_one_hop", 1);
    splice.forth.inject(&splice.forth.newest(Mode::ROUTER_META, mesh.limit()));
    at_r.expect("stale_one_hop", 1);
    let proof = splice.forth.newest(Mode::PROOF, mesh.limit());
    assert!(is_peering(&proof));
    splice.forth.inject(&proof);
    at_r.expect("stray_peering_frames", 1);
    tunnel.end_unharmed();
    at_r.close();
}

#[test]
fn frames_of_one_link_are_of_no_use_on_another() {
    let (mesh, tunnel, splice) = spliced();
    let rogue = Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, 51);
    let mut at_r = Books::open(&mesh.r);
    // A's words to R, peer part included, from a neighbour that is not A.
    rogue.send(&splice.forth.newest(Mode::ANNOUNCEMENT, mesh.limit()));
    at_r.expect("copy_without_peer", 1);
    rogue.send(&splice.forth.newest(Mode::ECHO_REQUEST, mesh.limit()));
    at_r.expect("wrong_sender", 1);
    tunnel.end_unharmed();
    at_r.close();
}
