// SPDX-License-Identifier: AGPL-3.0-or-later
//! The gateway of a tree: its unit, its configuration, and what it tells of itself.

use std::fs::{self, File};
use std::io::Write;

use anyhow::{Context, Result};
use irdest_lab::{Links, Status};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::journal::Journal;
use crate::tree::Tree;

/// Its name to systemd.
const UNIT: &str = "irdest-gateway.service";

/// The file that an operator edits.
const CONFIGURATION: &str = "/etc/irdest-gateway/gateway.toml";

/// Where the running gateway answers.
const CONTROL_SOCKET: &str = "/run/irdest-gateway/control.sock";

/// The unit `irdest-gateway.service` of a tree that has the package.
#[derive(Clone, Copy, Debug)]
pub struct GatewayUnit<'a> {
    tree: &'a Tree,
}

/// Something that the doctor looked at.
#[derive(Clone, Debug, Deserialize)]
pub struct Finding {
    /// What it looked at.
    pub id: String,
    /// `ok`, `warning` or `error`.
    pub severity: String,
    /// What is the case.
    pub found: String,
}

#[derive(Deserialize)]
struct Report {
    /// The worst first.
    findings: Vec<Finding>,
}

impl Tree {
    /// The gateway that the package brings.
    pub fn gateway(&self) -> GatewayUnit<'_> {
        GatewayUnit { tree: self }
    }
}

impl GatewayUnit<'_> {
    /// Starts it, and returns once it is ready.
    ///
    /// # Errors
    /// Where it does not become ready; the message is that of systemctl.
    pub fn start(self) -> Result<()> {
        self.systemctl("start")
    }

    /// Ends it.
    pub fn stop(self) -> Result<()> {
        self.systemctl("stop")
    }

    /// Lets it read its configuration again, and returns once it has.
    pub fn reload(self) -> Result<()> {
        self.systemctl("reload")
    }

    fn systemctl(self, verb: &str) -> Result<()> {
        self.tree.run("systemctl", &[verb, UNIT]).map(drop)
    }

    /// What systemd knows of it: a property of systemctl(1), such as `ActiveState`.
    pub fn property(self, name: &str) -> Result<String> {
        let text = self.tree.run("systemctl", &["show", "--value", "--property", name, UNIT])?;
        Ok(text.trim_end().to_owned())
    }

    /// The process id of the daemon, as the tree numbers it; 0 where none runs.
    pub fn main_pid(self) -> Result<u32> {
        self.property("MainPID")?.parse().context("reading MainPID")
    }

    /// Follows its part of the journal from now on.
    pub fn journal(self) -> Result<Journal> {
        self.tree.journal(UNIT)
    }

    /// Adds lines of TOML to the end of its configuration; they hold from the next start or reload.
    pub fn configure(self, lines: &str) -> Result<()> {
        let path = self.tree.path(CONFIGURATION)?;
        let file = File::options().append(true).open(&path);
        let written = file.and_then(|mut file| writeln!(file, "{lines}"));
        written.with_context(|| format!("writing {}", path.display()))
    }

    /// The configuration as it is, to be given to [`GatewayUnit::set_configuration`] later.
    pub fn configuration(self) -> Result<String> {
        fs::read_to_string(self.tree.path(CONFIGURATION)?).context("reading the configuration of a tree")
    }

    /// Replaces the configuration.
    pub fn set_configuration(self, text: &str) -> Result<()> {
        fs::write(self.tree.path(CONFIGURATION)?, text).context("writing the configuration of a tree")
    }

    /// What `irdest-gateway status --json` tells.
    pub fn status(self) -> Result<Status> {
        self.ask("status")
    }

    /// What `irdest-gateway links --json` tells.
    pub fn links(self) -> Result<Links> {
        self.ask("links")
    }

    /// The highest origin time that its announcements may have, as it is stored: in microseconds since 1970.
    pub fn last_origin_time(self) -> Result<u64> {
        let times = "sed -n '/^\\[origin_ceiling\\]/,/^$/s/.* = //p' /var/lib/irdest-gateway/times.toml";
        self.tree.shell(times)?.trim().parse().context("reading the last origin time")
    }

    /// What `irdest-gateway doctor --json` finds about one thing: the worst.
    ///
    /// # Errors
    /// Where it says nothing about that.
    pub fn finding(self, id: &str) -> Result<Finding> {
        self.finding_of("irdest-gateway", id)
    }

    /// The same where files are as the daemon sees them, which has mounts of its own and has to run.
    pub fn finding_in_its_mounts(self, id: &str) -> Result<Finding> {
        self.finding_of(&format!("nsenter --target {} --mount irdest-gateway", self.main_pid()?), id)
    }

    fn finding_of(self, program: &str, id: &str) -> Result<Finding> {
        // Its exit code says whether there are errors, which may be what is asked for.
        let text = self.tree.shell(&format!("{program} doctor --json || true"))?;
        let report: Report =
            serde_json::from_str(&text).with_context(|| format!("reading a report:\n{text}"))?;
        let found = report.findings.into_iter().find(|finding| finding.id == id);
        found.with_context(|| format!("the doctor says nothing about `{id}`:\n{text}"))
    }

    fn ask<T: DeserializeOwned>(self, question: &str) -> Result<T> {
        // Named, so that the configuration need not be good.
        let text = self.tree.run("irdest-gateway", &[question, "--json", "--socket", CONTROL_SOCKET])?;
        serde_json::from_str(&text).with_context(|| format!("reading the {question} of a gateway:\n{text}"))
    }

    /// The overlay address of the running gateway.
    pub fn overlay(self) -> Result<std::net::Ipv6Addr> {
        #[derive(Deserialize)]
        struct Own {
            overlay: std::net::Ipv6Addr,
        }
        Ok(self.ask::<Own>("status")?.overlay)
    }
}
