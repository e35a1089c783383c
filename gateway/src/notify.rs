// SPDX-License-Identifier: AGPL-3.0-or-later
//! Tells the service manager how far the daemon is (sd_notify(3)); silent where none asks for it by `$NOTIFY_SOCKET`.

use sd_notify::NotifyState;
use tracing::warn;

/// Everything that was configured works.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The configuration is being read again; [`ready`] ends that, whatever came of it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "the service manager was not told of the reload"),
    }
}

/// The end has begun.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The line that `systemctl status` shows.
#[derive(Debug, Default)]
pub struct StatusLine {
    told: Option<(usize, usize)>,
}

impl StatusLine {
    /// Shows how many links are up and how many sessions are open, where that changed.
    pub fn show(&mut self, links: usize, sessions: usize) {
        if self.told.replace((links, sessions)) != Some((links, sessions)) {
            notify(&[NotifyState::Status(&format!("links: {links}, sessions: {sessions}"))]);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager was not told");
    }
}
