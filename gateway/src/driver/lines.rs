// SPDX-License-Identifier: AGPL-3.0-or-later
//! Keeps the log readable while links come and go in masses.

use ratman_types::Timestamp;

/// How many lines the log takes about links that others dialled: a flood of them must not fill it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    second: u64,
    written: u32,
    /// Lines that were too many, since the start.
    pub(super) unwritten: u64,
}

impl Lines {
    /// Lines per second.
    const MOST: u32 = 10;

    /// Whether one more line may be written now.
    pub(super) fn allow(&mut self, now: Timestamp) -> bool {
        let second = now.as_micros() / 1_000_000;
        if second != self.second {
            (self.second, self.written) = (second, 0);
        }
        self.written += 1;
        self.unwritten += u64::from(self.written > Self::MOST);
        self.written <= Self::MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_its_lines_each_second_and_the_rest_is_counted() {
        let mut lines = Lines::default();
        let at = |second: u64| Timestamp::from_micros(second * 1_000_000);
        for second in 1..=3 {
            let written = (0..100).filter(|_| lines.allow(at(second))).count();
            assert_eq!(written, 10);
        }
        assert_eq!(lines.unwritten, 270);
    }
}
