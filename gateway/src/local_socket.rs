// SPDX-License-Identifier: AGPL-3.0-or-later
//! A unix socket that programs of this host connect to: bound to a path, with the rights that its file shall have, and removed in the
//! end. Who is at its other end the kernel says (SO_PEERCRED); what they may is decided elsewhere.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// The mode of a directory that is made for a socket: everybody reaches what is in it, whose own mode says who may connect.
const DIRECTORY_MODE: u32 = 0o755;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Another program answers there.
    #[error(
        "{path}: another program, such as a second irdest-gateway, answers on this socket; stop it, or set another {key}"
    )]
    InUse {
        /// The socket.
        path: PathBuf,
        /// The key of the configuration that names it.
        key: &'static str,
    },
    /// Something else is in the way.
    #[error("{0}: expected a socket or nothing, found another kind of file")]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("{path}: cannot {action}: {error}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system answered.
        error: io::Error,
    },
}

impl SocketError {
    fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), action, error }
    }
}

/// A bound socket; its file goes when this is dropped.
#[derive(Debug)]
pub(crate) struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    gid: u32,
}

impl LocalSocket {
    /// Binds `path`, which `key` of the configuration names, and gives its file this mode; makes its directory where it is missing.
    ///
    /// A socket left there by a daemon that is gone is replaced; one on which somebody answers is an error.
    /// Must be called within a tokio runtime.
    pub(crate) fn bind(path: &Path, mode: u32, key: &'static str) -> Result<Self, SocketError> {
        let failed = |action| SocketError::io(path, action);
        make_directory(path).map_err(failed("make the socket's directory"))?;
        remove_stale(path, key)?;
        let listener = UnixListener::bind(path).map_err(failed("bind the socket"))?;
        let meta = fs::symlink_metadata(path).map_err(failed("look at the socket"))?;
        // From here on its file goes whatever fails.
        let socket = Self { listener, path: path.to_owned(), inode: meta.ino(), gid: meta.gid() };
        // Who connects between these calls is asked for its credentials like anybody else.
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("set the socket's mode"))?;
        Ok(socket)
    }

    /// The group that its file belongs to.
    pub(crate) const fn gid(&self) -> u32 {
        self.gid
    }

    /// The next who connects. Cancel safe.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // Only our own: another daemon may have bound the path since somebody removed ours.
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode) {
            let _gone_already = fs::remove_file(&self.path);
        }
    }
}

/// With a mode that the daemon's umask has no say in; a directory that is there stays as it is.
fn make_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.exists() => {
            DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(parent)?;
            fs::set_permissions(parent, Permissions::from_mode(DIRECTORY_MODE))
        }
        Some(_) | None => Ok(()),
    }
}

fn remove_stale(path: &Path, key: &'static str) -> Result<(), SocketError> {
    let failed = |action| SocketError::io(path, action);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at the socket")(error)),
        Ok(meta) if !meta.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("remove the stale socket"))
        }
        Err(error) => Err(failed("find out whether somebody answers on the socket")(error)),
        Ok(_) => Err(SocketError::InUse { path: path.to_owned(), key }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "some.key";

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_file_has_its_mode_and_goes_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/here.sock");
        for expected in [0o666, 0o660] {
            let socket = LocalSocket::bind(&path, expected, KEY).unwrap();
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (expected, 0o755));
            assert_eq!(socket.gid(), fs::metadata(&path).unwrap().gid());
            drop(socket);
            assert!(!path.exists());
        }
        fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
        let _socket = LocalSocket::bind(&path, 0o666, KEY).unwrap();
        assert_eq!(mode(path.parent().unwrap()), 0o700, "a directory that was there is not ours");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("here.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as a killed daemon leaves it");
        let socket = LocalSocket::bind(&path, 0o666, KEY).unwrap();
        let in_use = LocalSocket::bind(&path, 0o666, KEY).unwrap_err();
        assert!(matches!(in_use, SocketError::InUse { .. }), "{in_use}");
        assert!(in_use.to_string().ends_with("set another some.key"), "{in_use}");
        assert!(path.exists(), "that of the first");
        drop(socket);
        fs::write(&path, "a file").unwrap();
        let refused = LocalSocket::bind(&path, 0o666, KEY).unwrap_err();
        assert!(matches!(refused, SocketError::NotASocket(_)), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"a file");
    }

    #[tokio::test]
    async fn the_socket_of_another_is_left_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("here.sock");
        let ours = LocalSocket::bind(&path, 0o666, KEY).unwrap();
        fs::remove_file(&path).unwrap();
        let _theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let theirs = fs::metadata(&path).unwrap().ino();
        assert_ne!(theirs, ours.inode, "as long as ours is bound");
        drop(ours);
        assert_eq!(fs::metadata(&path).unwrap().ino(), theirs);
    }
}
