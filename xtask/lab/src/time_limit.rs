// SPDX-License-Identifier: AGPL-3.0-or-later
//! Waiting for what can be observed, never longer than allowed.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt::interrupted;

/// Pause between two looks at a condition: short beside what the tests measure, long beside the cost of a look.
const PAUSE: Duration = Duration::from_millis(10);

/// The instant by which something has to be over.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    end: Instant,
}

impl TimeLimit {
    /// A limit this far from now.
    pub fn within(duration: Duration) -> Self {
        Self { end: Instant::now() + duration }
    }

    /// This limit, or `duration` from now where that is earlier.
    pub fn at_most(self, duration: Duration) -> Self {
        Self { end: self.end.min(Instant::now() + duration) }
    }

    /// Whether the time is over.
    pub fn is_over(self) -> bool {
        Instant::now() >= self.end
    }

    /// Calls `look` until it yields a value, at least once.
    ///
    /// # Errors
    /// Names `what` was awaited when the limit is over or the program was interrupted; an error of `look` ends
    /// the wait at once.
    pub fn wait_for<T>(self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        let began = Instant::now();
        loop {
            if let Some(value) = look()? {
                return Ok(value);
            }
            if interrupted() {
                bail!("interrupted while waiting for {what}");
            }
            if self.is_over() {
                bail!("waited {:.1} s in vain for {what}", began.elapsed().as_secs_f32());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until `holds` is true, see [`TimeLimit::wait_for`].
    pub fn wait_until(self, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
        self.wait_for(what, || Ok(holds().then_some(())))
    }

    /// Lets `duration` pass, for outages whose length is what a test is about.
    pub fn pass(self, duration: Duration) -> Result<()> {
        let passed = TimeLimit::within(duration);
        self.wait_until("an outage to last its time", || passed.is_over())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yields_what_is_there_even_when_the_time_is_over() {
        let over = TimeLimit::within(Duration::ZERO);
        assert_eq!(over.wait_for("a value", || Ok(Some(7))).unwrap(), 7);
    }

    #[test]
    fn names_what_it_waited_for() {
        let limit = TimeLimit::within(Duration::from_millis(30));
        let error = limit.wait_until("rain", || false).unwrap_err().to_string();
        assert!(error.contains("rain"), "{error}");
    }

    #[test]
    fn takes_the_earlier_of_two_limits() {
        let long = TimeLimit::within(Duration::from_secs(3600));
        assert!(long.at_most(Duration::ZERO).is_over());
        assert!(TimeLimit::within(Duration::ZERO).at_most(Duration::from_secs(3600)).is_over());
    }
}
