// SPDX-License-Identifier: AGPL-3.0-or-later
//! Throughput by `iperf3`.

use std::fmt;
use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::node::Node;
use crate::process::Process;
use crate::time_limit::TimeLimit;

const PORT: u16 = 5201;

/// What carries the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One TCP connection, as fast as it goes.
    Tcp,
    /// UDP datagrams of 1200 bytes at 100 Mbit/s.
    Udp,
}

/// A server that waits for tests.
#[derive(Debug)]
pub struct IperfServer {
    address: IpAddr,
    // Dropped with the server: it ends.
    _process: Process,
}

/// What the receiver counted.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// How it was carried.
    pub transport: Transport,
    /// Bits per second that arrived.
    pub bits_per_second: f64,
    /// Segments sent again, or datagrams lost, in percent of all datagrams.
    pub retransmitted_or_lost: f64,
}

impl IperfServer {
    /// Starts it and returns once it listens.
    pub fn start(node: &Node, address: IpAddr, limit: TimeLimit) -> Result<Self> {
        let process = node.spawn("iperf3", &["--server", "--bind", &address.to_string()], "iperf3-server")?;
        limit.wait_for("the iperf3 server to listen", || Ok(node.listens(PORT)?.then_some(())))?;
        Ok(Self { address, _process: process })
    }

    /// Sends from the node for some seconds.
    pub fn measure(
        &self,
        from: &Node,
        transport: Transport,
        seconds: u32,
        limit: TimeLimit,
    ) -> Result<Figure> {
        let options: &[&str] = match transport {
            Transport::Tcp => &[],
            Transport::Udp => &["--udp", "--bitrate", "100M", "--length", "1200"],
        };
        let report = self.report(from, options, seconds, limit)?;
        Figure::of(transport, &report).with_context(|| format!("reading the report of iperf3:\n{report:#}"))
    }

    /// Runs the client on the node for some seconds, with further options, and returns its whole report.
    pub fn report(&self, from: &Node, options: &[&str], seconds: u32, limit: TimeLimit) -> Result<Value> {
        let (address, seconds) = (self.address.to_string(), seconds.to_string());
        let client = ["--client", &address, "--time", &seconds, "--json"];
        let arguments: Vec<&str> = client.iter().chain(options).copied().collect();
        let report = from.run("iperf3", &arguments, limit)?;
        serde_json::from_str(&report).with_context(|| format!("reading the report of iperf3:\n{report}"))
    }
}

/// Bits per second that each TCP stream of a report brought to the receiver.
///
/// # Errors
/// Where the report is not one of TCP.
pub fn stream_rates(report: &Value) -> Result<Vec<f64>> {
    let streams = report.pointer("/end/streams").and_then(Value::as_array);
    let streams =
        streams.with_context(|| format!("no /end/streams, but error: {:?}", report.get("error")))?;
    let rate = |stream: &Value| stream.pointer("/receiver/bits_per_second").and_then(Value::as_f64);
    streams.iter().map(|stream| rate(stream).context("no /receiver/bits_per_second")).collect()
}

impl Figure {
    fn of(transport: Transport, report: &Value) -> Result<Self> {
        let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64);
        let (received, trouble) = match transport {
            Transport::Tcp => ("/end/sum_received/bits_per_second", "/end/sum_sent/retransmits"),
            Transport::Udp => ("/end/sum/bits_per_second", "/end/sum/lost_percent"),
        };
        let bits_per_second = number(received).with_context(|| format!("no {received}"))?;
        let retransmitted_or_lost = number(trouble).with_context(|| format!("no {trouble}"))?;
        Ok(Self { transport, bits_per_second, retransmitted_or_lost })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.bits_per_second / 1e6;
        match self.transport {
            Transport::Tcp => {
                write!(f, "TCP {rate:.0} Mbit/s, {} retransmissions", self.retransmitted_or_lost)
            }
            Transport::Udp => write!(f, "UDP {rate:.0} Mbit/s, {:.2} % lost", self.retransmitted_or_lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_both_kinds_of_report() {
        let tcp =
            json!({"end": {"sum_sent": {"retransmits": 3}, "sum_received": {"bits_per_second": 2.5e9}}});
        let figure = Figure::of(Transport::Tcp, &tcp).unwrap();
        assert_eq!(figure.to_string(), "TCP 2500 Mbit/s, 3 retransmissions");
        let udp = json!({"end": {"sum": {"bits_per_second": 99.9e6, "lost_percent": 0.25}}});
        assert_eq!(Figure::of(Transport::Udp, &udp).unwrap().to_string(), "UDP 100 Mbit/s, 0.25 % lost");
        assert!(Figure::of(Transport::Tcp, &json!({"error": "unable to connect"})).is_err());
    }

    #[test]
    fn reads_the_rate_of_each_stream() {
        let stream = |rate: f64| json!({"sender": {}, "receiver": {"bits_per_second": rate}});
        let report = json!({"end": {"streams": [stream(1e6), stream(2e6)]}});
        assert_eq!(stream_rates(&report).unwrap(), [1e6, 2e6]);
        assert!(stream_rates(&json!({"end": {}})).is_err());
    }
}
