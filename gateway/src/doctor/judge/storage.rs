// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether the state directory can be used, has room, and holds an identity that somebody has the passphrase of.

use std::path::PathBuf;

use super::Seen;
use super::gateway::Control;
use crate::doctor::report::{Check, Report};

/// Below this nothing can be stored for long: a file of times may have 1 MiB.
const LEAST_ROOM: u64 = 1 << 20;
/// Below this somebody should look.
const LITTLE_ROOM: u64 = 16 << 20;
/// Every change is written to a new file first.
const LEAST_FILES: u64 = 16;

/// The state directory.
#[derive(Debug)]
pub(in crate::doctor) struct StateDir {
    pub(in crate::doctor) path: PathBuf,
    pub(in crate::doctor) content: Content,
    /// Whether its file system is mounted read-only.
    pub(in crate::doctor) read_only: bool,
    /// What is free there.
    pub(in crate::doctor) room: Seen<Room>,
    /// Whose it should be: the user of the gateway that runs, or of its unit; nothing where that is not known.
    pub(in crate::doctor) expected: Option<User>,
}

/// What there is.
#[derive(Clone, Debug)]
pub(in crate::doctor) enum Content {
    /// Nothing yet: the first start makes it.
    Nothing,
    /// Something else than a directory.
    NoDirectory,
    /// A directory.
    Directory {
        owner: User,
        /// Its permission bits.
        mode: u32,
        /// Whether this process may write in it; nothing where that says nothing of a gateway.
        writable: Option<bool>,
        /// A file in it of somebody else.
        foreign: Option<(String, User)>,
    },
    /// It may not be looked at.
    Unseen(String),
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct User {
    pub(in crate::doctor) uid: u32,
    /// Its name, or its number where it has none.
    pub(in crate::doctor) name: String,
}

/// What is free.
#[derive(Clone, Copy, Debug)]
pub(in crate::doctor) struct Room {
    pub(in crate::doctor) bytes: u64,
    /// Nothing where there is no limit.
    pub(in crate::doctor) files: Option<u64>,
}

/// The identity and what opens it.
#[derive(Debug)]
pub(in crate::doctor) struct Secrets {
    pub(in crate::doctor) passphrase: Passphrase,
    /// The file of the identity, where the state directory tells of earlier runs and it is not there.
    pub(in crate::doctor) lost: Option<PathBuf>,
}

/// The passphrase.
#[derive(Clone, Debug)]
pub(in crate::doctor) enum Passphrase {
    /// It is there.
    Found,
    /// Neither a file is configured nor a credential found where systemd looks for it.
    Nowhere,
    /// The configured file cannot be used.
    Unfit(String),
    /// It cannot be seen from here.
    Unseen(String),
}

pub(super) fn judge(state: &StateDir, report: &mut Report) {
    judge_directory(state, report);
    let path = state.path.display();
    match &state.room {
        Err(reason) => report.unseen(Check::Disk, reason.clone()),
        Ok(Room { files: Some(files), .. }) if *files < LEAST_FILES => report.error(
            Check::Disk,
            format!("{path}: no room for more files ({files} inodes are free)"),
            format!("remove files there: `df -i {path}` shows the file system"),
        ),
        Ok(Room { bytes, .. }) if *bytes < LITTLE_ROOM => {
            let found = format!("{path}: {} KiB are free", bytes / 1024);
            let advice = format!("make room: `df -h {path}` shows the file system");
            if *bytes < LEAST_ROOM {
                report.error(Check::Disk, found, advice);
            } else {
                report.warning(Check::Disk, found, advice);
            }
        }
        Ok(_) => {}
    }
}

fn judge_directory(state: &StateDir, report: &mut Report) {
    let path = state.path.display();
    if state.read_only {
        return report.error(
            Check::StateDirectory,
            format!("{path} is on a file system that is mounted read-only"),
            format!("`mount -o remount,rw \"$(findmnt -nT {path} -o TARGET)\"`, or set another state_dir"),
        );
    }
    let id = Check::StateDirectory;
    match &state.content {
        Content::Nothing => {}
        Content::NoDirectory => {
            report.error(
                id,
                format!("{path} is no directory"),
                format!("remove it: the start makes {path} anew"),
            );
        }
        Content::Unseen(reason) => report.unseen(id, reason.clone()),
        Content::Directory { owner, mode, writable, foreign } => {
            let stranger = Some((path.to_string(), owner.clone()));
            let expected = state.expected.as_ref().unwrap_or(owner);
            let wrong = stranger.filter(|(_, owner)| owner.uid != expected.uid);
            if let Some((file, user)) = wrong.or_else(|| foreign.clone()) {
                report.error(
                    id,
                    format!("{file} belongs to {}, and the gateway is {}", user.name, expected.name),
                    format!("`chown -R {}: {path}`", expected.name),
                );
            } else if *writable == Some(false) {
                let advice = format!("`chown -R {}: {path} && chmod 0700 {path}`", expected.name);
                report.error(id, format!("{path} cannot be written (mode {mode:04o})"), advice);
            } else if mode & 0o077 != 0 {
                let found = format!("{path} is open to others (mode {mode:04o})");
                report.warning(id, found, format!("`chmod 0700 {path}`"));
            }
        }
    }
}

pub(super) fn judge_secrets(secrets: &Secrets, control: &Control, report: &mut Report) {
    match &secrets.passphrase {
        Passphrase::Found => {}
        Passphrase::Nowhere if control.is_absent() => report.warning(
            Check::Identity,
            "no passphrase for the identity: identity.passphrase_file is not set, and systemd has no credential of that name",
            "`systemd-ask-password -n | systemd-creds encrypt --name=identity-passphrase - \
             /etc/credstore.encrypted/irdest-gateway.identity-passphrase`, or set identity.passphrase_file",
        ),
        // It had one when it started.
        Passphrase::Nowhere => {}
        Passphrase::Unfit(reason) => report.error(
            Check::Identity,
            reason.clone(),
            "put the passphrase there, in a file that others cannot read (`chmod 0600`): the next start needs it",
        ),
        Passphrase::Unseen(reason) => report.unseen(Check::Identity, reason.clone()),
    }
    if let Some(path) = &secrets.lost {
        report.warning(
            Check::Identity,
            format!("{} is gone: the next start makes a new one, under another address", path.display()),
            "bring it back from a backup, or tell all remotes the new address (`irdest-gateway identity`)",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Severity::{self, Error, Warning};
    use crate::doctor::tests::{answers, found};

    fn user(uid: u32) -> User {
        User { uid, name: format!("user{uid}") }
    }

    fn directory() -> Content {
        Content::Directory { owner: user(7), mode: 0o700, writable: Some(true), foreign: None }
    }

    fn state(content: Content) -> StateDir {
        let room = Ok(Room { bytes: 1 << 30, files: Some(1_000) });
        StateDir { path: "/s".into(), content, read_only: false, room, expected: Some(user(7)) }
    }

    fn said(state: &StateDir) -> Vec<(Check, Severity, String)> {
        let report = found(|report| judge(state, report));
        let all = report.findings.into_iter();
        all.map(|finding| {
            (finding.id, finding.severity, format!("{} {}", finding.found, finding.advice.unwrap()))
        })
        .collect()
    }

    #[test]
    fn whose_the_directory_is_and_who_may_write() {
        let with = |owner, mode, writable, foreign: Option<u32>| Content::Directory {
            owner: user(owner),
            mode,
            writable,
            foreign: foreign.map(|uid| ("/s/lock".to_owned(), user(uid))),
        };
        for (content, expected) in [
            (Content::Nothing, None),
            (directory(), None),
            (with(7, 0o700, None, None), None),
            (Content::NoDirectory, Some((Error, "/s is no directory"))),
            (
                with(0, 0o700, Some(true), None),
                Some((Error, "/s belongs to user0, and the gateway is user7")),
            ),
            (with(7, 0o700, Some(true), Some(0)), Some((Error, "/s/lock belongs to user0"))),
            (with(7, 0o500, Some(false), None), Some((Error, "cannot be written (mode 0500)"))),
            (with(7, 0o755, Some(true), None), Some((Warning, "chmod 0700 /s"))),
        ] {
            let said = said(&state(content.clone()));
            match (&said[..], expected) {
                ([], None) => {}
                ([(Check::StateDirectory, severity, text)], Some((worst, words)))
                    if *severity == worst && text.contains(words) => {}
                _ => panic!("{content:?}: {said:?}, expected {expected:?}"),
            }
        }
        let read_only = StateDir { read_only: true, ..state(directory()) };
        assert!(said(&read_only)[0].2.contains("mounted read-only"));
        let nobody_knows = StateDir { expected: None, ..state(with(0, 0o700, Some(true), None)) };
        assert!(said(&nobody_knows).is_empty());
    }

    #[test]
    fn room_is_told_before_there_is_none() {
        for (bytes, files, expected) in [
            (LITTLE_ROOM, None, None),
            (LITTLE_ROOM - 1, None, Some((Warning, "16383 KiB are free"))),
            (LEAST_ROOM - 1, None, Some((Error, "1023 KiB are free"))),
            (LITTLE_ROOM, Some(LEAST_FILES), None),
            (LITTLE_ROOM, Some(LEAST_FILES - 1), Some((Error, "df -i /s"))),
        ] {
            let said = said(&StateDir { room: Ok(Room { bytes, files }), ..state(directory()) });
            match (&said[..], expected) {
                ([], None) => {}
                ([(Check::Disk, severity, text)], Some((worst, words)))
                    if *severity == worst && text.contains(words) => {}
                _ => panic!("{bytes} {files:?}: {said:?}"),
            }
        }
    }

    #[test]
    fn a_passphrase_is_needed_for_the_next_start() {
        let absent = || Control::Absent("/x".into());
        let running = || Control::Answers(answers().into());
        for (passphrase, control, expected) in [
            (Passphrase::Found, absent(), None),
            (Passphrase::Nowhere, absent(), Some(Warning)),
            (Passphrase::Nowhere, running(), None),
            (Passphrase::Unfit("gone".into()), running(), Some(Error)),
            (Passphrase::Unseen("closed".into()), absent(), None),
        ] {
            let secrets = Secrets { passphrase, lost: None };
            let report = found(|report| judge_secrets(&secrets, &control, report));
            assert_eq!(report.findings.first().map(|finding| finding.severity), expected, "{secrets:?}");
        }
        let lost = Secrets { passphrase: Passphrase::Found, lost: Some("/s/identity".into()) };
        let report = found(|report| judge_secrets(&lost, &absent(), report));
        assert!(report.findings[0].found.starts_with("/s/identity is gone"));
    }
}
