// SPDX-License-Identifier: AGPL-3.0-or-later
//! Files stay short enough to be read at once.

use super::{Finding, Source};

/// Beyond this many lines a file is asked about.
const QUESTION: usize = 400;
/// Beyond this many it has to be divided.
const FAILURE: usize = 600;

pub(super) fn check(source: &Source) -> Option<Finding> {
    match source.text.lines().count() {
        lines if lines > FAILURE => {
            Some(Finding::failure(&source.path, format!("{lines} lines, more than {FAILURE}: divide it")))
        }
        lines if lines > QUESTION => {
            Some(Finding::question(&source.path, format!("{lines} lines: is it still one subject?")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Severity, source};
    use super::*;

    #[test]
    fn asks_first_and_fails_later() {
        let severity =
            |lines: usize| check(&source("a.rs", &"x\n".repeat(lines))).map(|finding| finding.severity);
        assert_eq!(severity(400), None);
        assert_eq!(severity(401), Some(Severity::Question));
        assert_eq!(severity(600), Some(Severity::Question));
        assert_eq!(severity(601), Some(Severity::Failure));
    }
}
