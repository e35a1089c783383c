// SPDX-License-Identifier: AGPL-3.0-or-later
//! The tables of `irdest-gateway status`: keys short, units readable; `--json` has everything in full.

use std::collections::BTreeMap;
use std::fmt;

use ratman_types::{Bandwidth, ByteCount, Mtu, RouterId};

use super::table::Table;
use super::{
    FlowEnd, FlowStatus, LinkState, LinkStatus, PeerStatus, RouteState, RouteStatus, RuleStatus, SessionRole,
    SessionState, SessionStatus, Status, StreamsStatus,
};

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "address    {}", self.address)?;
        writeln!(f, "router id  {}", self.router_id)?;
        writeln!(f, "overlay    {}", self.overlay)?;
        writeln!(f, "version    {}, up {}", self.version, seconds(self.uptime_s))?;
        for warning in &self.warnings {
            writeln!(f, "warning    {warning}")?;
        }
        if self.clock_correction_us.unsigned_abs() >= CORRECTION_SHOWN {
            writeln!(f, "clock      {}", clock(self.clock_correction_us))?;
        }
        peers(&self.peers).fmt(f)?;
        links(&self.links).fmt(f)?;
        neighbours(&self.links).fmt(f)?;
        routes(&self.routes).fmt(f)?;
        sessions(&self.sessions).fmt(f)?;
        flows(&self.flows).fmt(f)?;
        rules(&self.rules).fmt(f)?;
        streams(self.streams.as_ref()).fmt(f)?;
        counts("Drops", "reason", &self.drops).fmt(f)?;
        counts("Counters", "name", &self.counters).fmt(f)
    }
}

/// Clocks that are kept by NTP agree better than this.
const CORRECTION_SHOWN: u64 = 1_000_000;

fn clock(correction: i64) -> String {
    let word = if correction > 0 { "behind" } else { "ahead of" };
    format!("{} {word} that of the neighbours", micros(correction.unsigned_abs()))
}

fn peers(peers: &[PeerStatus]) -> Table<3> {
    let row = |peer: &PeerStatus| {
        let state = match (peer.linked, peer.reached) {
            (true, _) => "linked",
            (false, true) => "lost",
            (false, false) => "never reached",
        };
        [peer.peer.clone(), state.to_owned(), peer.failure.clone().unwrap_or_else(unknown)]
    };
    Table::new("Peers", ["peer", "state", "last failure"], peers.iter().map(row).collect())
}

fn links(links: &[LinkStatus]) -> Table<10> {
    let row = |link: &LinkStatus| {
        [
            link.link.to_string(),
            link.netmod.clone(),
            link.neighbour.short(),
            format!("{} {} {}", link.local, if link.dialed { "→" } else { "←" }, link.remote),
            link_state(link.state).to_owned(),
            link.rtt_us.map_or_else(unknown, micros),
            ByteCount(link.queued_bytes).to_string(),
            link.dropped_frames.to_string(),
            Mtu(link.mtu).to_string(),
            seconds(link.up_s),
        ]
    };
    let header =
        ["link", "netmod", "neighbour", "local and remote", "state", "rtt", "queued", "dropped", "mtu", "up"];
    Table::new("Links", header, links.iter().map(row).collect())
}

/// A neighbour is as good as its best link.
fn neighbours(links: &[LinkStatus]) -> Table<4> {
    let mut neighbours = BTreeMap::<RouterId, Vec<&LinkStatus>>::new();
    for link in links {
        neighbours.entry(link.neighbour).or_default().push(link);
    }
    let row = |(id, links): (RouterId, Vec<&LinkStatus>)| {
        let live: Vec<_> = links.iter().filter(|link| link.state == LinkState::Live).collect();
        let rtt = live.iter().filter_map(|link| link.rtt_us).min();
        [id.to_string(), links.len().to_string(), live.len().to_string(), rtt.map_or_else(unknown, micros)]
    };
    Table::new(
        "Neighbours",
        ["router id", "links", "live", "best rtt"],
        neighbours.into_iter().map(row).collect(),
    )
}

fn routes(routes: &[RouteStatus]) -> Table<8> {
    let row = |route: &RouteStatus| {
        let hop = route.next_hop.map(|hop| format!("{} over link {}", hop.neighbour.short(), hop.link));
        [
            route.address.short(),
            route.overlay.to_string(),
            hop.unwrap_or_else(|| if route.local { "this gateway".to_owned() } else { unknown() }),
            route_state(route.state).to_owned(),
            route.ping_us.map_or_else(unknown, micros),
            bandwidth(route.bandwidth),
            route.mtu.map_or_else(unknown, |mtu| Mtu(mtu).to_string()),
            route.reason.clone(),
        ]
    };
    let header = ["address", "overlay", "next hop", "state", "ping", "bandwidth", "mtu", "reason"];
    Table::new("Routes", header, routes.iter().map(row).collect())
}

