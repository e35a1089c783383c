// SPDX-License-Identifier: AGPL-3.0-or-later
//! Replacing a file so that a reader, and a start after power loss, finds the old content or the new one whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::geteuid;

/// What file systems allot at least at once, and [`exchange`] fills up to.
const BLOCK: usize = 4096;

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
pub(crate) fn hand_over(file: &File, dir: &Path) -> io::Result<()> {
    let owner = std::fs::metadata(dir)?;
    if !geteuid().is_root() || file.metadata()?.uid() == owner.uid() {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

/// As [`replace`] for a text that is written again and again, and is to be also where the disk has become full: two files, of
/// which one holds the content while the other is written over and then changes names with it. Once both are there, no room
/// has to be found as long as the text does not grow by a block, but on a file system that never writes in place.
/// The content is filled up with line feeds.
pub(crate) fn exchange(dir: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    let (path, other) = (dir.join(name), dir.join(format!("{name}.new")));
    let mut blocks = text.to_vec();
    blocks.resize(text.len().next_multiple_of(BLOCK), b'\n');
    // It may hold anything that a write left which was cut short: all of it is written over before it gets its name.
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&other)?;
    hand_over(&file, dir)?;
    file.write_all_at(&blocks, 0)?;
    file.set_len(u64::try_from(blocks.len()).expect("no more than memory holds"))?;
    file.sync_all()?;
    match renameat2(AT_FDCWD, &other, AT_FDCWD, &path, RenameFlags::RENAME_EXCHANGE) {
        Ok(()) => {}
        // The first of the two; the other one follows at once, while there is room.
        Err(Errno::ENOENT) => {
            std::fs::rename(&other, &path)?;
            File::open(dir)?.sync_all()?;
            if let Err(error) = exchange(dir, name, text) {
                tracing::debug!(path = %path.display(), %error, "no room for the file that it changes places with");
            }
            return Ok(());
        }
        // The file system cannot: then the other one is made anew each time.
        Err(Errno::EINVAL | Errno::ENOSYS) => std::fs::rename(&other, &path)?,
        Err(errno) => return Err(errno.into()),
    }
    File::open(dir)?.sync_all()
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

    #[test]
    fn two_files_take_turns_and_need_no_more_room() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let number = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().ino();
        exchange(dir.path(), "a", b"one").unwrap();
        assert_eq!((read("a").trim_end(), read("a.new").trim_end()), ("one", "one"));
        exchange(dir.path(), "a", b"number two").unwrap();
        let (first, second) = (number("a.new"), number("a"));
        assert_eq!((read("a").trim_end(), read("a.new").trim_end()), ("number two", "one"));
        exchange(dir.path(), "a", b"3").unwrap();
        assert_eq!((number("a"), number("a.new")), (first, second), "no file was made");
        assert_eq!((read("a").trim_end(), read("a").len()), ("3", BLOCK));
        assert_eq!(std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o600);
        // What was longer leaves nothing behind.
        exchange(dir.path(), "a", &[b'x'; BLOCK + 1]).unwrap();
        exchange(dir.path(), "a", b"4").unwrap();
        exchange(dir.path(), "a", b"5").unwrap();
        assert_eq!((read("a").trim_end(), read("a").len()), ("5", BLOCK));
    }

    #[test]
    fn a_failed_exchange_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        exchange(dir.path(), "a", b"old").unwrap();
        std::fs::remove_file(dir.path().join("a.new")).unwrap();
        std::fs::create_dir(dir.path().join("a.new")).unwrap();
        assert!(exchange(dir.path(), "a", b"new").is_err());
        assert_eq!(std::fs::read_to_string(dir.path().join("a")).unwrap().trim_end(), "old");
    }
}
