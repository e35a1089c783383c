// SPDX-License-Identifier: AGPL-3.0-or-later
//! Files with secrets: only their owner can read them, and each is there whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::{Failure, Result};

/// Everything that we keep is shorter; who names a disk image by mistake hears so.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a file that only its owner can read; nothing where there is none.
///
/// # Errors
/// Others may read it, it is too long, or the system's.
pub fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let failed = |error: io::Error| Failure::file(path, &error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_file() && mode & 0o077 != 0 {
        let path = path.display();
        return Err(Failure::failed(format!(
            "{path}: others may use it (mode {mode:04o}): chmod 600 {path}"
        )));
    }
    // Room for all of it at once, so that no copy is left behind by a longer buffer.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_BYTES + 1).unwrap_or_default()));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(Failure::failed(format!("{}: longer than {MAX_BYTES} bytes", path.display())));
    }
    Ok(Some(bytes))
}

/// Writes a file that only its owner can read, durably, with the folders on its way. What is there stays, unless it is to be replaced.
///
/// # Errors
/// The file is there, or the system's.
pub fn write(path: &Path, content: &[u8], replace: bool) -> Result<()> {
    let written = write_to(path, content, replace);
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Failure::failed(format!("{} is there already, and stays as it is", path.display()));
        }
        Failure::file(path, &error)
    })
}

fn write_to(path: &Path, content: &[u8], replace: bool) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    if replace {
        file.persist(path)?
    } else {
        file.persist_noclobber(path)?
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_replaced_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/file");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, b"one", false).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let error = write(&path, b"two", false).unwrap_err();
        assert!(error.message.ends_with("is there already, and stays as it is"), "{error}");
        assert_eq!(**read(&path).unwrap().unwrap(), *b"one");
        write(&path, b"two", true).unwrap();
        assert_eq!(**read(&path).unwrap().unwrap(), *b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing half is left");
    }

    #[test]
    fn what_others_may_read_or_is_too_long_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, &vec![0; 64 * 1024], false).unwrap();
        assert!(read(&path).is_ok());
        write(&path, &vec![0; 64 * 1024 + 1], true).unwrap();
        assert!(read(&path).unwrap_err().message.contains("longer than 65536 bytes"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.message.contains("mode 0640") && error.message.contains("chmod 600"), "{error}");
    }
}
