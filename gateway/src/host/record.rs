// SPDX-License-Identifier: AGPL-3.0-or-later
//! What was changed on the host, written down before each change, so that it can be put back after a daemon was killed.
//!
//! Routes and rules need no record but the number of their table: they bear our protocol number. After a reboot nothing of
//! it is true any more, which the boot id tells.

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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    boot_id: String,
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
    /// Reads the record in `dir`; one of an earlier boot, or one that cannot be understood, counts as none.
    pub(super) fn load(dir: &Path) -> Result<Self, HostError> {
        let mut record = Self::load_of_any_boot(dir)?;
        record.content = record.content.filter(Content::is_of_this_boot);
        Ok(record)
    }

    /// Reads the record in `dir`, without the sysctls if it is one of another boot: routes, rules and tables with our names are
    /// ours in any. A daemon in a container that has a `/proc` of its own sees another boot id there than its operator.
    pub(super) fn load_of_any_boot(dir: &Path) -> Result<Self, HostError> {
        let path = dir.join(FILE);
        let mut content = match std::fs::read_to_string(&path) {
            Ok(text) => Content::parse(&text, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(HostError::Record { path, action: "read", error }),
        };
        if let Some(content) = content.as_mut().filter(|content| !content.is_of_this_boot()) {
            content.sysctls.clear();
        }
        Ok(Self { dir: dir.to_owned(), content })
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
            boot_id: boot_id(),
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

    fn is_of_this_boot(&self) -> bool {
        self.boot_id == boot_id()
    }
}

/// Empty where `/proc` does not show it; then a record counts for longer than it should, and does no harm: a sysctl is put
/// back only where it still is as we set it.
fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty(dir: &Path) -> Record {
        let content =
            Content { boot_id: boot_id(), device: "mesh0".into(), table: 7, nft: false, sysctls: Vec::new() };
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
    fn another_boot_or_a_damaged_file_count_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = empty(dir.path());
        record.content.as_mut().unwrap().boot_id = "another".into();
        record.remember(changed("0")).unwrap();
        assert_eq!(Record::load(dir.path()).unwrap().content, None);
        let any = Record::load_of_any_boot(dir.path()).unwrap();
        assert_eq!((any.subject(), any.sysctls()), (Some(("mesh0".to_owned(), 7)), &[][..]));
        std::fs::write(dir.path().join(FILE), "table = ").unwrap();
        assert_eq!(Record::load(dir.path()).unwrap().content, None);
    }
}
