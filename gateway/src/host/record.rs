// SPDX-License-Identifier: AGPL-3.0-or-later
//! What was changed on the host, written down before each change, so that it can be put back after a daemon was killed.
//!
//! Routes and rules need no record but the number of their table: they bear our protocol number. All of it is about one network
//! namespace, and ends with that.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{HostError, Plan};
use crate::state::replace;

const FILE: &str = "host.toml";

/// The file in the state directory and what is in it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    dir: PathBuf,
    content: Option<Content>,
}

/// Fields of other versions are left alone: what is known of the rest still has to be put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    device: String,
    table: u32,
    /// Whether there may be a table of nftables for the device.
    nft: bool,
    #[serde(default)]
    sysctls: Vec<Changed>,
}

/// A sysctl that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changed {
    /// Its path below `/proc/sys`.
    pub(super) name: String,
    /// What it was.
    pub(super) before: String,
    /// What it was made.
    pub(super) set: String,
}

impl Record {
    /// Reads the record in `dir`; one that cannot be understood counts as none.
    pub(super) fn load(dir: &Path) -> Result<Self, HostError> {
        let path = dir.join(FILE);
        let content = match std::fs::read_to_string(&path) {
            Ok(text) => Content::parse(&text, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(HostError::Record { path, action: "read", error }),
        };
        Ok(Self { dir: dir.to_owned(), content })
    }

    /// It tells of a network that is no more: as if there were none. The file stays until the next change.
    pub(super) fn discard(&mut self) {
        self.content = None;
    }

    /// The same for the sysctls alone: routes, rules and tables with our names are ours in any network.
    pub(super) fn discard_sysctls(&mut self) {
        if let Some(content) = &mut self.content {
            content.sysctls.clear();
        }
    }

    /// Whether it is empty or tells of the same device and table.
    pub(super) fn is_for(&self, plan: &Plan) -> bool {
        let content = self.content.as_ref();
        content.is_none_or(|content| content.device == plan.device && content.table == plan.routing.table)
    }

    /// The device and the routing table that it tells of.
    pub(super) fn subject(&self) -> Option<(String, u32)> {
        self.content.as_ref().map(|content| (content.device.clone(), content.table))
    }

    /// From now on there may be changes for `plan`.
    pub(super) fn begin(&mut self, plan: &Plan) -> Result<(), HostError> {
        self.content.get_or_insert_with(|| Content {
            device: plan.device.clone(),
            table: plan.routing.table,
            nft: false,
            sysctls: Vec::new(),
        });
        self.save()
    }

    pub(super) fn nft(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content.nft)
    }

    pub(super) fn set_nft(&mut self, nft: bool) -> Result<(), HostError> {
        match &mut self.content {
            Some(content) if content.nft != nft => content.nft = nft,
            Some(_) | None => return Ok(()),
        }
        self.save()
    }

    pub(super) fn sysctls(&self) -> &[Changed] {
        self.content.as_ref().map_or(&[], |content| &content.sysctls)
    }

    /// Remembers a sysctl before it is changed; the oldest memory of each counts.
    pub(super) fn remember(&mut self, changed: Changed) -> Result<(), HostError> {
        match &mut self.content {
            Some(content) if content.sysctls.iter().all(|known| known.name != changed.name) => {
                content.sysctls.push(changed);
            }
            Some(_) | None => return Ok(()),
        }
        self.save()
    }

    pub(super) fn forget(&mut self, name: &str) -> Result<(), HostError> {
        if let Some(content) = &mut self.content {
            content.sysctls.retain(|changed| changed.name != name);
        }
        self.save()
    }

    /// Everything is put back.
    pub(super) fn erase(&mut self) -> Result<(), HostError> {
        self.content = None;
        let path = self.dir.join(FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(HostError::Record { path, action: "write", error })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn save(&self) -> Result<(), HostError> {
        let Some(content) = &self.content else { return Ok(()) };
        let text = toml::to_string(content).expect("strings, numbers and tables can be written as TOML");
        let path = self.dir.join(FILE);
        replace(&self.dir, FILE, text.as_bytes()).map_err(|error| HostError::Record {
            path,
            action: "write",
            error,
        })
    }
}

impl Content {
    fn parse(text: &str, path: &Path) -> Option<Self> {
        match toml::from_str::<Self>(text) {
            Ok(content) => Some(content),
            Err(error) => {
                warn!(file = %path.display(), %error, "what an earlier daemon changed on the host is not known");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(dir: &Path) -> Record {
        let content = Content { device: "mesh0".into(), table: 7, nft: false, sysctls: Vec::new() };
        Record { dir: dir.to_owned(), content: Some(content) }
    }

    fn changed(before: &str) -> Changed {
        Changed { name: "net/a".into(), before: before.into(), set: "1".into() }
    }

    #[test]
    fn what_was_before_survives_the_process_and_the_second_change() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = empty(dir.path());
        record.remember(changed("0")).unwrap();
        record.remember(changed("1")).unwrap();
        record.set_nft(true).unwrap();
        let read = Record::load(dir.path()).unwrap();
        assert_eq!((read.content.clone(), read.sysctls()), (record.content.clone(), &[changed("0")][..]));
        record.forget("net/a").unwrap();
        assert_eq!(Record::load(dir.path()).unwrap().sysctls(), []);
        record.erase().unwrap();
        assert_eq!(Record::load(dir.path()).unwrap().content, None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn of_another_network_only_names_count_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = empty(dir.path());
        record.remember(changed("0")).unwrap();
        record.discard_sysctls();
        assert_eq!((record.subject(), record.sysctls()), (Some(("mesh0".to_owned(), 7)), &[][..]));
        record.discard();
        assert_eq!(record.subject(), None);
        assert_eq!(Record::load(dir.path()).unwrap().sysctls(), [changed("0")], "until the next change");
    }

    #[test]
    fn a_damaged_file_counts_as_none_and_one_of_another_version_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        std::fs::write(&file, "table = ").unwrap();
        assert_eq!(Record::load(dir.path()).unwrap().content, None);
        std::fs::write(&file, "boot_id = \"x\"\ndevice = \"mesh0\"\ntable = 7\nnft = true\n").unwrap();
        assert_eq!(Record::load(dir.path()).unwrap().subject(), Some(("mesh0".to_owned(), 7)));
    }
}
