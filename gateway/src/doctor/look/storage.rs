// SPDX-License-Identifier: AGPL-3.0-or-later
//! The state directory, what is stored in it, and the passphrase.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, Statvfs, statvfs};
use nix::unistd::{AccessFlags, Uid, User as Account, eaccess, geteuid};

use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::WRITTEN;
use crate::doctor::judge::clock::Clocks;
use crate::doctor::judge::storage::{Content, Passphrase, Room, Secrets, StateDir, User};
use crate::identity::{self, PassphraseError};
use crate::state;

/// The user of the unit, and its directory.
const UNIT: (&str, &str) = ("irdest-gateway", "/var/lib/irdest-gateway");
/// The name that the credential's files end with.
const CREDENTIAL: &str = "identity-passphrase";
/// Where systemd looks for a credential whose path the unit does not say (systemd.exec(5)).
const CREDENTIAL_STORES: [&str; 6] = [
    "/etc/credstore",
    "/etc/credstore.encrypted",
    "/run/credstore",
    "/run/credstore.encrypted",
    "/usr/lib/credstore",
    "/usr/lib/credstore.encrypted",
];
/// Files in the state directory that are looked at; the gateway has a handful.
const MOST_FILES: usize = 64;

/// The times that a clock is compared with.
pub(super) fn clocks(config: &Config) -> Clocks {
    let announced = state::latest_origin(&config.state_dir);
    let announced =
        announced.map_err(|error| format!("the times in {}: {error}", config.state_dir.display()));
    Clocks { wall: Clock.now().wall, release: WRITTEN, announced }
}

/// Looks at both; `running` is the user of a gateway that runs.
pub(super) fn look(config: &Config, running: Option<u32>) -> (StateDir, Secrets) {
    let path = config.state_dir.clone();
    let expected = running.map(user).or_else(|| of_unit(&path));
    let content = content(&path, expected.as_ref());
    let system = nearest(&path).and_then(|there| statvfs(&there).ok());
    let lost = lost_identity(&path);
    let state = StateDir {
        read_only: system.is_some_and(|system| system.flags().contains(FsFlags::ST_RDONLY)),
        room: system.as_ref().map(room).ok_or_else(|| format!("{}: may not be looked at", path.display())),
        content,
        expected,
        path,
    };
    (state, Secrets { passphrase: passphrase(config.passphrase_file.as_deref()), lost })
}

