// SPDX-License-Identifier: AGPL-3.0-or-later
//! The table of `irdest-gateway links`: every figure with who measured it.

use std::fmt;

use super::{CapacityFigure, CapacityKind, Links, LossFigure, MeasuredLink, ProbeState, Rate, RoundTrip};
use crate::status::{Table, link_state, micros, unknown};

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |link: &MeasuredLink| {
            [
                link.link.to_string(),
                link.neighbour.short(),
                link.remote.clone(),
                link.interface.clone().unwrap_or_else(unknown),
                link_state(link.state).to_owned(),
                shown(link.sent),
                shown(link.received),
                shown(link.latency),
                shown(link.loaded_latency),
                link.capacity.to_string(),
                shown(link.loss),
                link.cost.map_or_else(unknown, micros),
            ]
        };
        let header = [
            "link",
            "neighbour",
            "remote",
            "interface",
            "state",
            "sent",
            "received",
            "latency",
            "loaded",
            "capacity",
            "loss",
            "cost",
        ];
        match (self.probes.state, &self.probes.reason) {
            (ProbeState::Attached, _) => {
                let names: Vec<_> = self.probes.interfaces.iter().map(|one| one.interface.as_str()).collect();
                write!(f, "probes     on {}", names.join(", "))?;
            }
            (ProbeState::None, Some(reason)) => write!(f, "probes     none: {reason}")?,
            (ProbeState::None, None) => write!(f, "probes     none")?,
        }
        writeln!(f)?;
        Table::new("Links", header, self.links.iter().map(row).collect()).fmt(f)
    }
}

fn shown(figure: Option<impl fmt::Display>) -> String {
    figure.map_or_else(unknown, |figure| figure.to_string())
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", bits(self.bytes_per_second), self.source)
    }
}

impl fmt::Display for RoundTrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", micros(self.us), self.source)
    }
}

impl fmt::Display for CapacityFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(bytes), Some(source)) = (self.bytes_per_second, self.source) else {
            return f.write_str(&unknown());
        };
        let bound = match self.kind {
            CapacityKind::AtLeast => "≥ ",
            CapacityKind::Measured | CapacityKind::Unknown => "",
        };
        write!(f, "{bound}{} ({source})", bits(bytes.into()))
    }
}

impl fmt::Display for LossFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.per_million / 10_000, self.per_million % 10_000 / 100);
        let reordered = if self.reordered { ", reordered" } else { "" };
        write!(f, "{whole}.{part:02} %{reordered} ({})", self.source)
    }
}

/// 800 bit/s, 12.5 kbit/s, 9.9 Mbit/s, 1.2 Gbit/s.
fn bits(bytes_per_second: u64) -> String {
    let bits = u128::from(bytes_per_second) * 8;
    let tenths = |unit: u128, name| format!("{}.{} {name}", bits / unit, bits % unit * 10 / unit);
    match bits {
        0..1_000 => format!("{bits} bit/s"),
        1_000..1_000_000 => tenths(1_000, "kbit/s"),
        1_000_000..1_000_000_000 => tenths(1_000_000, "Mbit/s"),
        _ => tenths(1_000_000_000, "Gbit/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_well() {
        let shown: Vec<_> = [0, 100, 1_562, 1_237_500, 250_000_000].into_iter().map(bits).collect();
        assert_eq!(shown, ["0 bit/s", "800 bit/s", "12.4 kbit/s", "9.9 Mbit/s", "2.0 Gbit/s"]);
    }
}
