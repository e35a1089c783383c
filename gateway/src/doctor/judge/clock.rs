// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether this host's clock can be right: it is not earlier than this release, nor than what was announced before, and the
//! neighbours' clocks say the same.

use std::time::Duration;

use ratman_types::WallTime;
use router_core::clock::{SET_BACK, SKEW_WARNING};

use super::Seen;
use super::gateway::Control;
use crate::doctor::report::{Check, Report};

const ADVICE: &str =
    "`timedatectl set-ntp true` keeps the clock right, `date -s 'YYYY-MM-DD HH:MM:SS'` sets it once";

/// What is known of the time, but for what the gateway's neighbours say.
#[derive(Debug)]
pub(in crate::doctor) struct Clocks {
    pub(in crate::doctor) wall: WallTime,
    /// When this release was written.
    pub(in crate::doctor) release: WallTime,
    /// The latest time that was announced with, at most ten seconds ahead of it; nothing before the first.
    pub(in crate::doctor) announced: Seen<Option<WallTime>>,
}

/// One finding at most, from the surest to the least sure: all of them have one cause.
pub(super) fn judge(clocks: &Clocks, control: &Control, report: &mut Report) {
    let Clocks { wall, release, announced } = clocks;
    if wall < release {
        let found = "the clock is earlier than this release: others refuse what we announce";
        return report.error(Check::Clock, found, ADVICE);
    }
    let status = control.answers().map(|answers| &answers.status);
    let correction = status.map_or(0, |status| status.clock_correction_us);
    if is_skew(correction) {
        let found = format!("the clock is {} the clocks of the neighbours", apart(-correction));
        return report.error(Check::Clock, found, ADVICE);
    }
    match announced {
        Ok(Some(announced)) if is_above(announced.ahead_of(*wall).max(0), SET_BACK) => {
            let found = format!(
                "the clock is {} what was announced with last: it was set back",
                apart(wall.ahead_of(*announced))
            );
            return report.error(Check::Clock, found, ADVICE);
        }
        Ok(_) => {}
        Err(reason) => report.unseen(Check::Clock, reason.clone()),
    }
    let links = status.into_iter().flat_map(|status| &status.links);
    let off = links.filter_map(|link| Some((link, link.clock_offset_us.filter(|offset| is_skew(*offset))?)));
    if let Some((link, offset)) = off.max_by_key(|(_, offset)| offset.unsigned_abs()) {
        let found = format!("the clock is {} that of neighbour {}", apart(-offset), link.neighbour.short());
        report.warning(Check::Clock, found, format!("one of the two is wrong: {ADVICE}"));
    }
}

fn is_skew(micros: i64) -> bool {
    is_above(micros, SKEW_WARNING)
}

fn is_above(micros: i64, limit: Duration) -> bool {
    Duration::from_micros(micros.unsigned_abs()) > limit
}

/// How far ahead something is, negative for behind.
fn apart(ahead: i64) -> String {
    let seconds = (ahead.unsigned_abs() + 500_000) / 1_000_000;
    let word = if ahead < 0 { "behind" } else { "ahead of" };
    match seconds {
        0..7_200 => format!("{seconds} s {word}"),
        7_200..172_800 => format!("{} h {word}", seconds / 3600),
        _ => format!("{} days {word}", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Severity;
    use crate::doctor::tests::{answers, assert_says, found, link};

    const SECOND: i64 = 1_000_000;
    const RELEASE: WallTime = WallTime::from_micros(1_700_000_000_000_000);

    /// How bad, and some of the words.
    type Said = Option<(Severity, &'static str)>;

    /// Seconds of clocks, as [`said`] has them, and what is expected.
    type Case = (i64, Option<i64>, i64, &'static [Option<i64>], Said);

    /// What is said with a clock `since` seconds after the release.
    fn said(
        since: i64,
        announced: Option<i64>,
        correction: i64,
        offsets: &[Option<i64>],
    ) -> Option<(Severity, String)> {
        let wall = RELEASE.shifted(since * SECOND);
        let announced = Ok(announced.map(|ahead| wall.shifted(ahead * SECOND)));
        let clocks = Clocks { wall, release: RELEASE, announced };
        let mut gateway = answers();
        gateway.status.clock_correction_us = correction * SECOND;
        let links = offsets.iter().map(|offset| link(offset.map(|offset| offset * SECOND)));
        gateway.status.links.extend(links);
        let report = found(|report| judge(&clocks, &Control::Answers(gateway.into()), report));
        assert!(report.findings.len() < 2);
        report.findings.first().map(|finding| (finding.severity, finding.found.clone()))
    }

    #[test]
    fn the_surest_sign_of_a_wrong_clock_is_told() {
        use Severity::{Error, Warning};
        let table: [Case; 10] = [
            (9_000, None, 0, &[], None),
            (9_000, Some(10), 2, &[Some(2), None], None),
            (9_000, Some(-100_000), 60, &[Some(60)], None),
            (-1, Some(9_000), 9_000, &[Some(9_000)], Some((Error, "earlier than this release"))),
            (
                9_000,
                Some(9_000),
                9_000,
                &[Some(9_000)],
                Some((Error, "is 2 h behind the clocks of the neighbours")),
            ),
            (9_000, None, -61, &[Some(-61)], Some((Error, "is 61 s ahead of the clocks"))),
            (9_000, Some(3_600), 0, &[], Some((Error, "3600 s behind what was announced with last"))),
            (9_000, Some(300_000), 0, &[], Some((Error, "3 days behind"))),
            (9_000, None, 0, &[Some(70), Some(-90)], Some((Warning, "is 90 s ahead of that of neighbour"))),
            (9_000, None, 0, &[Some(61)], Some((Warning, "is 61 s behind that of neighbour"))),
        ];
        for (since, announced, correction, offsets, expected) in table {
            let of = (since, announced, correction, offsets);
            assert_says(said(since, announced, correction, offsets), expected, of);
        }
    }

    #[test]
    fn times_that_cannot_be_read_are_told_and_nothing_else() {
        let clocks = Clocks { wall: RELEASE, release: RELEASE, announced: Err("only root".into()) };
        let report = found(|report| judge(&clocks, &Control::Absent("/x".into()), report));
        assert_eq!((report.findings.len(), report.not_looked_at.len()), (0, 1));
    }
}