fn content(path: &Path, expected: Option<&User>) -> Content {
    let unseen = |error: std::io::Error| Content::Unseen(format!("{}: {error}", path.display()));
    let meta = match fs::metadata(path) {
        Ok(meta) if !meta.is_dir() => return Content::NoDirectory,
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Content::Nothing,
        Err(error) => return unseen(error),
    };
    let owner = user(meta.uid());
    // What root may, the gateway's user need not be able to; what that user may, root asks the mode.
    let own = geteuid().as_raw() == owner.uid;
    let writable = own.then(|| {
        eaccess(path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok() && meta.mode() & 0o300 == 0o300
    });
    let rightful = expected.map_or(owner.uid, |user| user.uid);
    let files = match fs::read_dir(path) {
        Ok(files) => files,
        Err(error) if !own => return unseen(error),
        Err(_) => {
            return Content::Directory {
                owner,
                mode: meta.mode() & 0o7777,
                writable: Some(false),
                foreign: None,
            };
        }
    };
    let foreign = files.flatten().take(MOST_FILES).find_map(|file| {
        // A file system's own folder, such as `lost+found`, is not ours.
        let uid = file.metadata().ok().filter(fs::Metadata::is_file)?.uid();
        (uid != rightful).then(|| (file.path().display().to_string(), user(uid)))
    });
    Content::Directory { owner, mode: meta.mode() & 0o7777, writable, foreign }
}

/// The directory, or the nearest around it that is there.
fn nearest(path: &Path) -> Option<PathBuf> {
    path.ancestors().find(|there| there.exists()).map(Path::to_owned)
}

fn room(system: &Statvfs) -> Room {
    let bytes = system.blocks_available().saturating_mul(system.fragment_size());
    // File systems that make inodes as they need them count none.
    let files = Some(system.files_available()).filter(|_| system.files() > 0);
    Room { bytes, files }
}

fn user(uid: u32) -> User {
    let account = Account::from_uid(Uid::from_raw(uid)).ok().flatten();
    User { uid, name: account.map_or_else(|| uid.to_string(), |account| account.name) }
}

/// The unit's user, where the directory is the unit's and there is such a user.
fn of_unit(path: &Path) -> Option<User> {
    let (name, directory) = UNIT;
    let account = Account::from_name(name).ok().flatten().filter(|_| path == Path::new(directory))?;
    Some(User { uid: account.uid.as_raw(), name: account.name })
}

/// Where there are times of earlier runs, there was an identity.
fn lost_identity(dir: &Path) -> Option<PathBuf> {
    let identity = dir.join(identity::FILE);
    let is_gone = |path: &Path| fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    (dir.join(state::TIMES_FILE).exists() && is_gone(&identity)).then_some(identity)
}

fn passphrase(file: Option<&Path>) -> Passphrase {
    match identity::Passphrase::find(file) {
        Ok(_) => Passphrase::Found,
        Err(PassphraseError::Missing) => in_store(),
        Err(PassphraseError::Io { path, error })
            if error.kind() == ErrorKind::PermissionDenied && !geteuid().is_root() =>
        {
            Passphrase::Unseen(format!("{}: only root may read it", path.display()))
        }
        Err(error) => Passphrase::Unfit(error.to_string()),
    }
}

/// A credential where systemd finds it for the unit; whether it opens the identity only a start can tell.
fn in_store() -> Passphrase {
    let mut closed = None;
    for store in CREDENTIAL_STORES {
        match fs::read_dir(store) {
            Ok(files) => {
                if files.flatten().any(|file| is_credential(&file.file_name())) {
                    return Passphrase::Found;
                }
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => closed = Some(store),
            Err(_) => {}
        }
    }
    closed.map_or(Passphrase::Nowhere, |store| Passphrase::Unseen(format!("only root may look into {store}")))
}

fn is_credential(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.strip_suffix(".plain").unwrap_or(name).ends_with(CREDENTIAL))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config(dir: &Path) -> Config {
        Config::from_text("test", &format!("state_dir = {:?}", dir.join("state"))).unwrap()
    }

    #[test]
    fn a_directory_is_looked_at_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let (state, _) = look(&config, None);
        assert!(
            matches!(state.content, Content::Nothing) && state.room.is_ok() && !state.read_only,
            "{state:?}"
        );
        fs::write(&config.state_dir, "").unwrap();
        assert!(matches!(look(&config, None).0.content, Content::NoDirectory));
        fs::remove_file(&config.state_dir).unwrap();
        fs::create_dir(&config.state_dir).unwrap();
        for (mode, expected) in [(0o700, true), (0o500, false)] {
            fs::set_permissions(&config.state_dir, fs::Permissions::from_mode(mode)).unwrap();
            let Content::Directory { mode: found, writable, foreign, .. } = look(&config, None).0.content
            else {
                panic!("it is one")
            };
            assert_eq!((found, writable, foreign), (mode, Some(expected), None));
        }
    }

    #[test]
    fn files_of_others_and_a_lost_identity_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        fs::create_dir(&config.state_dir).unwrap();
        fs::write(config.state_dir.join("times.toml"), "").unwrap();
        let (state, secrets) = look(&config, Some(geteuid().as_raw() + 1));
        let Content::Directory { foreign: Some((file, _)), .. } = state.content else { panic!("{state:?}") };
        assert!(file.ends_with("/times.toml"), "{file}");
        assert_eq!(secrets.lost, Some(config.state_dir.join("identity")));
        fs::write(config.state_dir.join("identity"), "").unwrap();
        assert_eq!(look(&config, None).1.lost, None);
    }

    #[test]
    fn credentials_are_known_by_their_end() {
        for (name, expected) in [
            ("identity-passphrase", true),
            ("irdest-gateway.identity-passphrase", true),
            ("irdest-gateway.identity-passphrase.plain", true),
            ("irdest-gateway.identity-passphrase.new", false),
            ("other", false),
        ] {
            assert_eq!(is_credential(name.as_ref()), expected, "{name}");
        }
    }
}
