// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where identities and states of tools are (source: XDG Base Directory Specification).

use std::ffi::OsString;
use std::path::PathBuf;

use crate::{Failure, Result};

/// Where the identity is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Where a new one is written.
    pub path: PathBuf,
    /// Where deployed tools have theirs, for who comes from them; not where a file was named.
    pub deployed: Option<PathBuf>,
}

impl Location {
    /// The file that was named, or the usual one.
    ///
    /// # Errors
    /// None was named, and the user has no home.
    pub fn find(named: Option<PathBuf>) -> Result<Self> {
        if let Some(path) = named {
            return Ok(Self { path, deployed: None });
        }
        let config = folder_of("XDG_CONFIG_HOME", ".config", |name| std::env::var_os(name));
        let config = config.ok_or_else(|| {
            Failure::usage(
                "neither XDG_CONFIG_HOME nor HOME is set: say with --identity where the identity is",
            )
        })?;
        Ok(Self { path: config.join("irdest/identity"), deployed: Some(config.join("ratcat/id")) })
    }

    /// Where it is now: the usual file, or that of deployed tools where only that is there.
    pub fn existing(&self) -> &PathBuf {
        match &self.deployed {
            Some(deployed) if !self.path.exists() && deployed.exists() => deployed,
            _ => &self.path,
        }
    }
}

/// A folder of the user's: what the variable says, if that is an absolute path, else within their home.
pub fn folder_of(
    variable: &str,
    within_home: &str,
    get: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let absolute = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(within_home)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_where_xdg_says() {
        let folder = |config: Option<&str>, home: Option<&str>| {
            let get = |name: &str| match name {
                "XDG_CONFIG_HOME" => config.map(OsString::from),
                "HOME" => home.map(OsString::from),
                _ => None,
            };
            folder_of("XDG_CONFIG_HOME", ".config", get)
        };
        assert_eq!(folder(Some("/c"), Some("/h")), Some("/c".into()));
        assert_eq!(folder(Some("c"), Some("/h")), Some("/h/.config".into()), "a relative path is none");
        assert_eq!(folder(Some(""), Some("/h")), Some("/h/.config".into()));
        assert_eq!(folder(None, None), None);
    }

    #[test]
    fn who_comes_from_deployed_tools_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (path, deployed) = (dir.path().join("irdest"), dir.path().join("ratcat"));
        let location = Location { path: path.clone(), deployed: Some(deployed.clone()) };
        assert_eq!(location.existing(), &path);
        std::fs::write(&deployed, "").unwrap();
        assert_eq!(location.existing(), &deployed);
        std::fs::write(&path, "").unwrap();
        assert_eq!(location.existing(), &path);
        assert_eq!(Location::find(Some(path.clone())).unwrap().existing(), &path);
    }
}
