// SPDX-License-Identifier: AGPL-3.0-or-later
//! Programs that the bench does not know, started by a script at each end.
//!
//! The script stays in the foreground, on the node, and finds in its environment: `BENCH_NODE` (`a` or `b`),
//! `BENCH_DIR` (a private folder; its parent is shared by both), `BENCH_TUN` (the interface to make), `BENCH_LOCAL` (its
//! underlay addresses), `BENCH_PEERS` (those to connect to) and `BENCH_TARGET` (a file into which it writes its overlay
//! address). Lists are separated by spaces.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use irdest_lab::Process;

use super::field::{Field, Place};
use super::subject::Started;

/// How long a script may take to write its address.
const ADDRESS_LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn start(field: &Field, script: &Path) -> Result<Started> {
    let script = fs::canonicalize(script).with_context(|| format!("no script {}", script.display()))?;
    // Who is connected to starts before who connects.
    let processes = vec![end(&field.b, &script)?, end(&field.a, &script)?];
    let file = field.b.node.directory().join("address");
    let address = field.limit().at_most(ADDRESS_LIMIT).wait_for("the overlay address of node b", || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        Ok((!text.trim().is_empty()).then(|| text.trim().to_owned()))
    })?;
    let target = address.parse().with_context(|| format!("`{address}` is no IP address"))?;
    Ok(Started::of(target, processes))
}

fn end(place: &Place, script: &Path) -> Result<Process> {
    let directory = place.node.directory();
    let mut command = place.node.command(script);
    command.env("BENCH_NODE", place.node.name()).env("BENCH_DIR", &directory).env("BENCH_TUN", "bench0");
    command.env("BENCH_LOCAL", place.local.join(" ")).env("BENCH_PEERS", place.peers.join(" "));
    command.env("BENCH_TARGET", directory.join("address"));
    Process::spawn(&mut command, directory.join("beside.log"))
}
