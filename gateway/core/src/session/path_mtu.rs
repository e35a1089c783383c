// SPDX-License-Identifier: AGPL-3.0-or-later
//! What we believe of path reports (source: wire page, gateway sessions; why there is no other probe than the traffic
//! itself: `decisions/path-mtu.md`).

use core::time::Duration;

use ratman_types::{Address, Mtu, Timestamp};
use ratman_wire::session::{PathReason, PathReport};

use super::{SessionDrop, SessionEvent, Sessions};

/// No report lowers a path's MTU below this, in bytes (source: wire page).
pub const MIN_PATH_MTU: Mtu = Mtu(576);
/// A lowered MTU is believed for this long; then larger frames show whether the path carries them again.
const BELIEVED: Duration = Duration::from_secs(600);
/// At most one hint about a remote in this time reaches the driver, however often it is reported.
const HINT_INTERVAL: Duration = Duration::from_secs(1);

/// What was reported of the way to one remote.
#[derive(Debug, Default)]
pub(super) struct PathMtu {
    /// The lowest MTU that was reported, and when.
    lowest: Option<(Mtu, Timestamp)>,
    hinted: Option<Timestamp>,
}

impl PathMtu {
    /// The MTU that is believed now.
    pub(super) fn believed(&self) -> Option<Mtu> {
        self.lowest.map(|(mtu, _)| mtu)
    }

    /// A frame of `sent` bytes was too big for a hop that carries `reported`; true if that is news.
    fn lower(&mut self, reported: Mtu, sent: Mtu, now: Timestamp) -> Result<bool, SessionDrop> {
        if sent <= reported {
            return Err(SessionDrop::ReportWrong);
        }
        let mtu = reported.max(MIN_PATH_MTU);
        let news = self.believed().is_none_or(|believed| mtu < believed);
        if news {
            self.lowest = Some((mtu, now));
        }
        Ok(news)
    }

    /// Whether a hint may go to the driver.
    fn hint(&mut self, now: Timestamp) -> bool {
        let due = self.hinted.is_none_or(|hinted| now.since(hinted) >= HINT_INTERVAL);
        if due {
            self.hinted = Some(now);
        }
        due
    }

    /// Forgets what was believed long enough; true if there was something.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        self.lowest.take_if(|(_, since)| now.since(*since) >= BELIEVED).is_some()
    }
}

impl Sessions {
    /// A report about a data frame to `remote`, if it is one that we sent.
    pub(super) fn handle_path_report(
        &mut self,
        remote: Address,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<(), SessionDrop> {
        let report = PathReport::decode(payload).map_err(|_| SessionDrop::MalformedFrame)?;
        let state = self.remotes.get_mut(&remote).ok_or(SessionDrop::ReportNotOurs)?;
        let key = state.ring.send_key(report.header.receiver).ok_or(SessionDrop::ReportNotOurs)?;
        let sent = key.quoted(&report.header, &report.tag, now)?;
        match report.reason {
            PathReason::TooBig { mtu } => {
                if state.path.lower(mtu, sent, now)? {
                    self.table_changed();
                }
            }
            PathReason::NoRoute | PathReason::HopLimit => {
                if state.path.hint(now) {
                    self.event(SessionEvent::NoWay { remote });
                }
            }
        }
        Ok(())
    }
}
