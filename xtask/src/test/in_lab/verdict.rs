// SPDX-License-Identifier: AGPL-3.0-or-later
//! How a run of a test program went: what it prints has to agree with itself and with its exit code, or it is not believed.

use std::collections::BTreeSet;
use std::fmt;
use std::process::ExitStatus;

/// The exit code of a test program of which tests failed.
const SOME_FAILED: i32 = 101;

/// Tests of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tests {
    All,
    Named(BTreeSet<String>),
}

impl Tests {
    /// Those that are not among the others, where all have names.
    pub(super) fn but(&self, others: &Self) -> Option<Self> {
        let (Self::Named(these), Self::Named(others)) = (self, others) else { return None };
        let rest: BTreeSet<_> = these.difference(others).cloned().collect();
        (!rest.is_empty()).then_some(Self::Named(rest))
    }
}

/// How a run went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    /// These failed.
    Failed(BTreeSet<String>),
    /// It does not say what failed, or nobody can believe it; with the reason.
    Unclear(String),
}

impl Verdict {
    /// Of a run of these tests that has ended, and what it printed.
    pub(super) fn of(tests: &Tests, status: ExitStatus, printed: &str) -> Self {
        let unclear = |reason: &str| Self::Unclear(format!("{reason}, {status}"));
        let Some(result) = result(printed) else { return unclear("ended without a result") };
        if let Tests::Named(names) = tests
            && running(printed) != Some(names.len())
        {
            return unclear(&format!("did not run the {} of its tests that were asked for", names.len()));
        }
        let names = failures(printed);
        match status.code() {
            Some(0) if result.starts_with("ok. ") => Self::Passed,
            Some(SOME_FAILED) if failed(result) == Some(names.len()) => Self::Failed(names),
            Some(SOME_FAILED) => unclear("does not name all that failed, or more"),
            Some(_) | None => unclear("ended otherwise than its result says"),
        }
    }

    /// Those that failed, of the tests that were to be run.
    pub(super) fn failed_of(self, tests: &Tests) -> Option<Tests> {
        match self {
            Self::Passed => None,
            Self::Failed(names) => Some(Tests::Named(names)),
            Self::Unclear(_) => Some(tests.clone()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => write!(f, "passed"),
            Self::Failed(names) => write!(f, "{} failed", names.len()),
            Self::Unclear(reason) => write!(f, "{reason}"),
        }
    }
}

/// How many tests the program set out to run. Its own line is the first: a test may print what another program prints.
fn running(printed: &str) -> Option<usize> {
    let count = |line: &str| line.strip_prefix("running ")?.split_once(" test")?.0.parse().ok();
    printed.lines().find_map(count)
}

/// The result of the program, which is the last one.
fn result(printed: &str) -> Option<&str> {
    printed.lines().rev().find_map(|line| line.strip_prefix("test result: "))
}

/// How many tests failed by a result that is not `ok`.
fn failed(result: &str) -> Option<usize> {
    let counts = result.strip_prefix("FAILED. ")?;
    counts
        .split("; ")
        .find_map(|count| count.strip_suffix(" failed"))
        .filter(|count| *count != "0")?
        .parse()
        .ok()
}

/// The names in the last list of failures.
fn failures(printed: &str) -> BTreeSet<String> {
    let Some((_, list)) = printed.rsplit_once("\nfailures:\n") else { return BTreeSet::new() };
    let names = list.lines().map_while(|line| line.strip_prefix("    "));
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    /// What a program prints of which `a` and `c::d` fail; `a` has printed what another program did.
    const TWO_FAIL: &str = "\nrunning 3 tests\ntest a ... \nrunning 1 test\ntest x ... ok\n\n\
        test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out\n\nFAILED\n\
        \nfailures:\n\n---- a ----\n    b\n\nfailures:\n    a\n    c::d\n\n\
        test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\n";

    fn named(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn verdict(tests: &Tests, code: i32, printed: &str) -> Verdict {
        Verdict::of(tests, ExitStatus::from_raw(code << 8), printed)
    }

    fn is_unclear(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Unclear(_))
    }

    #[test]
    fn believes_what_agrees() {
        assert_eq!(verdict(&Tests::All, 101, TWO_FAIL), Verdict::Failed(named(&["a", "c::d"])));
        let one = "\nrunning 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed\n\n";
        assert_eq!(verdict(&Tests::All, 0, one), Verdict::Passed);
        assert_eq!(verdict(&Tests::Named(named(&["a"])), 0, one), Verdict::Passed);
    }

    #[test]
    fn believes_no_exit_code_without_its_result_and_no_result_without_its_exit_code() {
        for code in [0, 1, 101] {
            assert!(is_unclear(&verdict(&Tests::All, code, "\nrunning 2 tests\ntest a ... ok\ntest b ... ")));
        }
        assert!(is_unclear(&verdict(&Tests::All, 0, TWO_FAIL)));
        assert!(is_unclear(&verdict(&Tests::All, 1, TWO_FAIL)));
        assert!(is_unclear(&verdict(&Tests::All, 101, "test result: ok. 1 passed; 0 failed\n")));
        assert!(is_unclear(&Verdict::of(&Tests::All, ExitStatus::from_raw(9), TWO_FAIL)), "a signal");
    }

    #[test]
    fn believes_no_list_of_another_length_than_what_failed() {
        for other in ["0 failed", "1 failed", "3 failed", "failed"] {
            let printed = TWO_FAIL.replace("2 failed", other);
            assert!(is_unclear(&verdict(&Tests::All, 101, &printed)), "{other}");
        }
        assert!(is_unclear(&verdict(&Tests::All, 101, "test result: FAILED. 0 passed; 0 failed\n")));
    }

    #[test]
    fn wants_as_many_tests_as_are_named() {
        let one = Tests::Named(named(&["a"]));
        for line in ["running 0 tests", "running 2 tests", "running"] {
            let printed = format!("\n{line}\n\ntest result: ok. 0 passed; 0 failed\n\n");
            assert!(is_unclear(&verdict(&one, 0, &printed)), "{line}");
        }
    }

    #[test]
    fn what_is_unclear_failed_as_a_whole() {
        let names = Tests::Named(named(&["a"]));
        assert_eq!(Verdict::Passed.failed_of(&names), None);
        assert_eq!(Verdict::Failed(named(&["a"])).failed_of(&Tests::All), Some(names.clone()));
        for tests in [Tests::All, names] {
            assert_eq!(Verdict::Unclear(String::new()).failed_of(&tests), Some(tests));
        }
    }
}
