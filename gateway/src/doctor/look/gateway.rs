// SPDX-License-Identifier: AGPL-3.0-or-later
//! Asks the gateway that runs, and the kernel which process that is.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};

use super::in_thread;
use crate::control;
use crate::doctor::judge::gateway::{Answers, Control};

/// What comes of asking at `path` for at most `limit`.
pub(super) async fn ask(path: &Path, limit: Duration) -> Control {
    let asked = path.to_owned();
    // Who hangs is left hanging in its thread.
    match tokio::time::timeout(limit, in_thread(move || ask_now(asked))).await {
        Ok(control) => control,
        Err(_) => Control::Silent(format!("{}: no answer within {} s", path.display(), limit.as_secs())),
    }
}

fn ask_now(path: PathBuf) -> Control {
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Control::Absent(path);
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Control::Denied(path),
        Err(error) => return Control::Silent(format!("{}: {error}", path.display())),
    };
    // Of who listens: unix(7), SO_PEERCRED.
    let who = getsockopt(&stream, sockopt::PeerCredentials).ok();
    drop(stream);
    match control::status(&path) {
        Ok(status) => Control::Answers(Box::new(Answers {
            status,
            links: control::links(&path).ok(),
            pid: who.and_then(|who| u32::try_from(who.pid()).ok()).filter(|pid| *pid > 0),
            uid: who.map_or(0, |who| who.uid()),
        })),
        Err(control::ControlError::Refused { message, .. }) if message.starts_with("permission denied") => {
            Control::Denied(path)
        }
        Err(error) => Control::Silent(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn each_kind_of_silence_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let short = Duration::from_millis(200);
        assert!(matches!(ask(&path, short).await, Control::Absent(_)), "no socket");
        let listener = UnixListener::bind(&path).unwrap();
        let Control::Silent(said) = ask(&path, short).await else { panic!("nobody accepts") };
        assert!(said.contains("no answer"), "{said}");
        drop(listener);
        assert!(matches!(ask(&path, short).await, Control::Absent(_)), "a socket of a gateway that is gone");
    }
}
