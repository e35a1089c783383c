// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the data plane does with a link, out of totals that count the router's own frames too: those are no sign that
//! the link is used.

/// More than any netmod puts around a frame, in bytes.
const FRAMING: u64 = 16;

/// The totals of the last report, and our own share since.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Activity {
    sent_bytes: u64,
    received_frames: u64,
    acked_bytes: u64,
    own_sent_bytes: u64,
    /// Of the time before the last report, not seen in the totals yet.
    own_waiting_bytes: u64,
    own_received_frames: u64,
}

/// What moved beside our own frames since the last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) sent: bool,
    pub(crate) received: bool,
    /// Whoever's bytes they were: the peer's kernel lives.
    pub(crate) acknowledged: bool,
}

impl Activity {
    /// Notes that the router sends a frame of `length` bytes.
    pub(crate) fn note_own_sent(&mut self, length: usize) {
        let length = u64::try_from(length).unwrap_or(u64::MAX).saturating_add(FRAMING);
        self.own_sent_bytes = self.own_sent_bytes.saturating_add(length);
    }

    /// Notes that the router got a frame.
    pub(crate) fn note_own_received(&mut self) {
        self.own_received_frames = self.own_received_frames.saturating_add(1);
    }

    /// Takes the driver's running totals.
    ///
    /// Our frames may show up one report later than they were noted, and no later: what is left over then is
    /// framing that was not there.
    pub(crate) fn take_totals(&mut self, sent: u64, received: u64, acked: Option<u64>) -> Moved {
        let acked = acked.unwrap_or(self.acked_bytes);
        let sent_now = sent.saturating_sub(self.sent_bytes);
        let own = self.own_sent_bytes.saturating_add(self.own_waiting_bytes);
        let moved = Moved {
            sent: sent_now > own,
            received: received.saturating_sub(self.received_frames) > self.own_received_frames,
            acknowledged: acked > self.acked_bytes,
        };
        *self = Self {
            sent_bytes: sent,
            received_frames: received,
            acked_bytes: acked,
            own_sent_bytes: 0,
            own_waiting_bytes: own.saturating_sub(sent_now).min(self.own_sent_bytes),
            own_received_frames: 0,
        };
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Moved = Moved { sent: false, received: false, acknowledged: false };

    #[test]
    fn our_own_frames_are_taken_off_even_where_they_are_written_later() {
        let mut activity = Activity::default();
        activity.note_own_sent(130);
        assert_eq!(activity.take_totals(0, 0, None), NOTHING, "still in a queue");
        assert_eq!(activity.take_totals(132, 0, None), NOTHING);
        activity.note_own_sent(130);
        assert_eq!(activity.take_totals(264, 0, None), NOTHING);
        assert_eq!(activity.take_totals(265 + FRAMING, 0, None), Moved { sent: true, ..NOTHING });
        assert_eq!(activity.take_totals(266 + FRAMING, 0, None), Moved { sent: true, ..NOTHING });
    }

    #[test]
    fn what_was_received_beside_the_router_and_acknowledged_is_seen() {
        let mut activity = Activity::default();
        activity.note_own_received();
        assert_eq!(activity.take_totals(0, 1, Some(0)), NOTHING);
        assert_eq!(activity.take_totals(0, 2, Some(0)), Moved { received: true, ..NOTHING });
        assert_eq!(activity.take_totals(0, 2, Some(1)), Moved { acknowledged: true, ..NOTHING });
        assert_eq!(activity.take_totals(0, 0, None), NOTHING, "totals that go back say nothing");
    }
}
