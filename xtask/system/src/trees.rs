// SPDX-License-Identifier: AGPL-3.0-or-later
//! What tests begin with: one tree, or two that are joined by a link.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result};
use irdest_lab::{Lab, LinkEnd, TimeLimit};

use crate::base_tree::BaseTree;
use crate::package::Package;
use crate::remove_leftovers;
use crate::tree::Tree;

/// How long gateways may take until announcements have crossed.
const JOIN_LIMIT: Duration = Duration::from_secs(30);

/// A booted tree without neighbours, and the lab that goes with it.
#[derive(Debug)]
pub struct OneTree {
    /// The tree.
    pub tree: Tree,
    // After it: what a tree uses is removed with the lab.
    _lab: Lab,
}

/// Two booted trees that reach each other by `eth0`, and the lab that goes with them.
#[derive(Debug)]
pub struct TwoTrees {
    /// The tree with [`TwoTrees::A_ADDRESS`].
    pub a: Tree,
    /// The tree with [`TwoTrees::B_ADDRESS`].
    pub b: Tree,
    // After them: what trees use is removed with the lab.
    _lab: Lab,
}

impl OneTree {
    /// Boots it; every wait ends within the limit.
    pub fn boot(limit: TimeLimit) -> Result<Self> {
        let base = BaseTree::kept()?;
        // What still runs would write into the folders that the lab removes.
        remove_leftovers()?;
        let lab = Lab::create(limit)?;
        Ok(Self { tree: Tree::boot(lab.node("a")?, &base)?, _lab: lab })
    }

    /// Boots it and installs the package.
    pub fn with_package(limit: TimeLimit) -> Result<Self> {
        let one = Self::boot(limit)?;
        Package::under_test()?.install(&one.tree)?;
        Ok(one)
    }
}

impl TwoTrees {
    /// The address of A on the link.
    pub const A_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    /// The address of B on the link.
    pub const B_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    /// Boots both; every wait ends within the limit.
    pub fn boot(limit: TimeLimit) -> Result<Self> {
        let base = BaseTree::kept()?;
        // What still runs would write into the folders that the lab removes.
        remove_leftovers()?;
        let lab = Lab::create(limit)?;
        let (a, b) = (lab.node("a")?, lab.node("b")?);
        let addresses = [Self::A_ADDRESS, Self::B_ADDRESS].map(|address| format!("{address}/24"));
        let [left, right] = addresses.each_ref().map(|address| [address.as_str()]);
        lab.link(
            LinkEnd { node: &a, device: "eth0", addresses: &left },
            LinkEnd { node: &b, device: "eth0", addresses: &right },
        )?;
        let (mut a, mut b) = (Tree::new(a, &base)?, Tree::new(b, &base)?);
        a.begin_to_boot()?;
        b.begin_to_boot()?;
        a.wait_until_up().context("booting tree a")?;
        b.wait_until_up().context("booting tree b")?;
        Ok(Self { a, b, _lab: lab })
    }

    /// Boots both with the package under test, and returns once A, which dials B, and B have found each other.
    pub fn joined(limit: TimeLimit) -> Result<Self> {
        let trees = Self::boot(limit)?;
        trees.join(&Package::under_test()?)?;
        Ok(trees)
    }

    /// Installs a package in both, starts it, and lets A dial B.
    ///
    /// # Errors
    /// Where they have not found each other within the limit.
    pub fn join(&self, package: &Package) -> Result<()> {
        for tree in [&self.a, &self.b] {
            package.install(tree)?;
            tree.gateway().start()?;
        }
        self.a.gateway().configure(&format!("peers = [\"inet:{}:5860\"]", Self::B_ADDRESS))?;
        self.a.gateway().reload()?;
        self.wait_until_joined()
    }

    /// Waits until each gateway has a route to the other.
    pub fn wait_until_joined(&self) -> Result<()> {
        let (a, b) = (self.a.gateway(), self.b.gateway());
        let (of_a, of_b) = (a.status()?.address, b.status()?.address);
        self.a.limit().at_most(JOIN_LIMIT).wait_for("the gateways to find each other", || {
            let found = a.status()?.next_hop(&of_b).is_some() && b.status()?.next_hop(&of_a).is_some();
            Ok(found.then_some(()))
        })
    }

    /// Pings the overlay address of B from A; every request has to be answered.
    pub fn ping(&self) -> Result<String> {
        self.a.ping(&self.b.gateway().overlay()?.to_string())
    }
}
