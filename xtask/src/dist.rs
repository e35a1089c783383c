// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask dist`: the Debian package of the daemon, the same bytes whenever it is made.

mod again;
mod before;
mod contents;
mod epoch;
mod packager;
#[cfg(test)]
mod scripts;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::bpf::require_probes;
use crate::build::{Profile, all};
use crate::cargo::{built, metadata, run};
use crate::programs::{TO_PACKAGE, require};

pub(crate) use before::Commit;

/// Builds the daemon and the programs of clients for use and makes their Debian package.
///
/// The package is target/debian/irdest-gateway_VERSION_ARCHITECTURE.deb, whose path is the last line printed. Of one commit in
/// one folder it is always the same, byte for byte.
#[derive(Debug, clap::Args)]
pub(crate) struct Dist {
    /// The folder for the package [default: target/debian].
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Append this to the version: `~` and what follows sorts before the release, `+` after it.
    #[arg(long, value_name = "SUFFIX", default_value = "", value_parser = suffix)]
    version_suffix: String,
    /// Make it a second time with nothing built before, and compare; takes as long as the first build of all, some minutes.
    #[arg(long)]
    check: bool,
}

impl Dist {
    pub(crate) fn run(self) -> Result<()> {
        require(TO_PACKAGE)?;
        let package = self.make()?;
        if self.check {
            again::same(&package, &self.version_suffix)?;
        }
        println!("{}", package.display());
        Ok(())
    }

    fn make(&self) -> Result<PathBuf> {
        let target = metadata()?.target_directory.into_std_path_buf();
        let output = self.output.clone().unwrap_or_else(|| target.join("debian"));
        fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
        let output = output.canonicalize().with_context(|| output.display().to_string())?;
        require_probes().context("a package is not made without the probes")?;
        all(Profile::Release)?;
        contents::place(&built("release")?.join("package"))?;
        let version = version(&self.version_suffix);
        let packager = packager::find(&target)?;
        run(packager::call(&packager, &version, &output).env(epoch::VARIABLE, epoch::find()?))
            .context("making the package")?;
        made(&output, &version)
    }
}

/// Makes the package in its usual folder, and where `check` says so a second time, to compare.
pub(crate) fn package(check: bool) -> Result<PathBuf> {
    require(TO_PACKAGE)?;
    let package = Dist { output: None, version_suffix: String::new(), check: false }.make()?;
    if check {
        again::same(&package, "")?;
    }
    Ok(package)
}

/// Makes one of the same sources that sorts below it, in a folder of its own, as cargo-deb empties the usual one.
pub(crate) fn package_below() -> Result<PathBuf> {
    let output = metadata()?.target_directory.into_std_path_buf().join("before/same");
    Dist { output: Some(output), version_suffix: before::SUFFIX.to_owned(), check: false }.make()
}

/// The version of the workspace, which all of its packages have.
fn version(suffix: &str) -> String {
    format!("{}{suffix}", env!("CARGO_PKG_VERSION"))
}

/// What may stand in a version (deb-version(7)), but no `-` and `:`, which divide it.
fn suffix(text: &str) -> Result<String, String> {
    let fits = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+~".contains(&byte));
    let begins = text.is_empty() || text.starts_with(['+', '~']);
    match fits && begins {
        true => Ok(text.to_owned()),
        false => Err("expected ~ or +, then letters, digits and . + ~".to_owned()),
    }
}

/// The package of this version in `folder`, whatever its architecture is.
fn made(folder: &Path, version: &str) -> Result<PathBuf> {
    let begin = format!("irdest-gateway_{version}_");
    let names = fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut packages: Vec<String> =
        names.filter(|name| name.starts_with(&begin) && name.ends_with(".deb")).collect();
    ensure!(packages.len() == 1, "{}: expected one package of {version}, got {packages:?}", folder.display());
    Ok(folder.join(packages.remove(0)))
}

#[cfg(test)]
mod tests {
    use crate::cargo::workspace;

    use super::*;

    #[test]
    fn suffixes_are_parts_of_versions() {
        for good in ["", "~test1", "+git20261123.b677ff1", "~~"] {
            assert_eq!(suffix(good).as_deref(), Ok(good));
        }
        for bad in ["test", "~a-1", "~1:2", "~ 1", "+/"] {
            assert!(suffix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_package_is_made_of_is_there() {
        let manifest = fs::read_to_string(workspace().join("gateway/Cargo.toml")).unwrap();
        for file in ["../LICENSE", "../CHANGELOG.md", "../README.md", "../xtask/debian"] {
            assert!(manifest.contains(&format!("\"{file}\"")), "{file}");
            assert!(workspace().join("gateway").join(file).exists(), "{file}");
        }
    }
}
