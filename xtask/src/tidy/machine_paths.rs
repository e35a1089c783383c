// SPDX-License-Identifier: AGPL-3.0-or-later
//! No file speaks of the folders of one machine or one person.

use super::{Finding, Source};

/// In two parts, so that this file does not find itself.
const FOLDERS: [(&str, &str); 3] = [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/")];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.lines() {
        for folder in FOLDERS.map(|(begin, end)| format!("{begin}{end}")) {
            if line.contains(&folder) {
                findings.push(Finding::at(source, number, format!("`{folder}` is a folder of one machine")));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn finds_folders_of_one_machine() {
        let text = format!("a\nsee {}{}b\n", FOLDERS[0].0, FOLDERS[0].1);
        assert_eq!(check(&source("README.md", &text))[0].place, "README.md:2");
        assert_eq!(check(&source("README.md", "/etc/irdest-gateway and $HOME are everybody's")), []);
    }
}
