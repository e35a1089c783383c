// SPDX-License-Identifier: AGPL-3.0-or-later
//! Counts the packets that leave a node, by nftables: whether something crossed a device that must not.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::node::Node;

const TABLE: &str = "lab_watch";

/// Counters of leaving packets, each with a name. They last as long as the node.
#[derive(Debug)]
pub struct Watch {
    node: Node,
}

impl Watch {
    /// Starts to count. Each counter has a name, no word of nft(8), and what it counts, as an expression such as
    /// `oifname "to-r" tcp dport 5860`. A packet counts where it matches first, after all changes of routing and NAT.
    pub fn start(node: &Node, counters: &[(&str, &str)]) -> Result<Self> {
        let mut script = format!("table inet {TABLE} {{\n");
        for (name, _) in counters {
            let _ = writeln!(script, "counter {name} {{ }}");
        }
        script += "chain leaving {\ntype filter hook postrouting priority 300;\n";
        for (name, expression) in counters {
            let _ = writeln!(script, "{expression} counter name {name} accept");
        }
        script += "}\n}\n";
        node.run("nft", &[&script], node.limit())?;
        Ok(Self { node: node.clone() })
    }

    /// All counts so far, in packets.
    pub fn counts(&self) -> Result<BTreeMap<String, u64>> {
        let limit = self.node.limit();
        let text = self.node.run("nft", &["-j", "list", "counters", "table", "inet", TABLE], limit)?;
        let listed: Value =
            serde_json::from_str(&text).with_context(|| format!("reading counters:\n{text}"))?;
        let entries = listed.pointer("/nftables").and_then(Value::as_array).into_iter().flatten();
        let counters = entries.filter_map(|entry| entry.get("counter"));
        Ok(counters.filter_map(|counter| Some((name(counter)?, counter.get("packets")?.as_u64()?))).collect())
    }

    /// The count of one counter.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn count(&self, name: &str) -> Result<u64> {
        self.counts()?.get(name).copied().with_context(|| format!("no counter {name}"))
    }
}

fn name(counter: &Value) -> Option<String> {
    Some(counter.get("name")?.as_str()?.to_owned())
}
