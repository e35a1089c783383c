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
    /// Taken out of its queue before the urgent ones are looked at: what was sent before it is among them then, as the echo
    /// reply that makes a link live and the first announcement over it.
    next_other: Option<Notice>,
    in_a_row: u32,
}

/// Both ends.
pub fn notices() -> (NoticeSender, Notices) {
    let (urgent_in, urgent) = mpsc::unbounded_channel();
    let (other_in, other) = mpsc::unbounded_channel();
    (
        NoticeSender { urgent: urgent_in, other: other_in },
        Notices { urgent, other, next_other: None, in_a_row: 0 },
    )
}

impl Notices {
    /// The next notice, urgent ones first. Cancel safe.
    pub async fn next(&mut self) -> Option<Notice> {
        loop {
            if let Some(notice) = self.waiting() {
                return Some(notice);
            }
            tokio::select! {
                notice = self.urgent.recv() => return notice,
                notice = self.other.recv() => self.next_other = Some(notice?),
            }
        }
    }

    /// The next notice if one is there.
    pub fn waiting(&mut self) -> Option<Notice> {
        if self.next_other.is_none() {
            self.next_other = self.other.try_recv().ok();
        }
        if self.in_a_row < URGENT_IN_A_ROW
            && let Ok(notice) = self.urgent.try_recv()
        {
            self.in_a_row += 1;
            return Some(notice);
        }
        self.in_a_row = 0;
        self.next_other.take().or_else(|| self.urgent.try_recv().ok())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use ratman_types::{LinkId, RouterId, Timestamp};
    use ratman_wire::{Frame, Header, Mode};

    use super::super::Shares;
    use super::*;

    fn frame(mode: Mode) -> Notice {
        let bytes = Frame { header: Header::new(mode, [1; 32]), payload: &[] }.encode();
        let from = Hop { link: LinkId(1), neighbour: RouterId::from_bytes([1; 32]) };
        let shares = Shares::new(1 << 20);
        shares.open(from.link);
        let place = shares.take(from.link, bytes.len()).unwrap();
        Notice::Frame(ControlFrame { from, arrived: Timestamp::default(), bytes, _place: place })
    }

    #[test]
    fn an_announcement_never_overtakes_the_echo_before_it() {
        let mut context = Context::from_waker(Waker::noop());
        let (sender, mut notices) = notices();
        for _ in 0..200 {
            {
                let mut next = pin!(notices.next());
                assert!(next.as_mut().poll(&mut context).is_pending());
                sender.send(frame(Mode::ECHO_REPLY));
                sender.send(frame(Mode::ANNOUNCEMENT));
                let Poll::Ready(Some(first)) = next.poll(&mut context) else { panic!("nothing came") };
                assert!(first.is_urgent());
            }
            assert!(notices.waiting().is_some_and(|second| !second.is_urgent()));
            assert!(notices.waiting().is_none());
        }
    }

    #[test]
    fn urgent_notices_go_first_but_do_not_stop_the_others() {
        let (sender, mut notices) = notices();
        (0..2).for_each(|_| sender.send(frame(Mode::ANNOUNCEMENT)));
        (0..100).for_each(|_| sender.send(frame(Mode::ECHO_REQUEST)));
        let order: Vec<bool> =
            std::iter::from_fn(|| notices.waiting()).map(|notice| notice.is_urgent()).collect();
        let others: Vec<usize> = (0..order.len()).filter(|index| !order[*index]).collect();
        assert_eq!((order.len(), others), (102, vec![32, 65]));
    }
}
