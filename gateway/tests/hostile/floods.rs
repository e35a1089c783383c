// SPDX-License-Identifier: AGPL-3.0-or-later
//! More initiations of sessions than there can be sessions, each from another invented address.

use std::sync::Arc;

use gateway_core::session::{
    Accept, HALF_OPEN_PER_NEIGHBOUR, MAX_INBOUND_STRANGERS, SessionConfig, Sessions,
};
use irdest_gateway::clock::Clock;
use irdest_lab::{Session, Status};
use ratman_types::{Address, Recipient, SecretKey, Signer};
use ratman_wire::{Frame, Header};

use crate::mesh::{Mesh, address_of, running};
use crate::rogue::Rogue;

const SEED: u8 = 51;

const HOPS: u8 = 60;

/// More than all sessions that strangers may hold.
const FLOOD: usize = 2 * MAX_INBOUND_STRANGERS;

/// The first frame of an address that nobody has announced.
fn initiation(number: usize, remote: Address) -> Vec<u8> {
    let mut seed = [SEED; 32];
    seed[..8].copy_from_slice(&u64::try_from(number).expect("a small number").to_be_bytes());
    let key = Arc::new(SecretKey::from_seed(seed));
    let config = SessionConfig {
        accept: Accept::Any,
        configured: Vec::new(),
        aes_in_hardware: false,
        hops_left: HOPS,
    };
    let mut sessions = Sessions::new(config, &key, seed, Clock.now());
    sessions.connect(remote, Clock.now()).expect("the first session");
    while sessions.poll_event().is_some() {}
    let transmit = sessions.poll_transmit().expect("an initiation");
    let header = Header { hops_left: HOPS, ..Header::new(transmit.mode, key.public()) };
    Frame { header: header.to(Recipient::Address(transmit.to)), payload: &transmit.payload }.encode()
}

#[test]
fn initiations_from_invented_addresses_stay_few_and_harm_no_session() {
    let (mesh, tunnel) = running();
    let rogue = Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, SEED);
    let a = address_of(&mesh.a);
    for number in 0..FLOOD {
        rogue.send(&initiation(number, a));
    }
    let refused = |status: &Status| status.drops("cookie_asked") + status.drops("half_open_quota");
    let all_but_few = u64::try_from(FLOOD - HALF_OPEN_PER_NEIGHBOUR).expect("a small number");
    let heard = || Ok(Some(mesh.a.status()?).filter(|status| refused(status) >= all_but_few));
    let status =
        mesh.limit().wait_for("the end of the flood", heard).expect("a bounded number of handshakes");
    assert!(status.sessions.len() <= HALF_OPEN_PER_NEIGHBOUR + 1, "{} sessions", status.sessions.len());
    assert!(status.drops("cookie_asked") > status.drops("half_open_quota"), "{:?}", status.drops);
    let known = &mesh.b.identity().address;
    let stands = |session: &Session| session.remote == *known && session.state == "established";
    assert!(status.sessions.iter().any(stands));
    tunnel.end_unharmed();
}
