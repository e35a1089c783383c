// SPDX-License-Identifier: AGPL-3.0-or-later
//! Times as users write them, and as they are told.

use std::time::Duration;

use ratman_client::types::{DateTime, Lifetime};

/// What a text should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected seconds, or a number with ms, s, m, h or d, of at most 30d")]
pub struct NoTimeSpan;

/// Reads a time: seconds, or a number with its unit; at most 30 days.
///
/// # Errors
/// [`NoTimeSpan`].
pub fn parse(text: &str) -> Result<Duration, NoTimeSpan> {
    const LONGEST: Duration = Duration::from_secs(30 * 86_400);
    let (number, unit) = match text.find(|character: char| !character.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "s"),
    };
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(NoTimeSpan),
    };
    let number: u64 = number.parse().map_err(|_| NoTimeSpan)?;
    let span = number.checked_mul(millis).map(Duration::from_millis);
    span.filter(|span| *span <= LONGEST).ok_or(NoTimeSpan)
}

/// Reads for how long a stream is wanted: at least a second.
///
/// # Errors
/// [`NoTimeSpan`].
pub fn parse_lifetime(text: &str) -> Result<Lifetime, NoTimeSpan> {
    let seconds = u32::try_from(parse(text)?.as_secs()).map_err(|_| NoTimeSpan)?;
    Lifetime::from_secs(seconds).filter(|_| seconds > 0).ok_or(NoTimeSpan)
}

/// Tells a time in its two largest units; microseconds where it has no more than 10 ms.
pub fn show(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.as_millis() < 10 => format!("{}.{:03} ms", span.as_millis(), span.subsec_micros() % 1000),
        0 => format!("{} ms", span.as_millis()),
        1..60 => format!("{seconds}.{:01} s", span.subsec_millis() / 100),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Tells a moment to the second, for people; programs get all of it.
pub fn moment(time: DateTime) -> String {
    let text = time.to_string();
    let seconds = text.get(..19).unwrap_or(&text);
    format!("{} UTC", seconds.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_a_limit() {
        let millis = |text| parse(text).map(|span| span.as_millis()).ok();
        let read = ["5", "250ms", "60s", "2m", "3h", "30d"].map(millis);
        assert_eq!(read, [5000, 250, 60_000, 120_000, 10_800_000, 2_592_000_000].map(Some));
        assert_eq!(["", "d", "31d", "1w", "-1", "99999999999999999999", "1.5h"].map(millis), [None; 7]);
        assert_eq!(parse_lifetime("2h").map(Lifetime::as_secs), Ok(7200));
        assert_eq!(parse_lifetime("900ms"), Err(NoTimeSpan));
    }

    #[test]
    fn a_moment_is_told_to_the_second() {
        let time = ratman_client::types::WallTime::from_micros(1_700_000_000_123_456);
        assert_eq!(moment(time.into()), "2023-11-14 22:13:20 UTC");
    }

    #[test]
    fn times_are_told_as_people_need_them() {
        let shown =
            [1, 300, 1500, 59_900, 61_000, 7_260_000, 90_000_000].map(Duration::from_millis).map(show);
        assert_eq!(shown, ["1.000 ms", "300 ms", "1.5 s", "59.9 s", "1m 1s", "2h 1m", "1d 1h"]);
    }
}
