// SPDX-License-Identifier: AGPL-3.0-or-later
//! Tools that are built once, whatever is packed with them: other builds borrow them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

/// Where they lie below the folder of what is built.
const TOOLS: [&str; 2] = ["bpf/linker", "cargo-deb"];

/// Lets a build in the folder `build` use those of the folder `target`, as far as they are there.
pub(super) fn lend(target: &Path, build: &Path) -> Result<()> {
    for tool in TOOLS.map(Path::new).into_iter().filter(|tool| target.join(tool).exists()) {
        let place = build.join(tool);
        let failed = || place.display().to_string();
        fs::create_dir_all(place.parent().expect("a tool lies in a folder")).with_context(failed)?;
        if place.symlink_metadata().is_err() {
            symlink(target.join(tool), &place).with_context(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_that_are_there_are_lent_once() {
        let folder = std::env::temp_dir().join(format!("xtask-tools-{}", std::process::id()));
        let (target, build) = (folder.join("target"), folder.join("build"));
        fs::create_dir_all(target.join("cargo-deb/1.0")).unwrap();
        for _ in 0..2 {
            lend(&target, &build).unwrap();
        }
        assert!(build.join("cargo-deb/1.0").is_dir() && !build.join("bpf/linker").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
