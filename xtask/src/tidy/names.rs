// SPDX-License-Identifier: AGPL-3.0-or-later
//! Files are named after what is in them.

use super::{Finding, Source};

/// Names that say nothing about what is inside.
const EMPTY: [&str; 6] = ["common", "helper", "helpers", "manager", "util", "utils"];

pub(super) fn check(source: &Source) -> Option<Finding> {
    if source.path == "mod.rs" || source.path.ends_with("/mod.rs") {
        return Some(Finding::failure(&source.path, "modules are `foo.rs` and `foo/`, never `foo/mod.rs`"));
    }
    let mut parts = source.path.split(['/', '.']).flat_map(|part| part.split(['_', '-']));
    let empty = parts.find(|part| EMPTY.contains(part))?;
    Some(Finding::failure(&source.path, format!("`{empty}` does not say what is in it")))
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn wants_names_that_say_something() {
        for bad in ["a/src/mod.rs", "a/src/utils.rs", "a/tests/common/x.rs", "a/src/link_manager.rs"] {
            assert!(check(&source(bad, "")).is_some(), "{bad}");
        }
        for good in ["a/src/model.rs", "a/src/link.rs", "README.md", "a/src/commonplace.rs"] {
            assert_eq!(check(&source(good, "")), None, "{good}");
        }
    }
}
