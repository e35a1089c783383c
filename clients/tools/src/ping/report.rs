// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a run tells, as ping(8) tells it, or as JSON: one object in each line.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ratman_client::types::Address;
use serde_json::{Value, json};

use super::tally::{Heard, RoundTrip, Summary};
use crate::Result;
use crate::output::{Form, print};

/// Where a run says what happens.
#[derive(Debug)]
pub(super) struct Report {
    /// Who is pinged, as the user called them.
    pub(super) whom: String,
    pub(super) form: Form,
    /// Whether only the summary is told.
    pub(super) quiet: bool,
    /// Whether each line begins with the time of day.
    pub(super) times: bool,
}

impl Report {
    /// What is about to happen.
    pub(super) fn begin(
        &self,
        address: Address,
        from: Address,
        is_temporary: bool,
        size: usize,
    ) -> Result<()> {
        let kind = if is_temporary { " (a temporary address)" } else { "" };
        let line = format!("PING {}: {size} bytes each, from {from}{kind}", self.whom);
        let json = json!({
            "event": "begin", "address": address, "from": from, "temporary": is_temporary, "bytes": size,
        });
        match (self.form, self.quiet) {
            (Form::Json, true) => Ok(()),
            (Form::Json, false) => print(json),
            (Form::Lines, _) => print(line),
        }
    }

    /// A reply.
    pub(super) fn reply(&self, seq: u64, size: usize, hops: Option<u8>, heard: Heard) -> Result<()> {
        let (word, mark, took) = match heard {
            Heard::InTime(took) => ("reply", "", took),
            Heard::Late(took) => ("late", " (late)", took),
            Heard::Duplicate(took) => ("duplicate", " (DUP!)", took),
        };
        let shown_hops = hops.map(|hops| format!(" hops={hops}")).unwrap_or_default();
        let line = format!(
            "{size} bytes from {}: seq={seq}{shown_hops} time={} ms{mark}",
            self.whom,
            Millis(took, 2)
        );
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.event(
            &line,
            || json!({ "event": word, "seq": seq, "bytes": size, "hops": hops, "time_us": took }),
        )
    }

    /// A probe to which no reply came in time, or to which none will come.
    pub(super) fn miss(&self, seq: u64, why: &str) -> Result<()> {
        let line = format!("no reply from {}: seq={seq} {why}", self.whom);
        self.event(&line, || json!({ "event": "missed", "seq": seq, "why": why }))
    }

    fn event(&self, line: &str, json: impl FnOnce() -> Value) -> Result<()> {
        if self.quiet {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match (self.form, self.times) {
            (Form::Lines, false) => print(line),
            (Form::Lines, true) => {
                print(format_args!("[{}.{:06}] {line}", now.as_secs(), now.subsec_micros()))
            }
            (Form::Json, false) => print(json()),
            (Form::Json, true) => {
                let mut json = json();
                json["at_us"] = u64::try_from(now.as_micros()).unwrap_or(u64::MAX).into();
                print(json)
            }
        }
    }

    /// What it came to.
    pub(super) fn end(&self, summary: &Summary, took: Duration) -> Result<()> {
        match self.form {
            Form::Lines => {
                print(format_args!("\n--- {} ping statistics ---\n{}", self.whom, Lines(summary, took)))
            }
            Form::Json => print(to_json(summary, took)),
        }
    }
}

fn to_json(summary: &Summary, took: Duration) -> Value {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    json!({
        "event": "summary",
        "transmitted": summary.transmitted,
        "received": summary.received,
        "late": summary.late,
        "duplicates": summary.duplicates,
        "loss_per_million": summary.loss_per_million,
        "time_us": micros(took),
        "rtt_us": summary.round_trip.map(|RoundTrip { min, avg, max, mdev }| json!({
            "min": micros(min), "avg": micros(avg), "max": micros(max), "mdev": micros(mdev),
        })),
    })
}

/// Milliseconds with so many digits behind the point, cut.
struct Millis(Duration, usize);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(span, digits) = self;
        let rest = format!("{:03}", span.subsec_micros() % 1000);
        write!(f, "{}.{}", span.as_millis(), &rest[..(*digits).min(3)])
    }
}

/// The summary as ping(8) has it.
struct Lines<'a>(&'a Summary, Duration);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(summary, took) = self;
        write!(f, "{} transmitted, {} received", summary.transmitted, summary.received)?;
        if summary.late > 0 {
            write!(f, ", {} late", summary.late)?;
        }
        if summary.duplicates > 0 {
            write!(f, ", +{} duplicates", summary.duplicates)?;
        }
        let (percent, tenth) = (summary.loss_per_million / 10_000, summary.loss_per_million / 1000 % 10);
        let tenth = if tenth == 0 { String::new() } else { format!(".{tenth}") };
        write!(f, ", {percent}{tenth}% loss, time {} ms", took.as_millis())?;
        let Some(RoundTrip { min, avg, max, mdev }) = summary.round_trip else { return Ok(()) };
        let [min, avg, max, mdev] = [min, avg, max, mdev].map(|span| Millis(span, 3));
        write!(f, "\nrtt min/avg/max/mdev = {min}/{avg}/{max}/{mdev} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let millis = Duration::from_millis;
        Summary {
            transmitted: 3,
            received: 2,
            late: 0,
            duplicates: 0,
            loss_per_million: 333_333,
            round_trip: Some(RoundTrip {
                min: millis(2),
                avg: Duration::from_micros(3057),
                max: millis(4),
                mdev: millis(1),
            }),
        }
    }

    #[test]
    fn the_summary_reads_as_that_of_ping() {
        let took = Duration::from_millis(2004);
        assert_eq!(
            Lines(&summary(), took).to_string(),
            "3 transmitted, 2 received, 33.3% loss, time 2004 ms\n\
             rtt min/avg/max/mdev = 2.000/3.057/4.000/1.000 ms"
        );
        let none = Summary {
            received: 0,
            late: 1,
            duplicates: 2,
            loss_per_million: 1_000_000,
            round_trip: None,
            ..summary()
        };
        assert_eq!(
            Lines(&none, took).to_string(),
            "3 transmitted, 0 received, 1 late, +2 duplicates, 100% loss, time 2004 ms"
        );
    }

    #[test]
    fn programs_get_whole_numbers() {
        let json = to_json(&summary(), Duration::from_millis(2004));
        assert_eq!((&json["rtt_us"]["avg"], &json["time_us"]), (&3057.into(), &2_004_000.into()));
        assert_eq!(json["loss_per_million"], 333_333);
    }
}
