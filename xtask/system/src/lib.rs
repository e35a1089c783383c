// SPDX-License-Identifier: AGPL-3.0-or-later
//! Debian trees that are booted by systemd-nspawn, so that package and unit are tried where they are used.
//!
//! Each [`Tree`] is a [`Node`](irdest_lab::Node) of a lab: it has that node's network, and what it writes lies over one
//! [`BaseTree`] that all share. Nothing of the machine is changed, and all that was made goes with the lab. Only root
//! can boot trees.

mod base_tree;
mod cgroups;
mod gateway_unit;
mod journal;
mod notify_socket;
mod package;
mod processes;
mod readme;
mod sources;
mod tree;
mod trees;

pub use base_tree::{BaseTree, TREES};
pub use gateway_unit::{Finding, GatewayUnit};
pub use journal::{Journal, Line};
pub use package::{PACKAGE, PACKAGE_BEFORE, Package};
pub use readme::Commands;
pub use tree::Tree;
pub use trees::{OneTree, TwoTrees};

/// Kills and removes what labs with trees left whose owner no longer lives.
pub fn remove_leftovers() -> anyhow::Result<()> {
    cgroups::remove_leftovers()?;
    irdest_lab::remove_leftovers().map(drop)
}
