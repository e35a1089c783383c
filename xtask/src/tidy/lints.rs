// SPDX-License-Identifier: AGPL-3.0-or-later
//! Every package takes over the lints of the workspace.

use super::{Finding, Source};

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let manifests = sources.iter().filter(|source| source.path.ends_with("/Cargo.toml"));
    let without = manifests.filter(|manifest| !inherits(&manifest.text));
    without
        .map(|manifest| Finding::failure(&manifest.path, "lacks `[lints]` with `workspace = true`"))
        .collect()
}

fn inherits(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.find(|line| !line.is_empty() && !line.starts_with('#')) == Some("workspace = true")
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn wants_the_lints_of_the_workspace() {
        let good = source("a/Cargo.toml", "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n");
        let none = source("b/Cargo.toml", "[package]\nname = \"b\"\nedition.workspace = true\n");
        let own = source("c/Cargo.toml", "[lints]\n\n[lints.rust]\nworkspace = true\n");
        let findings = check(&[good, none, own, source("Cargo.toml", "[workspace]")]);
        let places: Vec<&str> = findings.iter().map(|finding| finding.place.as_str()).collect();
        assert_eq!(places, ["b/Cargo.toml", "c/Cargo.toml"]);
    }
}
