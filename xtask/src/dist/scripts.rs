// SPDX-License-Identifier: AGPL-3.0-or-later
//! Tests of the scripts that dpkg runs: they are what a shell of POSIX understands, and what shellcheck has nothing to say of.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use irdest_lab::find_program;

use crate::cargo::workspace;

fn scripts() -> [PathBuf; 3] {
    ["postinst", "prerm", "postrm"].map(|name| workspace().join("xtask/debian").join(name))
}

#[test]
fn shells_understand_them() {
    for script in scripts() {
        let output = Command::new("sh").arg("-n").arg(&script).output().unwrap();
        assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(&script).unwrap();
        assert!(text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n"), "{}", script.display());
        assert_eq!(text.matches("#DEBHELPER#").count(), 1, "{}: where cargo-deb adds", script.display());
    }
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let shellcheck = find_program("shellcheck").expect("shellcheck is there: `cargo xtask test` installs it");
    let output = Command::new(shellcheck).args(["--shell=sh", "--"]).args(scripts()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
