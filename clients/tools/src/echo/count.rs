// SPDX-License-Identifier: AGPL-3.0-or-later
//! What an echo has done.

use std::fmt;

use serde::Serialize;

/// What an echo has done since it was started: streams, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    /// Sent back.
    pub(super) echoed: u64,
    /// What those had.
    pub(super) bytes: u64,
    /// Passed over, since they were too long. Few are: the router denies most before they are sent.
    pub(super) too_long: u64,
    /// Passed over, since their sender sent too many.
    pub(super) too_many: u64,
    /// Passed over, since they were echoes themselves.
    pub(super) echoes: u64,
    /// Passed over, since the router did not take the answer.
    pub(super) failed: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { echoed, bytes, too_long, too_many, echoes, failed } = self;
        write!(f, "{echoed} streams echoed ({bytes} bytes); ")?;
        write!(f, "passed over: {too_long} too long, {too_many} too many, {echoes} echoes, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_programs_read_it() {
        let count = Count { echoed: 2, bytes: 128, echoes: 1, ..Count::default() };
        assert_eq!(
            count.to_string(),
            "2 streams echoed (128 bytes); passed over: 0 too long, 0 too many, 1 echoes, 0 failed"
        );
        assert_eq!(serde_json::to_value(count).unwrap()["bytes"], 128);
    }
}
