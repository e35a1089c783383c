// SPDX-License-Identifier: AGPL-3.0-or-later
//! A test that is switched off says why.

use super::code::code;
use super::{Finding, Source};

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let ignored = source.lines().filter(|(_, line)| code(line).contains("#[ignore]"));
    ignored
        .map(|(number, _)| Finding::at(source, number, "an ignored test gives its reason: #[ignore = \"…\"]"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn wants_a_reason() {
        assert_eq!(check(&source("a.rs", "#[test]\n#[ignore]\nfn f() {}")).len(), 1);
        assert_eq!(check(&source("a.rs", "#[test]\n#[ignore = \"needs a radio\"]\nfn f() {}")), []);
        assert_eq!(check(&source("a.rs", "// #[ignore] is not good enough")), []);
    }
}
