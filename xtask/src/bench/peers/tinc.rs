// SPDX-License-Identifier: AGPL-3.0-or-later
//! tinc 1.0: each end has a file about each host, with its public key.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use irdest_lab::{Node, Process};

use crate::bench::field::{Field, Place};
use crate::bench::subject::{INNER_MTU, OVERLAY_A, OVERLAY_B, Started};

pub(super) fn start(field: &Field) -> Result<Started> {
    let ends = [(&field.b, OVERLAY_B, ""), (&field.a, OVERLAY_A, "ConnectTo = b\n")];
    for (place, overlay, connect) in ends {
        configure(place, overlay, connect)?;
    }
    exchange(&field.a.node, &field.b.node)?;
    exchange(&field.b.node, &field.a.node)?;
    let processes: Result<Vec<Process>> = ends.iter().map(|(place, _, _)| run(&place.node)).collect();
    Ok(Started::of(OVERLAY_B.parse()?, processes?))
}

fn configure(place: &Place, overlay: &str, connect: &str) -> Result<()> {
    let (node, directory) = (&place.node, place.node.directory());
    let name = node.name();
    let main = format!("Name = {name}\nInterface = tinc0\nAddressFamily = ipv4\n{connect}");
    fs::write(directory.join("tinc.conf"), main)?;
    let up = directory.join("tinc-up");
    let script = format!(
        "#!/bin/sh\nip address add {overlay}/16 dev $INTERFACE\nip link set $INTERFACE mtu {INNER_MTU} up\n"
    );
    fs::write(&up, script)?;
    fs::set_permissions(&up, fs::Permissions::from_mode(0o700))?;
    fs::create_dir(directory.join("hosts"))?;
    let host = format!(
        "Address = {}\nSubnet = {overlay}/32\nCipher = aes-256-cbc\nDigest = sha256\n",
        place.local[0]
    );
    fs::write(directory.join("hosts").join(name), host)?;
    // Without a terminal it asks nothing and appends the public key to the file of the host.
    node.run("tincd", &["-c", &directory.display().to_string(), "-K2048"], node.limit()).map(drop)
}

fn exchange(from: &Node, to: &Node) -> Result<()> {
    let file = |node: &Node| node.directory().join("hosts").join(from.name());
    fs::copy(file(from), file(to))?;
    Ok(())
}

fn run(node: &Node) -> Result<Process> {
    let directory = node.directory();
    let (configuration, pid) = (directory.display().to_string(), directory.join("pid").display().to_string());
    node.spawn("tincd", &["-c", &configuration, "-D", &format!("--pidfile={pid}")], "tinc")
}
