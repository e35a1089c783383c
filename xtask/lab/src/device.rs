// SPDX-License-Identifier: AGPL-3.0-or-later
//! Devices of a node that behave like those of slower, simpler machines.

use anyhow::Result;

use crate::node::Node;
use crate::process::run_quick;
use crate::programs::command;
use crate::time_limit::TimeLimit;

const WITHOUT_OFFLOADS: &str = include_str!("without_offloads.py");

/// How much a device sends (tc-tbf(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In 10⁶ bits per second, Ethernet headers included.
    pub mbit_per_second: u32,
    /// What leaves at once after a pause, in KiB.
    pub bucket_kib: u32,
}

impl Rate {
    /// A rate with a bucket of 32 KiB.
    pub const fn mbit(mbit_per_second: u32) -> Self {
        Self { mbit_per_second, bucket_kib: 32 }
    }

    /// The same in bytes per second.
    pub const fn bytes_per_second(self) -> u32 {
        self.mbit_per_second * 125_000
    }
}

impl Node {
    /// Lets the device send at most this many Mbit/s; what is more waits up to 200 ms and is dropped then, as a modem
    /// with a buffer would do (tc-tbf(8)).
    pub fn shape(&self, device: &str, mbit_per_second: u32) -> Result<()> {
        self.shape_to(device, Rate::mbit(mbit_per_second))
    }

    /// As [`Node::shape`], with a bucket of any size.
    pub fn shape_to(&self, device: &str, rate: Rate) -> Result<()> {
        let Rate { mbit_per_second, bucket_kib } = rate;
        let (rate, bucket) = (format!("{mbit_per_second}mbit"), format!("{bucket_kib}kb"));
        let mut shape = command("tc");
        shape.args(["-n", &self.namespace(), "qdisc", "replace", "dev", device, "root", "tbf"]);
        shape.args(["rate", &rate, "burst", &bucket, "latency", "200ms"]);
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
