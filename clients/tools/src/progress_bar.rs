// SPDX-License-Identifier: AGPL-3.0-or-later
//! How far something is, on the terminal of who waits for it.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use ratman_client::types::ByteCount;

use crate::output::Output;

/// How often it is drawn at most: often enough for eyes.
const PACE: Duration = Duration::from_millis(100);

/// A rate says nothing before: what came first may have waited in a queue.
const STEADY: Duration = Duration::from_millis(500);

/// A line on standard error that says how far something is; nothing where that is no terminal, or all is to be quiet. What it drew is
/// gone when it is dropped.
#[derive(Debug)]
pub struct ProgressBar {
    is_shown: bool,
    what: &'static str,
    done: u64,
    in_all: Option<u64>,
    begun: Instant,
    /// What was there when it began.
    before: u64,
    drawn: Option<Instant>,
}

impl ProgressBar {
    /// Of `in_all` bytes, where that is known; some are there before.
    pub fn new(output: Output, what: &'static str, before: u64, in_all: Option<u64>) -> Self {
        let is_shown = !output.quiet && io::stderr().is_terminal();
        Self { is_shown, what, done: before, in_all, begun: Instant::now(), before, drawn: None }
    }

    /// So many bytes more.
    pub fn add(&mut self, bytes: usize) {
        self.set(self.done.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX)), self.in_all);
    }

    /// So many bytes now.
    pub fn set(&mut self, done: u64, in_all: Option<u64>) {
        (self.done, self.in_all) = (done, in_all);
        if self.is_shown && self.drawn.is_none_or(|drawn| drawn.elapsed() >= PACE) {
            self.drawn = Some(Instant::now());
            let _closed = write!(io::stderr(), "\r\x1b[K{self}");
        }
    }

    /// Takes away what was drawn, so that something else can be said.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _closed = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Display for ProgressBar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.what)?;
        if let Some(in_all) = self.in_all.filter(|in_all| *in_all > 0) {
            let percent = u128::from(self.done.min(in_all)) * 100 / u128::from(in_all);
            write!(f, "{percent:3} %  {} of {}", ByteCount(self.done), ByteCount(in_all))?;
        } else {
            write!(f, "{}", ByteCount(self.done))?;
        }
        let elapsed = Some(self.begun.elapsed()).filter(|elapsed| *elapsed >= STEADY);
        let more = ByteCount(self.done.saturating_sub(self.before));
        let rate = elapsed.and_then(|elapsed| more.per_second(elapsed));
        rate.map_or(Ok(()), |rate| write!(f, "  {}/s", ByteCount(rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Form;

    #[test]
    fn it_tells_how_much_of_what() {
        let quiet = Output { form: Form::Lines, quiet: true };
        let mut bar = ProgressBar::new(quiet, "sent", 50_000, Some(200_000));
        bar.add(50_000);
        assert_eq!(bar.to_string(), "sent:  50 %  100 kB of 200 kB");
        bar.set(300_000, Some(200_000));
        assert_eq!(bar.to_string(), "sent: 100 %  300 kB of 200 kB");
        bar.set(7, None);
        assert_eq!(bar.to_string(), "sent: 7 B");
    }

    #[test]
    fn it_tells_a_rate_once_there_is_one() {
        let quiet = Output { form: Form::Lines, quiet: true };
        let mut bar = ProgressBar::new(quiet, "sent", 50_000, None);
        bar.begun = bar.begun.checked_sub(Duration::from_secs(10)).unwrap();
        bar.add(100_000);
        let text = bar.to_string();
        assert!(text.starts_with("sent: 150 kB  ") && text.ends_with("B/s"), "{text}");
    }
}
