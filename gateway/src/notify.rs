// SPDX-License-Identifier: AGPL-3.0-or-later
//! Tells the service manager how far the daemon is (sd_notify(3)); silent where none asks for it by `$NOTIFY_SOCKET`.

use sd_notify::NotifyState;
use tracing::warn;

/// The longest warning in the status line, in characters: what a terminal shows in two or three lines.
const LONGEST_WARNING: usize = 240;

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

/// The daemon goes on: feeds the watchdog of the service manager.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// The end has begun.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The line that `systemctl status` shows.
#[derive(Debug, Default)]
pub struct StatusLine {
    told: Option<(usize, usize, Option<String>)>,
}

impl StatusLine {
    /// Shows how many links are up and how many sessions are open, and what the operator should look at, where that changed.
    pub fn show(&mut self, links: usize, sessions: usize, warning: Option<String>) {
        let now = Some((links, sessions, warning));
        if self.told != now {
            self.told = now;
            notify(&[NotifyState::Status(&self.line())]);
        }
    }

    fn line(&self) -> String {
        let Some((links, sessions, warning)) = &self.told else { return String::new() };
        let mut line = format!("links: {links}, sessions: {sessions}");
        if let Some(warning) = warning {
            line.push_str("; ");
            // A line feed would end the status, and begin something else of the service manager's.
            let one_line = warning.chars().map(|c| if c.is_control() { ' ' } else { c });
            line.extend(one_line.take(LONGEST_WARNING));
        }
        line
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager was not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_stays_one_line_of_bounded_length() {
        let mut line = StatusLine::default();
        line.show(2, 1, None);
        assert_eq!(line.line(), "links: 2, sessions: 1");
        line.show(2, 1, Some("reload refused: a\nWATCHDOG=trigger".to_owned()));
        assert_eq!(line.line(), "links: 2, sessions: 1; reload refused: a WATCHDOG=trigger");
        line.show(0, 0, Some("ü".repeat(1_000)));
        assert_eq!(line.line().chars().count(), "links: 0, sessions: 0; ".len() + LONGEST_WARNING);
    }
}
