// SPDX-License-Identifier: AGPL-3.0-or-later
//! The Debian package under test, and one of a lower version to upgrade from.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::tree::Tree;

/// The environment variable that names the file of the package under test.
pub const PACKAGE: &str = "IRDEST_PACKAGE";
/// The environment variable that names the file of the package to upgrade from.
pub const PACKAGE_BEFORE: &str = "IRDEST_PACKAGE_BEFORE";

/// The folder in a tree that packages are installed from.
const FOLDER: &str = "/var/tmp";

/// A file that apt can install.
#[derive(Clone, Debug)]
pub struct Package {
    file: PathBuf,
}

impl Package {
    /// The package under test.
    pub fn under_test() -> Result<Self> {
        Self::named(PACKAGE)
    }

    /// One of a lower version: that of the commit before, where there is one.
    pub fn before() -> Result<Self> {
        Self::named(PACKAGE_BEFORE)
    }

    fn named(variable: &str) -> Result<Self> {
        let run = "`cargo xtask test --system` makes packages";
        let file = std::env::var_os(variable).with_context(|| format!("{variable} is not set: {run}"))?;
        let file = PathBuf::from(file);
        ensure!(file.is_file(), "there is no package at {}: {run}", file.display());
        Ok(Self { file })
    }

    /// Puts the file into a folder of the tree, and returns its path there.
    pub fn copy_to(&self, tree: &Tree, folder: &str) -> Result<String> {
        let name = self.file.file_name().context("a package is a file")?.to_string_lossy();
        let inside = format!("{}/{name}", folder.trim_end_matches('/'));
        fs::copy(&self.file, tree.path(&inside)?).with_context(|| format!("copying {name} into a tree"))?;
        Ok(inside)
    }

    /// Installs it, or upgrades to it. Nobody is asked; a configuration that was edited stays as it is.
    pub fn install(&self, tree: &Tree) -> Result<()> {
        let inside = self.copy_to(tree, FOLDER)?;
        let install = format!(
            "DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --option Dpkg::Options::=--force-confold {inside}"
        );
        tree.shell(&install)?;
        tree.run("rm", &[&inside]).map(drop)
    }
}
