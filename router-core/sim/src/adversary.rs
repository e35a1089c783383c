// SPDX-License-Identifier: AGPL-3.0-or-later
//! Routers in wrong hands. The router behind an adversary peers and routes as any other; the adversary changes what it
//! says, swallows it, or speaks wire bytes of its own.

mod flooder;
mod forger;
mod hold_back;
mod liar;
mod replayer;
mod time_liar;

use core::fmt;
use std::sync::Arc;

use core::time::Duration;
use ratman_types::{Address, Digest, Hop, Mtu, Now, Signer};
use ratman_wire::announcement::{Announcement, PathLatency, Peer};
use ratman_wire::{Frame, Header, Mode};

pub use flooder::Flooder;
pub use forger::Forger;
pub use hold_back::HoldBack;
pub use liar::Liar;
pub use replayer::Replayer;
pub use time_liar::TimeLiar;

/// Whoever holds a router.
pub trait Adversary: fmt::Debug {
    /// What goes out instead of a frame that the router would send over `hop`.
    fn outgoing(&mut self, _position: &Position, hop: Hop, frame: Vec<u8>) -> Vec<(Hop, Vec<u8>)> {
        vec![(hop, frame)]
    }

    /// Frames of its own, each time when its interval is over.
    fn act(&mut self, _position: &Position) -> Vec<(Hop, Vec<u8>)> {
        Vec::new()
    }

    /// How often [`Adversary::act`] is called; never by default.
    fn interval(&self) -> Option<Duration> {
        None
    }
}

/// What an adversary knows because it holds a router.
#[derive(Clone)]
pub struct Position {
    /// The router's secret key.
    pub key: Arc<dyn Signer>,
    /// Its links that are up, with the hash of both peering proofs of each.
    pub hops: Vec<(Hop, Digest)>,
    /// Its clocks.
    pub now: Now,
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({}, {:?})", self.key.router_id().short(), self.hops)
    }
}

impl Position {
    /// The announcement as a frame, with a peer part that claims `latency`, signed by the router.
    pub fn announce(
        &self,
        address: &Address,
        mut announcement: Announcement,
        latency: PathLatency,
    ) -> Vec<u8> {
        let router = self.key.router_id();
        let interval = announcement.peer.map_or(2, |peer| peer.interval);
        let signature = self.key.sign(&announcement.hop_signed_bytes(address, &router, latency, interval));
        announcement.peer = Some(Peer { router, latency, interval, signature });
        let header = Header::new(Mode::ANNOUNCEMENT, *address.as_bytes());
        Frame { header, payload: &announcement.encode() }.encode()
    }

    fn proofs(&self, hop: Hop) -> Option<&Digest> {
        self.hops.iter().find_map(|(known, proofs)| (*known == hop).then_some(proofs))
    }
}

/// The address and the payload of an announcement frame.
fn announcement_in(frame: &[u8]) -> Option<(Address, Announcement)> {
    let frame = Frame::decode(frame).ok().filter(|frame| frame.header.mode == Mode::ANNOUNCEMENT)?;
    let announcement = Announcement::decode(frame.payload).ok()?;
    Some((frame.header.sender_address(), announcement))
}

/// The MTU that adversaries claim: inet's.
const CLAIMED_MTU: Mtu = Mtu(33_004);
