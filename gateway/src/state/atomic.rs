// SPDX-License-Identifier: AGPL-3.0-or-later
//! Replacing a file so that a reader, and a start after power loss, finds the old content or the new one whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use nix::unistd::geteuid;

/// Writes `bytes` to `dir/name` with mode 0600 for the owner of `dir`: beside it, synced, renamed over it, directory synced.
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    // What is left of a write that was cut short may have any content; its mode is not trusted either.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    hand_over(&file, dir)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// What root makes in `dir` (by `irdest-gateway cleanup`, or `identity`) belongs to its owner: the daemon's own user could not
/// read it otherwise.
pub(super) fn hand_over(file: &File, dir: &Path) -> io::Result<()> {
    let owner = std::fs::metadata(dir)?;
    if !geteuid().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn content_is_replaced_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.new"), "cut sh").unwrap();
        replace(dir.path(), "a", b"one").unwrap();
        replace(dir.path(), "a", b"two").unwrap();
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"two");
        let mode = std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_root_writes_belongs_to_the_owner_of_the_directory() {
        if !geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(dir.path(), Some(1), Some(2)).unwrap();
        replace(dir.path(), "a", b"one").unwrap();
        let file = std::fs::metadata(dir.path().join("a")).unwrap();
        assert_eq!((file.uid(), file.gid()), (1, 2));
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "a", b"old").unwrap();
        std::fs::create_dir(dir.path().join("a.new")).unwrap();
        assert!(replace(dir.path(), "a", b"new").is_err());
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"old");
    }
}
