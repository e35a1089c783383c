// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratctl link`, `peer`, `peers` and `route`: what the router knows of the mesh.

use std::time::Duration;

use clap::Subcommand;
use ratman_client::types::{Bandwidth, Capacity, DialledPeer, KnownPeer, LinkEntry, LinkState, RouteEntry};
use serde_json::{Value, json};

use crate::output::harmless;
use crate::{Failure, GlobalArgs, Result, Table, Whom, time_span};

#[derive(Debug, Subcommand)]
pub(super) enum LinkCommand {
    /// Show all
    List,
    /// Show everything about one
    Show {
        /// Its number
        link: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum PeerCommand {
    /// Show all, and why there is no link to one
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum PeersCommand {
    /// Show all, one on a line: address, when it was first and last heard of, and ACTIVE or IDLE
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum RouteCommand {
    /// Show all
    List,
    /// Show the way to one
    #[command(alias = "get")]
    Show {
        /// An address, or the name of a contact
        whom: Whom,
    },
}

impl LinkCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let ipc = global.connect().await?;
        let output = global.output();
        match self {
            Self::List => {
                let links = ipc.link_list().await?;
                let row = |link: &LinkEntry| {
                    [
                        link.link.to_string(),
                        state(&link.state).to_owned(),
                        link.remote.to_string(),
                        link.neighbour.short(),
                        optional(link.round_trip, time_span::show),
                        shown_capacity(&link.capacity),
                        optional(link.loss_per_million, shown_loss),
                        format!("{} B", link.mtu.0),
                        time_span::show(link.up),
                    ]
                };
                let header =
                    ["link", "state", "to", "neighbour", "round trip", "capacity", "loss", "mtu", "up for"];
                let table = Table::new(header, links.iter().map(row).collect(), "no links");
                output.answer(table, &links.iter().map(link_json).collect::<Vec<_>>())
            }
            Self::Show { link } => {
                let entry = ipc.link_query(link).await?;
                let entry = entry.ok_or_else(|| Failure::failed(format!("there is no link {link}")))?;
                let json = link_json(&entry);
                output.answer(fields(&json), &json)
            }
        }
    }
}

impl PeerCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let Self::List = self;
        let peers = global.connect().await?.peer_query().await?;
        let row = |peer: &DialledPeer| {
            let state = match (peer.linked, peer.reached) {
                (true, _) => "linked",
                (false, true) => "lost",
                (false, false) => "never reached",
            };
            let why = peer.failure.as_ref().filter(|_| !peer.linked).map(ToString::to_string);
            [peer.peer.to_string(), state.to_owned(), why.unwrap_or_default()]
        };
        let json = |peer: &DialledPeer| {
            json!({
                "peer": peer.peer.as_str(),
                "linked": peer.linked,
                "reached": peer.reached,
                "failure": peer.failure.as_ref().map(|failure| failure.as_str()),
            })
        };
        let json: Vec<Value> = peers.iter().map(json).collect();
        let table =
            Table::new(["peer", "state", "why"], peers.iter().map(row).collect(), "no peers are dialled");
        global.output().answer(table, &json)
    }
}

impl PeersCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let Self::List = self;
        let peers = global.connect().await?.peer_list().await?;
        // As deployed tools have it: scripts cut it at its tabs.
        let line = |KnownPeer { address, first, last, active }: &KnownPeer| {
            format!("{address}\t{first}\t{last}\t{}\n", if *active { "ACTIVE" } else { "IDLE" })
        };
        let json = |peer: &KnownPeer| {
            json!({
                "address": peer.address,
                "first": peer.first.to_string(),
                "last": peer.last.to_string(),
                "active": peer.active,
            })
        };
        let json: Vec<Value> = peers.iter().map(json).collect();
        let lines: String = peers.iter().map(line).collect();
        global.output().answer_lines(&lines, &json)
    }
}

impl RouteCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let ipc = global.connect().await?;
        let output = global.output();
        match self {
            Self::List => {
                let routes = ipc.route_list().await?;
                let row = |route: &RouteEntry| {
                    [
                        route.address.to_string(),
                        route_state(route).to_owned(),
                        optional(route.next_hop.as_ref(), |hop| hop.link.to_string()),
                        optional(route.hops, |hops| hops.to_string()),
                        optional(route.ping, time_span::show),
                        shown_bandwidth(route.bandwidth),
                    ]
                };
                let header = ["address", "state", "link", "hops", "round trip", "bandwidth"];
                let table = Table::new(header, routes.iter().map(row).collect(), "no routes");
                output.answer(table, &routes.iter().map(route_json).collect::<Vec<_>>())
            }
            Self::Show { whom } => {
                let address = whom.find_address(&ipc).await?;
                let route = ipc.route_query(address).await?;
                let none = || {
                    Failure::new(
                        crate::Exit::NotDelivered,
                        format!("{whom}: nothing is known of a way to it"),
                    )
                };
                let json = route_json(&route.ok_or_else(none)?);
                output.answer(fields(&json), &json)
            }
        }
    }
}