fn sessions(sessions: &[SessionStatus]) -> Table<6> {
    let row = |session: &SessionStatus| {
        [
            session.remote.short(),
            session_state(session.state).to_owned(),
            session_role(session.role).to_owned(),
            seconds(session.since_s),
            traffic(session.tx_packets, session.tx_bytes),
            traffic(session.rx_packets, session.rx_bytes),
        ]
    };
    let header = ["remote", "state", "role", "since", "sent", "received"];
    Table::new("Sessions", header, sessions.iter().map(row).collect())
}

fn flows(flows: &[FlowStatus]) -> Table<7> {
    let row = |flow: &FlowStatus| {
        [
            flow.protocol.clone(),
            flow.source.to_string(),
            flow.destination.to_string(),
            flow.remote.short(),
            traffic(flow.tx_packets, flow.tx_bytes),
            traffic(flow.rx_packets, flow.rx_bytes),
            seconds(flow.idle_s),
        ]
    };
    let header = ["protocol", "source", "destination", "remote", "sent", "received", "idle"];
    Table::new("Flows", header, flows.iter().map(row).collect())
}

fn rules(rules: &[RuleStatus]) -> Table<6> {
    let row = |rule: &RuleStatus| {
        [
            rule.name.clone(),
            rule.direction.clone(),
            rule.action.clone(),
            rule.accepted.to_string(),
            rule.denied.to_string(),
            rule.limited.to_string(),
        ]
    };
    let header = ["rule", "direction", "action", "accepted", "denied", "limited"];
    Table::new("Rules", header, rules.iter().map(row).collect())
}

/// One row, where there are streams.
fn streams(streams: Option<&StreamsStatus>) -> Table<11> {
    let row = |streams: &StreamsStatus| {
        [
            streams.sending.to_string(),
            streams.receiving.to_string(),
            streams.waiting.to_string(),
            streams.sleeping.to_string(),
            streams.shared.to_string(),
            streams.carried.to_string(),
            streams.flooded.to_string(),
            ByteCount(streams.journal_bytes).to_string(),
            ByteCount(streams.quota_bytes).to_string(),
            ByteCount(streams.disk_bytes).to_string(),
            ByteCount(streams.unsaved_bytes).to_string(),
        ]
    };
    let header = [
        "sending",
        "receiving",
        "waiting",
        "sleeping",
        "shared",
        "carried",
        "flooded",
        "journal",
        "quota",
        "on disk",
        "not yet on disk",
    ];
    Table::new("Streams", header, streams.into_iter().map(row).collect())
}

fn counts(title: &'static str, what: &'static str, counts: &BTreeMap<String, u64>) -> Table<2> {
    let row = |(name, count): (&String, &u64)| [name.clone(), count.to_string()];
    Table::new(title, [what, "count"], counts.iter().map(row).collect())
}

impl fmt::Display for FlowEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => std::net::SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

pub(crate) fn link_state(state: LinkState) -> &'static str {
    match state {
        LinkState::Live => "live",
        LinkState::Starting => "starting",
        LinkState::Stalled => "stalled",
    }
}

fn route_state(state: RouteState) -> &'static str {
    match state {
        RouteState::Live => "live",
        RouteState::Idle => "idle",
    }
}

fn session_state(state: SessionState) -> &'static str {
    match state {
        SessionState::Established => "established",
        SessionState::Handshake => "handshake",
    }
}

fn session_role(role: SessionRole) -> &'static str {
    match role {
        SessionRole::Initiator => "initiator",
        SessionRole::Responder => "responder",
    }
}

pub(crate) fn unknown() -> String {
    "–".to_owned()
}

fn bandwidth(value: Option<u32>) -> String {
    value.map_or_else(unknown, |value| Bandwidth::from_bytes_per_second(value).to_string())
}

fn traffic(packets: u64, bytes: u64) -> String {
    format!("{packets} ({})", ByteCount(bytes))
}

/// 213 µs, 1.25 ms, 3.20 s.
pub(crate) fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10),
        _ => format!("{}.{:02} s", micros / 1_000_000, micros % 1_000_000 / 10_000),
    }
}

/// 12s, 3m 5s, 7h 2m, 3d 4h.
fn seconds(total: u64) -> String {
    let (minutes, hours, days) = (total / 60, total / 3600, total / 86_400);
    match total {
        0..60 => format!("{total}s"),
        60..3600 => format!("{minutes}m {}s", total % 60),
        3600..86_400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let shown: Vec<_> = [0, 999, 1_250, 999_999, 3_204_000].into_iter().map(micros).collect();
        assert_eq!(shown, ["0 µs", "999 µs", "1.25 ms", "999.99 ms", "3.20 s"]);
        let shown: Vec<_> = [59, 185, 25_320, 273_600].into_iter().map(seconds).collect();
        assert_eq!(shown, ["59s", "3m 5s", "7h 2m", "3d 4h"]);
    }
}
