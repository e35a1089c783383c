// SPDX-License-Identifier: AGPL-3.0-or-later
//! Devices of a node that behave like those of slower, simpler machines.

use anyhow::Result;

use crate::node::Node;
use crate::process::run_quick;
use crate::programs::command;
use crate::time_limit::TimeLimit;

const WITHOUT_OFFLOADS: &str = include_str!("without_offloads.py");

impl Node {
    /// Lets the device send at most this many Mbit/s; what is more waits up to 200 ms and is dropped then, as a modem
    /// with a buffer would do (tc-tbf(8)).
    pub fn shape(&self, device: &str, mbit_per_second: u32) -> Result<()> {
        let rate = format!("{mbit_per_second}mbit");
        let mut shape = command("tc");
        shape.args(["-n", &self.namespace(), "qdisc", "replace", "dev", device, "root", "tbf"]);
        shape.args(["rate", &rate, "burst", "32kb", "latency", "200ms"]);
        run_quick(&mut shape).map(drop)
    }

    /// Takes every offload of segments and checksums from the device: the kernel cuts what leaves by it, and checks what
    /// comes in.
    ///
    /// # Errors
    /// Where the kernel refuses, or keeps one of them.
    pub fn without_offloads(&self, device: &str, limit: TimeLimit) -> Result<()> {
        self.run("python3", &["-c", WITHOUT_OFFLOADS, device], limit).map(drop)
    }
}
