// SPDX-License-Identifier: AGPL-3.0-or-later
//! Times as ping(8) takes them: seconds with a point; and as all tools do, with a unit.

use std::time::Duration;

use crate::time_span;

/// The shortest interval: each probe is a stream, which several routers save.
const SHORTEST: Duration = Duration::from_millis(10);

/// The longest of either.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How long to wait between two probes.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let interval = parse(text).filter(|interval| (SHORTEST..=LONGEST).contains(interval));
    interval.ok_or_else(|| "expected seconds such as 0.2, or 200ms, 1m; from 10ms to 1d".to_owned())
}

/// How long a reply may take.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    let wait = parse(text).filter(|wait| *wait > Duration::ZERO && *wait <= LONGEST);
    wait.ok_or_else(|| "expected seconds such as 0.5, or 500ms, 1m; up to 1d".to_owned())
}

fn parse(text: &str) -> Option<Duration> {
    let Some((seconds, rest)) = text.split_once('.') else { return time_span::parse(text).ok() };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(seconds) || !is_number(rest) || rest.len() > 6 {
        return None;
    }
    let seconds: u64 = seconds.parse().ok()?;
    let micros: u64 = format!("{rest:0<6}").parse().ok()?;
    Duration::from_secs(seconds).checked_add(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_a_point_or_a_unit() {
        let millis = |text| interval(text).map(|span| span.as_millis()).ok();
        assert_eq!(["1", "0.2", "1.25", "200ms", "1m"].map(millis), [1000, 200, 1250, 200, 60_000].map(Some));
        for wrong in
            ["", ".", "1.", ".5", "0", "0.009", "2d", "1.0000001", "-1", "1.-1", "99999999999999999999.1"]
        {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
        assert_eq!(wait("0.001"), Ok(Duration::from_millis(1)));
        assert!(wait("0").is_err() && wait("0.0").is_err());
    }
}
