// SPDX-License-Identifier: AGPL-3.0-or-later
//! Reads the host's filters with `nft`, which only root can.

use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::modules;
use crate::doctor::judge::firewall::{Filters, Ruleset};
use crate::host::find_nft;

/// More than all rules of a host; a list of blocked addresses may be long.
const MOST_BYTES: u64 = 64 << 20;

/// Reads them.
pub(super) async fn look() -> Filters {
    // Empty where the module is not loaded, and closed to others than root.
    let legacy = ["ip_tables_names", "ip6_tables_names"].iter().any(|name| {
        std::fs::read_to_string(format!("/proc/self/net/{name}")).is_ok_and(|tables| !tables.is_empty())
    });
    Filters { rules: rules().await, legacy }
}

/// Nothing could be seen.
pub(super) fn unseen(reason: String) -> Filters {
    Filters { rules: Err(reason), legacy: false }
}

async fn rules() -> Result<Ruleset, String> {
    if modules::would_be_loaded("nf_tables") {
        // There are no rules where nobody can have set any.
        return Ok(Ruleset::default());
    }
    let nft = find_nft().ok_or("the program `nft` is not installed, which reads the host's filters")?;
    let failed = |error: std::io::Error| format!("nft: {error}");
    let mut child = Command::new(nft)
        .args(["-j", "list", "ruleset"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (mut printed, mut said) = (Vec::new(), String::new());
    let mut output = child.stdout.take().expect("stdout was piped").take(MOST_BYTES);
    let mut errors = child.stderr.take().expect("stderr was piped").take(4096);
    tokio::try_join!(output.read_to_end(&mut printed), errors.read_to_string(&mut said)).map_err(failed)?;
    if !child.wait().await.map_err(failed)?.success() {
        let words = said.lines().next().unwrap_or("nft failed without a word");
        return Err(if words.contains("not permitted") {
            "only root can read the host's filters".into()
        } else {
            words.into()
        });
    }
    Ruleset::parse(&printed)
}
