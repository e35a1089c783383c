// SPDX-License-Identifier: AGPL-3.0-or-later
//! Every file names its licence and says what it is for.

use super::{Finding, Source};

const LICENCE: &str = "// SPDX-License-Identifier: AGPL-3.0-or-later";

pub(super) fn check(source: &Source) -> Option<Finding> {
    let mut lines = source.text.lines();
    if lines.next() != Some(LICENCE) {
        return Some(Finding::at(source, 1, format!("the first line is `{LICENCE}`")));
    }
    // A file of tests is about the module that it lies under.
    let is_of_tests = source.path.ends_with("/tests.rs");
    if !is_of_tests && !lines.next().is_some_and(|line| line.starts_with("//! ")) {
        return Some(Finding::at(
            source,
            2,
            "the second line begins the `//!` paragraph on what the file is for",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn wants_licence_and_purpose() {
        let complete = format!("{LICENCE}\n//! Something useful.\nfn f() {{}}\n");
        assert_eq!(check(&source("a.rs", &complete)), None);
        let place = |text: &str| check(&source("a.rs", text)).unwrap().place;
        assert_eq!(place("//! Something useful.\n"), "a.rs:1");
        assert_eq!(place(&format!("{LICENCE}\nfn f() {{}}\n")), "a.rs:2");
        assert_eq!(place(""), "a.rs:1");
        assert_eq!(check(&source("a/tests.rs", &format!("{LICENCE}\nuse super::*;\n"))), None);
    }
}
