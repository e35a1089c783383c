// SPDX-License-Identifier: AGPL-3.0-or-later
//! What becomes of session frames: the tests' view of the data plane.

use std::collections::BTreeSet;

use ratman_types::{Address, Recipient};
use ratman_wire::{Frame, Header, Mode};
use router_core::DropReason;

use crate::NodeId;

/// Names a probe of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeId(pub(crate) usize);

/// How a frame ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is under way.
    UnderWay,
    /// It reached the router of its recipient.
    Delivered,
    /// A router dropped it.
    Dropped {
        /// Which.
        by: NodeId,
        /// Why.
        reason: DropReason,
    },
    /// A medium lost it.
    Lost,
}

/// A session frame that was sent over the media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// How it ended.
    pub fate: Fate,
    /// How many links it crossed.
    pub hops: usize,
}

/// The way that a session frame would take if nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// How it would end.
    pub fate: Fate,
    /// The routers that it visits, the first one included.
    pub way: Vec<NodeId>,
}

impl Walk {
    /// Whether it visits a router twice.
    pub fn loops(&self) -> bool {
        let mut seen = BTreeSet::new();
        self.way.iter().any(|node| !seen.insert(node))
    }
}

/// A frame of the session range from one address to another, with the probe's number as payload.
pub(crate) fn encode(from: Address, to: Address, hops_left: u8, probe: ProbeId) -> Vec<u8> {
    let header = Header::new(Mode::SESSION_DATA, *from.as_bytes()).to(Recipient::Address(to));
    let number = u64::try_from(probe.0).expect("indices fit 64 bits");
    Frame { header: Header { hops_left, ..header }, payload: &number.to_be_bytes() }.encode()
}

/// The number in a frame that [`encode`] made.
pub(crate) fn decode(frame: &[u8]) -> Option<ProbeId> {
    let frame = Frame::decode(frame).ok().filter(|frame| frame.header.mode == Mode::SESSION_DATA)?;
    let number = u64::from_be_bytes(frame.payload.try_into().ok()?);
    usize::try_from(number).ok().map(ProbeId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_that_comes_back_loops() {
        let walk =
            |way: &[usize]| Walk { fate: Fate::Delivered, way: way.iter().copied().map(NodeId).collect() };
        assert!(!walk(&[1, 2, 3]).loops());
        assert!(walk(&[1, 2, 3, 2]).loops());
    }

    #[test]
    fn a_probe_is_recognised() {
        let (from, to) = (Address::from_bytes([1; 32]), Address::from_bytes([2; 32]));
        let frame = encode(from, to, 9, ProbeId(77));
        assert_eq!(decode(&frame), Some(ProbeId(77)));
        assert_eq!(Frame::decode(&frame).unwrap().header.hops_left, 9);
        let other = Frame { header: Header::new(Mode::ECHO_REQUEST, [0; 32]), payload: &[0; 8] }.encode();
        assert_eq!(decode(&other), None);
        assert_eq!(decode(b""), None);
    }
}
