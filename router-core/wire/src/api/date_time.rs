// SPDX-License-Identifier: AGPL-3.0-or-later
//! Points in time as deployed routers write them: RFC 3339 in UTC, always 35 characters (source: deployed routers,
//! section 1).

use core::fmt;

use ratman_types::{WallTime, days_of_month, days_of_year};

use super::field::Field;
use crate::{DecodeError, Reader, Writer};

const DAY: u64 = 86_400;
const NANOS: u32 = 1_000_000_000;

/// A point in time from 1970 to 9999, to the nanosecond; leap seconds are not representable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime {
    // INVARIANT: before the year 10000.
    seconds: u64,
    // INVARIANT: less than a second.
    nanos: u32,
}

impl DateTime {
    /// The length of its text.
    pub const LEN: usize = 35;

    /// The end of the year 9999, in seconds since 1970.
    const END: u64 = 253_402_300_800;

    /// The time in microseconds: what is below falls away.
    pub fn to_wall_time(self) -> WallTime {
        WallTime::from_micros(self.seconds * 1_000_000 + u64::from(self.nanos / 1_000))
    }

    fn parse(text: &[u8; Self::LEN]) -> Option<Self> {
        // The text with every digit as 0 is the form.
        let form = text.map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
        if form != *b"0000-00-00T00:00:00.000000000+00:00" || text[29..] != *b"+00:00" {
            return None;
        }
        let number = |from: usize, to: usize| {
            text[from..to].iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'))
        };
        let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
        let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
        let is_date =
            year >= 1970 && (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
        if !is_date || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = (1970..year).map(days_of_year).sum::<u32>()
            + (1..month).map(|month| days_of_month(year, month)).sum::<u32>()
            + (day - 1);
        let seconds = u64::from(days) * DAY + u64::from(hour * 3600 + minute * 60 + second);
        Some(Self { seconds, nanos: number(20, 29) })
    }
}

/// A time after the year 9999 becomes its last moment.
impl From<WallTime> for DateTime {
    fn from(time: WallTime) -> Self {
        let (seconds, micros) = (time.as_micros() / 1_000_000, time.as_micros() % 1_000_000);
        if seconds >= Self::END {
            return Self { seconds: Self::END - 1, nanos: NANOS - 1 };
        }
        Self { seconds, nanos: u32::try_from(micros).expect("invariant: below a million") * 1_000 }
    }
}

/// Nine digits of the second even where they are zeros: deployed readers take 35 characters.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, second) = (self.to_wall_time().date(), self.seconds % DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{date}T{hour:02}:{minute:02}:{second:02}")?;
        write!(f, ".{:09}+00:00", self.nanos)
    }
}

impl Field for DateTime {
    fn read(reader: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        Self::parse(&reader.array(field)?).ok_or(DecodeError::Value(field))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.bytes(self.to_string().as_bytes());
    }

    #[cfg(test)]
    fn draw(random: &mut super::tests::Random) -> Self {
        let seconds = u64::from_be_bytes(random.array()) % Self::END;
        Self { seconds, nanos: u32::from_be_bytes(random.array()) % NANOS }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<DateTime, DecodeError> {
        DateTime::read(&mut Reader::new(text.as_bytes()), "first")
    }

    #[test]
    fn a_captured_time_comes_back() {
        let text = "2026-11-22T11:20:26.087807022+00:00";
        let time = read(text).unwrap();
        // date -u -d 2026-11-22T11:20:26Z +%s
        assert_eq!((time.seconds, time.nanos), (1_795_346_426, 87_807_022));
        assert_eq!(time.to_string(), text);
        assert_eq!(time.to_wall_time(), WallTime::from_micros(1_795_346_426_087_807));
    }

    #[test]
    fn edges_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000000+00:00"),
            (951_782_400, "2000-02-29T00:00:00.000000000+00:00"),
            (4_107_542_399, "2100-02-28T23:59:59.000000000+00:00"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000+00:00"),
            (DateTime::END - 1, "9999-12-31T23:59:59.000000000+00:00"),
        ] {
            let time = DateTime { seconds, nanos: 0 };
            assert_eq!(time.to_string(), text);
            assert_eq!(read(text), Ok(time));
        }
        let last = DateTime::from(WallTime::from_micros(u64::MAX));
        assert_eq!(last.to_string(), "9999-12-31T23:59:59.999999999+00:00");
    }

    #[test]
    fn other_texts_are_refused() {
        for wrong in [
            "1969-12-31T23:59:59.000000000+00:00",
            "2026-00-22T11:20:26.087807022+00:00",
            "2026-13-22T11:20:26.087807022+00:00",
            "2026-11-00T11:20:26.087807022+00:00",
            "2026-11-31T11:20:26.087807022+00:00",
            "2100-02-29T11:20:26.087807022+00:00",
            "2026-11-22T24:20:26.087807022+00:00",
            "2026-11-22T11:60:26.087807022+00:00",
            "2026-11-22T11:20:60.087807022+00:00",
            "2026-11-22T11:20:26.087807022+01:00",
            "2026-11-22T11:20:26.087807022-00:00",
            "2026-11-22 11:20:26.087807022+00:00",
            "2026-11-22T11:20:26.0878070222+00:0",
        ] {
            assert_eq!(read(wrong), Err(DecodeError::Value("first")), "{wrong}");
        }
        let short = "2026-11-22T11:20:26.087807+00:00";
        assert_eq!(read(short), Err(DecodeError::Truncated { field: "first", missing: 3 }));
    }

    proptest! {
        #[test]
        fn every_time_comes_back(micros in 0..DateTime::END * 1_000_000) {
            let time = DateTime::from(WallTime::from_micros(micros));
            let text = time.to_string();
            prop_assert_eq!(text.len(), DateTime::LEN);
            prop_assert_eq!(read(&text), Ok(time));
            prop_assert_eq!(time.to_wall_time().as_micros(), micros);
        }
    }
}
