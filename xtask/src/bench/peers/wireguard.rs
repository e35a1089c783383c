// SPDX-License-Identifier: AGPL-3.0-or-later
//! wireguard-go: two interfaces that know each other's key.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use irdest_lab::{Node, Process};

use super::Leftover;
use crate::bench::field::{Field, Place};
use crate::bench::subject::{OVERLAY_A, OVERLAY_B, Started, bring_up};

/// How long an interface may take until it can be configured.
const CONTROL_LIMIT: Duration = Duration::from_secs(5);

pub(super) fn start(field: &Field) -> Result<Started> {
    let (key_a, key_b) = (make_key(&field.a.node)?, make_key(&field.b.node)?);
    let (b, socket_b) = end(&field.b, OVERLAY_B, &key_a)?;
    let (a, socket_a) = end(&field.a, OVERLAY_A, &key_b)?;
    let leftovers = vec![socket_a, socket_b];
    Ok(Started { target: OVERLAY_B.parse()?, processes: vec![a, b], leftovers })
}

/// Keeps the private key in the node's directory and returns the public one.
fn make_key(node: &Node) -> Result<String> {
    let script = "umask 077 && wg genkey > key && wg pubkey < key";
    Ok(node.run("sh", &["-c", script], node.limit())?.trim().to_owned())
}

fn end(place: &Place, overlay: &str, other: &str) -> Result<(Process, Leftover)> {
    let node = &place.node;
    // Control sockets of all interfaces lie in one folder, whatever their namespace: the name has to be unique.
    let device = format!("wg{}{}", std::process::id(), node.name());
    let socket = Leftover(PathBuf::from(format!("/var/run/wireguard/{device}.sock")));
    let mut command = node.command("wireguard-go");
    command.args(["-f", &device]).env("LOG_LEVEL", "error");
    let process = Process::spawn(&mut command, node.directory().join("wireguard-go.log"))?;
    let process = bring_up(node, process, &device, overlay)?;
    let endpoint = format!("{}:51820", place.peers[0]);
    let own = ["set", &device, "listen-port", "51820", "private-key", "key"];
    let peer = ["peer", other, "allowed-ips", "10.66.0.0/16", "endpoint", &endpoint];
    let arguments: Vec<&str> = own.into_iter().chain(peer).collect();
    let limit = node.limit();
    limit.at_most(CONTROL_LIMIT).wait_for("wireguard-go to take its configuration", || {
        Ok(node.run("wg", &arguments, limit).is_ok().then_some(()))
    })?;
    Ok((process, socket))
}
