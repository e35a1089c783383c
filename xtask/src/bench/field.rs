// SPDX-License-Identifier: AGPL-3.0-or-later
//! The nodes of a run: A–B, or A–R–B.
//!
//! ```text
//! ┌───────┐  192.0.2.0/24   ┌───────┐       ┌───────┐  192.0.2.0/24   ┌───────┐ 198.51.100.0/24 ┌───────┐
//! │   A   ├─.1───────────.2─┤   B   │  or   │   A   ├─.1───────────.2─┤   R   ├─.1───────────.2─┤   B   │
//! └───────┘                 └───────┘       └───────┘                 └───────┘                 └───────┘
//! ```

use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use irdest_lab::{Lab, LinkEnd, Node, TimeLimit};

/// A node with where it is on the underlay.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The node.
    pub(crate) node: Node,
    /// Its addresses on the underlay.
    pub(crate) local: Vec<&'static str>,
    /// Addresses that it connects to: the other end, or R.
    pub(crate) peers: Vec<&'static str>,
}

/// The nodes, linked by veth pairs with an MTU of 1500 bytes.
#[derive(Debug)]
pub(crate) struct Field {
    /// The node that measures.
    pub(crate) a: Place,
    /// The node in the middle, if any.
    pub(crate) r: Option<Place>,
    /// The node that answers.
    pub(crate) b: Place,
    lab: Lab,
}

impl Field {
    pub(crate) fn direct(limit: Duration) -> Result<Self> {
        let lab = Lab::create(TimeLimit::within(limit))?;
        let a = Place { node: lab.node("a")?, local: vec!["192.0.2.1"], peers: vec!["192.0.2.2"] };
        let b = Place { node: lab.node("b")?, local: vec!["192.0.2.2"], peers: vec!["192.0.2.1"] };
        link(&lab, (&a.node, "to-b", "192.0.2.1/24"), (&b.node, "to-a", "192.0.2.2/24"))?;
        Ok(Self { a, r: None, b, lab })
    }

    pub(crate) fn relay(limit: Duration) -> Result<Self> {
        let lab = Lab::create(TimeLimit::within(limit))?;
        let a = Place { node: lab.node("a")?, local: vec!["192.0.2.1"], peers: vec!["192.0.2.2"] };
        let r = Place { node: lab.node("r")?, local: vec!["192.0.2.2", "198.51.100.1"], peers: vec![] };
        let b = Place { node: lab.node("b")?, local: vec!["198.51.100.2"], peers: vec!["198.51.100.1"] };
        link(&lab, (&a.node, "to-r", "192.0.2.1/24"), (&r.node, "to-a", "192.0.2.2/24"))?;
        link(&lab, (&r.node, "to-b", "198.51.100.1/24"), (&b.node, "to-r", "198.51.100.2/24"))?;
        Ok(Self { a, r: Some(r), b, lab })
    }

    /// Until when the run has to be over.
    pub(crate) fn limit(&self) -> TimeLimit {
        self.lab.limit()
    }

    /// An error with the last lines of what the programs on the nodes have said.
    pub(crate) fn explain(&self, error: Error) -> Error {
        anyhow!("{error:#}\n{}", self.lab.log_tails())
    }
}

fn link(lab: &Lab, left: (&Node, &str, &str), right: (&Node, &str, &str)) -> Result<()> {
    lab.link(
        LinkEnd { node: left.0, device: left.1, addresses: &[left.2] },
        LinkEnd { node: right.0, device: right.1, addresses: &[right.2] },
    )
}
