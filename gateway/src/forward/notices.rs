// SPDX-License-Identifier: AGPL-3.0-or-later
//! The way from the data path to the control plane: two queues, so that links and what neighbours say to each other do not
//! wait behind a flood of announcements (source: wire page, fairness on a relay).

use netmod_api::{DownReason, LinkUp};
use ratman_types::Hop;
use ratman_wire::ModeClass;
use ratman_wire::carrier::peek_mode;
use tokio::sync::mpsc;

use super::ControlFrame;

/// Urgent notices handled in a row while others wait: a neighbour that floods echoes must not stop announcements.
const URGENT_IN_A_ROW: u32 = 32;

/// What the netmods tell the control plane.
#[derive(Debug)]
pub enum Notice {
    /// A frame that the router or the session handshakes handle.
    Frame(ControlFrame),
    /// A link came up.
    LinkUp(LinkUp),
    /// A link is gone.
    LinkDown(Hop, DownReason),
}

impl Notice {
    /// Links come and go before their frames are looked at; echoes measure us if they wait.
    fn is_urgent(&self) -> bool {
        match self {
            Self::LinkUp(_) | Self::LinkDown(..) => true,
            Self::Frame(frame) => {
                peek_mode(&frame.bytes).is_some_and(|mode| mode.class() == ModeClass::OneHop)
            }
        }
    }
}

/// Where the data path puts notices.
#[derive(Clone, Debug)]
pub struct NoticeSender {
    urgent: mpsc::UnboundedSender<Notice>,
    other: mpsc::UnboundedSender<Notice>,
}

impl NoticeSender {
    /// Never waits. What waits is bounded by each link's share for frames, and by the netmods' limit for links.
    pub(super) fn send(&self, notice: Notice) {
        let queue = if notice.is_urgent() { &self.urgent } else { &self.other };
        // Fails only while the daemon ends, when nobody reads any more.
        let _ = queue.send(notice);
    }
}

/// Where the control plane takes them from.
#[derive(Debug)]
pub struct Notices {
    urgent: mpsc::UnboundedReceiver<Notice>,
    other: mpsc::UnboundedReceiver<Notice>,
    in_a_row: u32,
}

/// Both ends.
pub fn notices() -> (NoticeSender, Notices) {
    let (urgent_in, urgent) = mpsc::unbounded_channel();
    let (other_in, other) = mpsc::unbounded_channel();
    (NoticeSender { urgent: urgent_in, other: other_in }, Notices { urgent, other, in_a_row: 0 })
}

impl Notices {
    /// The next notice, urgent ones first. Cancel safe.
    pub async fn next(&mut self) -> Option<Notice> {
        if let Some(notice) = self.waiting() {
            return Some(notice);
        }
        tokio::select! {
            notice = self.urgent.recv() => notice,
            notice = self.other.recv() => notice,
        }
    }

    /// The next notice if one is there.
    pub fn waiting(&mut self) -> Option<Notice> {
        if self.in_a_row < URGENT_IN_A_ROW
            && let Ok(notice) = self.urgent.try_recv()
        {
            self.in_a_row += 1;
            return Some(notice);
        }
        self.in_a_row = 0;
        self.other.try_recv().or_else(|_| self.urgent.try_recv()).ok()
    }
}
