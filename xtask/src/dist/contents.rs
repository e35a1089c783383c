// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the package holds besides the program: files of the workspace with their places filled in, the manual, completions.
//! `[package.metadata.deb]` of the daemon says where each goes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::bpf::cargo_with_probes;
use crate::build::for_use;
use crate::cargo::run;
use crate::install::filled;

/// Where programs of packages are.
const PREFIX: &str = "/usr";

/// Files of the workspace, and their names in the package.
const FILLED: [(&str, &str); 5] = [
    ("systemd/irdest-gateway.service", "irdest-gateway.service"),
    ("systemd/irdest-gateway.sysusers", "sysusers/irdest-gateway.conf"),
    ("systemd/irdest-gateway.tmpfiles", "tmpfiles/irdest-gateway.conf"),
    ("config/gateway.toml", "gateway.toml"),
    ("gateway/src/config/defaults.toml", "defaults.toml"),
];

/// Puts all of it into `folder`, and nothing else.
pub(super) fn place(folder: &Path) -> Result<()> {
    let failed = || folder.display().to_string();
    if folder.exists() {
        // A page of a command that is no more.
        fs::remove_dir_all(folder).with_context(failed)?;
    }
    for (file, name) in FILLED {
        let placed = folder.join(name);
        fs::create_dir_all(placed.parent().expect("a file lies in a folder")).with_context(failed)?;
        fs::write(placed, filled(file, Path::new(PREFIX))?).with_context(failed)?;
    }
    // With what the daemon was built with, so that nothing of it is built again.
    let mut manual = cargo_with_probes(&["run", "--quiet", "--package", "irdest-manual"]);
    run(for_use(&mut manual).arg("--").arg(folder)).context("writing manual and completions")?;
    compress(&folder.join("manual"))
}

/// Debian's policy wants its manual compressed, and the bytes not to depend on the day.
fn compress(folder: &Path) -> Result<()> {
    let pages = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let pages = pages.map(|page| Ok(page?.path())).collect::<Result<Vec<_>>>()?;
    run(Command::new("gzip").args(["--best", "--no-name"]).args(pages))
}

#[cfg(test)]
mod tests {
    use crate::cargo::workspace;

    use super::*;

    #[test]
    fn the_package_has_every_tool_and_what_shells_complete_of_it() {
        let manifest = fs::read_to_string(workspace().join("gateway/Cargo.toml")).unwrap();
        for tool in crate::build::TOOLS.iter().flat_map(|(_, names)| *names) {
            assert!(manifest.contains(&format!("\"target/release/{tool}\"")), "{tool}");
            for file in [format!("{tool}.bash"), format!("_{tool}"), format!("{tool}.fish")] {
                assert!(
                    manifest.contains(&format!("\"target/release/package/completions/{file}\"")),
                    "{file}"
                );
            }
        }
    }

    #[test]
    fn the_package_names_every_file_that_is_placed() {
        let manifest = fs::read_to_string(workspace().join("gateway/Cargo.toml")).unwrap();
        for (file, name) in FILLED {
            assert!(workspace().join(file).is_file(), "{file}");
            assert!(manifest.contains(&format!("\"target/release/package/{name}\"")), "{name}");
        }
    }
}