/// What an object says, one field on a line, without what nobody knows.
pub(super) fn fields(json: &Value) -> String {
    let fields: Vec<(String, String)> = json.as_object().into_iter().flatten().filter_map(field).collect();
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
    lines.join("\n")
}

fn field((name, value): (&String, &Value)) -> Option<(String, String)> {
    let value = match value {
        Value::Null => return None,
        Value::String(text) => harmless(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    Some((name.replace('_', " "), value))
}

fn optional<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "?".to_owned(), show)
}

const fn state(state: &LinkState) -> &'static str {
    match state {
        LinkState::Live => "live",
        LinkState::Starting => "starting",
        LinkState::Stalled => "stalled",
    }
}

const fn route_state(route: &RouteEntry) -> &'static str {
    match (route.local, route.live) {
        (true, _) => "local",
        (false, true) => "live",
        (false, false) => "idle",
    }
}

fn shown_capacity(capacity: &Capacity) -> String {
    match capacity {
        Capacity::Unknown => "?".to_owned(),
        Capacity::Measured(bandwidth) => bandwidth.to_string(),
        Capacity::AtLeast(bandwidth) => format!("≥ {bandwidth}"),
    }
}

fn shown_bandwidth(bandwidth: Bandwidth) -> String {
    optional(bandwidth.is_known().then_some(bandwidth), |bandwidth| bandwidth.to_string())
}

fn shown_loss(per_million: u32) -> String {
    format!("{}.{:02} %", per_million / 10_000, per_million % 10_000 / 100)
}

/// In microseconds.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn bytes_per_second(bandwidth: Bandwidth) -> Option<u64> {
    bandwidth.is_known().then(|| bandwidth.as_bytes_per_second().into())
}

fn link_json(link: &LinkEntry) -> Value {
    let (bandwidth, is_least) = match link.capacity {
        Capacity::Unknown => (None, None),
        Capacity::Measured(bandwidth) => (bytes_per_second(bandwidth), Some(false)),
        Capacity::AtLeast(bandwidth) => (bytes_per_second(bandwidth), Some(true)),
    };
    json!({
        "link": link.link,
        "state": state(&link.state),
        "netmod": link.netmod.as_str(),
        "neighbour": link.neighbour,
        "local": link.local.as_str(),
        "remote": link.remote.as_str(),
        "interface": link.interface.as_ref().map(|interface| interface.as_str()),
        "dialed": link.dialed,
        "up_s": link.up.as_secs(),
        "mtu": link.mtu.0,
        "round_trip_us": link.round_trip.map(micros),
        "loaded_round_trip_us": link.loaded_round_trip.map(micros),
        "clock_offset_us": link.clock_offset_us,
        "capacity_bytes_per_s": bandwidth,
        "capacity_is_at_least": is_least,
        "loss_per_million": link.loss_per_million,
        "sent_bytes_per_s": link.sent,
        "received_bytes_per_s": link.received,
        "queued_bytes": link.queued.0,
        "dropped_frames": link.dropped_frames,
        "cost_us": link.cost.map(micros),
    })
}

fn route_json(route: &RouteEntry) -> Value {
    json!({
        "address": route.address,
        "overlay": route.overlay,
        "state": route_state(route),
        "live": route.live,
        "link": route.next_hop.as_ref().map(|hop| hop.link),
        "neighbour": route.next_hop.as_ref().map(|hop| hop.neighbour),
        "hops": route.hops,
        "ping_us": route.ping.map(micros),
        "mtu": route.mtu.map(|mtu| mtu.0),
        "bandwidth_bytes_per_s": bytes_per_second(route.bandwidth),
        "reason": route.reason.as_str(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_lines_and_nothing_in_them_is_obeyed() {
        let json = json!({ "b_c": true, "long_name": "x\u{1b}[2J", "nothing": null, "n": 3 });
        assert_eq!(fields(&json), "b c        yes\nlong name  x\\u{1b}[2J\nn          3");
    }

    #[test]
    fn loss_is_told_in_percent() {
        assert_eq!([0, 1234, 1_000_000].map(shown_loss), ["0.00 %", "0.12 %", "100.00 %"]);
    }
}
