// SPDX-License-Identifier: AGPL-3.0-or-later
//! Days of the calendar, for people and for the texts of deployed routers.

use core::fmt;

use crate::WallTime;

const MICROS_PER_DAY: u64 = 86_400_000_000;

/// A day in UTC from 1970 on, in the Gregorian calendar; written as ISO 8601 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u32,
    // INVARIANT: from 1 to 12.
    month: u32,
    // INVARIANT: from 1 to the days of the month.
    day: u32,
}

impl WallTime {
    /// The day that it is in.
    pub fn date(self) -> Date {
        let days = u32::try_from(self.as_micros() / MICROS_PER_DAY).expect("invariant: below 2^28");
        // Four centuries at a time: a time may be anything.
        let (mut year, mut day) = (1970 + days / 146_097 * 400, days % 146_097);
        while day >= days_of_year(year) {
            day -= days_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while day >= days_of_month(year, month) {
            day -= days_of_month(year, month);
            month += 1;
        }
        Date { year, month, day: day + 1 }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// 365 or 366.
pub const fn days_of_year(year: u32) -> u32 {
    337 + days_of_month(year, 2)
}

/// From 28 to 31; `month` is from 1 to 12.
pub const fn days_of_month(year: u32, month: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, date) in
            [(0, "1970-01-01"), (10_956, "1999-12-31"), (11_016, "2000-02-29"), (47_541, "2100-03-01")]
        {
            assert_eq!(WallTime::from_micros(days * MICROS_PER_DAY).date().to_string(), date);
        }
        assert_eq!(WallTime::from_micros(u64::MAX).date().to_string(), "586524-01-19");
    }
}
