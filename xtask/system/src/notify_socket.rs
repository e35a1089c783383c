// SPDX-License-Identifier: AGPL-3.0-or-later
//! What systemd-nspawn tells the service manager that started it (sd_notify(3)): who leads the tree, and that it is up.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use irdest_lab::TimeLimit;

/// Longer than any message: nspawn's own have some hundred bytes.
const MESSAGE_SIZE: usize = 4096;

/// The receiving end.
#[derive(Debug)]
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    /// Makes it at a path of at most 107 bytes (unix(7)).
    pub(crate) fn bind(path: PathBuf) -> Result<Self> {
        let socket = UnixDatagram::bind(&path).with_context(|| format!("making {}", path.display()))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path })
    }

    /// What `$NOTIFY_SOCKET` has to be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the tree has started, and returns the process that leads it, as the machine numbers it.
    ///
    /// # Errors
    /// Where it takes longer than the limit; an error of `is_alive` ends the wait.
    pub(crate) fn wait_until_up(
        &self,
        limit: TimeLimit,
        mut is_alive: impl FnMut() -> Result<()>,
    ) -> Result<u32> {
        let mut leader = None;
        limit.wait_for("the tree to be up", || {
            while let Some(message) = self.receive()? {
                leader = value(&message, "X_NSPAWN_LEADER_PID").and_then(|pid| pid.parse().ok()).or(leader);
                if let Some(leader) = leader.filter(|_| value(&message, "READY") == Some("1")) {
                    return Ok(Some(leader));
                }
            }
            is_alive()?;
            Ok(None)
        })
    }

    fn receive(&self) -> Result<Option<String>> {
        let mut bytes = [0; MESSAGE_SIZE];
        match self.socket.recv(&mut bytes) {
            Ok(length) => Ok(Some(String::from_utf8_lossy(&bytes[..length]).into_owned())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("reading what systemd-nspawn tells"),
        }
    }
}

fn value<'a>(message: &'a str, key: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn bound(name: &str) -> NotifySocket {
        let path = std::env::temp_dir().join(format!("irdest-notices-{name}-{}", std::process::id()));
        NotifySocket::bind(path).unwrap()
    }

    #[test]
    fn a_tree_is_up_when_it_says_so() {
        let socket = bound("up");
        let nspawn = UnixDatagram::unbound().unwrap();
        let limit = TimeLimit::within(Duration::from_secs(5));
        for message in
            ["STATUS=Container running.\nX_NSPAWN_LEADER_PID=4711", "STATUS=soon", "READY=1\nSTATUS=up"]
        {
            nspawn.send_to(message.as_bytes(), socket.path()).unwrap();
        }
        assert_eq!(socket.wait_until_up(limit, || Ok(())).unwrap(), 4711);
        std::fs::remove_file(socket.path()).unwrap();
    }

    #[test]
    fn a_dead_tree_is_not_waited_for() {
        let socket = bound("dead");
        let limit = TimeLimit::within(Duration::from_secs(5));
        let error = socket.wait_until_up(limit, || anyhow::bail!("it ended")).unwrap_err();
        assert_eq!(error.to_string(), "it ended");
        std::fs::remove_file(socket.path()).unwrap();
    }
}
