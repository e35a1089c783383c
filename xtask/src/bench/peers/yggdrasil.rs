// SPDX-License-Identifier: AGPL-3.0-or-later
//! yggdrasil: its address follows from its key.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};
use irdest_lab::{Node, Process};
use serde_json::{Value, json};

use crate::bench::field::{Field, Place};
use crate::bench::subject::{INNER_MTU, Started};

pub(super) fn start(field: &Field) -> Result<Started> {
    let processes = vec![end(&field.b, false)?, end(&field.a, true)?];
    let node = &field.b.node;
    let address = node.run("yggdrasil", &["-useconffile", &file(node), "-address"], node.limit())?;
    let target = address.trim().parse().with_context(|| format!("the address `{address}`"))?;
    Ok(Started::of(target, processes))
}

fn end(place: &Place, dials: bool) -> Result<Process> {
    let node = &place.node;
    let made = node.run("yggdrasil", &["-genconf", "-json"], node.limit())?;
    let mut config: Value = serde_json::from_str(&made).context("reading the configuration of yggdrasil")?;
    config["Listen"] = json!([format!("tcp://{}:9001", place.local[0])]);
    config["Peers"] = if dials { json!([format!("tcp://{}:9001", place.peers[0])]) } else { json!([]) };
    config["MulticastInterfaces"] = json!([]);
    config["AdminListen"] = json!("none");
    config["IfName"] = json!("ygg0");
    config["IfMTU"] = json!(INNER_MTU.parse::<u16>()?);
    // It holds the key.
    let file_of_key = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(file(node));
    file_of_key?.write_all(config.to_string().as_bytes())?;
    node.spawn("yggdrasil", &["-useconffile", &file(node)], "yggdrasil")
}

fn file(node: &Node) -> String {
    node.directory().join("yggdrasil.conf").display().to_string()
}
