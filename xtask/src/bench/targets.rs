// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the gateway has to reach, as data.

use std::fmt;

use serde_json::Value;

/// A figure of the report and its bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Where it is in the report.
    key: &'static str,
    bound: Bound,
    /// What it says, for people.
    what: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// On an otherwise idle machine with two processors.
pub(crate) const TARGETS: [Target; 7] = [
    at_least("tcp.direct.ratio_to_yardstick", 1.3, "one TCP stream, as a multiple of the yardstick's"),
    at_least("tcp.relay.ratio_to_direct", 0.7, "one TCP stream through R, as a part of the direct one"),
    at_most("ping.idle_ratio_to_yardstick", 1.15, "idle ping, as a multiple of the yardstick's"),
    at_most("ping.loaded_ms", 0.7, "ping beside the stream, median, in ms"),
    at_least("udp64.ratio_to_yardstick", 1.3, "64-byte datagrams, as a multiple of the yardstick's"),
    at_most("cpu.ratio_to_yardstick", 0.8, "processor time per byte, as a multiple of the yardstick's"),
    at_most("rss_mib", 64.0, "resident memory of a gateway, in MiB"),
];

/// How a target fared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    target: Target,
    /// What was measured, if it was.
    value: Option<f64>,
}

const fn at_least(key: &'static str, bound: f64, what: &'static str) -> Target {
    Target { key, bound: Bound::AtLeast(bound), what }
}

const fn at_most(key: &'static str, bound: f64, what: &'static str) -> Target {
    Target { key, bound: Bound::AtMost(bound), what }
}

impl Target {
    /// Looks the figure up in the report.
    pub(crate) fn judge(self, report: &Value) -> Verdict {
        let pointer = format!("/{}", self.key.replace('.', "/"));
        Verdict { target: self, value: report.pointer(&pointer).and_then(Value::as_f64) }
    }
}

impl Verdict {
    /// Whether the figure is there and within its bound.
    pub(crate) fn is_met(&self) -> bool {
        match (self.target.bound, self.value) {
            (Bound::AtLeast(bound), Some(value)) => value >= bound,
            (Bound::AtMost(bound), Some(value)) => value <= bound,
            (Bound::AtLeast(_) | Bound::AtMost(_), None) => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { key, bound, what } = self.target;
        let bound = match bound {
            Bound::AtLeast(bound) => format!("at least {bound}"),
            Bound::AtMost(bound) => format!("at most {bound}"),
        };
        match self.value {
            Some(value) => {
                let verdict = if self.is_met() { "met" } else { "missed" };
                write!(f, "{verdict:<7} {key} = {value:.3}, {bound}: {what}")
            }
            None => write!(f, "unknown {key} was not measured, {bound}: {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let report = json!({"tcp": {"direct": {"ratio_to_yardstick": 1.31}}, "rss_mib": 64.5});
        let verdict = |key: &str| TARGETS.iter().find(|target| target.key == key).unwrap().judge(&report);
        assert!(verdict("tcp.direct.ratio_to_yardstick").is_met());
        assert!(!verdict("rss_mib").is_met());
        assert!(!verdict("ping.loaded_ms").is_met());
        assert_eq!(
            verdict("rss_mib").to_string(),
            "missed  rss_mib = 64.500, at most 64: resident memory of a gateway, in MiB"
        );
        assert!(verdict("ping.loaded_ms").to_string().contains("was not measured"));
    }
}
