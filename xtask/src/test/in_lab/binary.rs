// SPDX-License-Identifier: AGPL-3.0-or-later
//! Files of tests, built, and what they are called.

use std::fmt;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Artifact, Message, Metadata};
use irdest_lab::shown;

/// A file of tests, built. It is called `package::name`: the name alone may be that of another one.
#[derive(Clone, Debug)]
pub(in crate::test) struct Binary {
    pub(super) package: String,
    pub(super) name: String,
    pub(super) program: PathBuf,
    /// The folder of its package.
    pub(super) folder: PathBuf,
}

/// Builds files of tests with a call of cargo that names so many of them.
///
/// # Errors
/// They do not build, or are not as many.
pub(in crate::test) fn build(mut cargo: Command, files: usize, metadata: &Metadata) -> Result<Vec<Binary>> {
    cargo.args(["--no-run", "--message-format=json-render-diagnostics"]).stdout(Stdio::piped());
    let mut building = cargo.spawn().with_context(|| format!("starting {}", shown(&cargo)))?;
    let messages = building.stdout.take().context("what cargo says is taken")?;
    let mut binaries = Vec::new();
    for message in Message::parse_stream(BufReader::new(messages)) {
        let Message::CompilerArtifact(artifact) = message? else { continue };
        binaries.extend(Binary::of(artifact, metadata)?);
    }
    let status = building.wait()?;
    ensure!(status.success(), "`{}`: {status}", shown(&cargo));
    ensure!(binaries.len() == files, "{} of {files} files of tests were built", binaries.len());
    Ok(binaries)
}

impl Binary {
    /// The file of tests that cargo has built, where it is one.
    fn of(artifact: Artifact, metadata: &Metadata) -> Result<Option<Self>> {
        let Some(program) = artifact.executable.filter(|_| artifact.profile.test) else { return Ok(None) };
        let folder = artifact.manifest_path.parent().context("a manifest lies in a folder")?;
        let (program, folder) = (program.into_std_path_buf(), folder.as_std_path().to_owned());
        let package = metadata.packages.iter().find(|package| package.id == artifact.package_id);
        let package = package.with_context(|| format!("{} is no package of ours", artifact.package_id))?;
        Ok(Some(Self { package: package.name.to_string(), name: artifact.target.name, program, folder }))
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.package, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_not_built_is_missed() {
        let metadata = crate::cargo::metadata().unwrap();
        let error = build(Command::new("true"), 2, &metadata).unwrap_err().to_string();
        assert!(error.contains("0 of 2"), "{error}");
    }
}
