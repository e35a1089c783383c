// SPDX-License-Identifier: AGPL-3.0-or-later
//! A relay's side of path reports: which of the data frames that it drops it reports about.

use core::hash::Hasher;
use core::time::Duration;

use ratman_types::Timestamp;
use ratman_wire::Mode;
use ratman_wire::carrier::{SESSION_HEADER, peek_mode};
use ratman_wire::session::{PathReason, PathReport};
use siphasher::sip::SipHasher13;

/// At most ten reports a second about one session (source: wire page): this long at least between two.
const INTERVAL: Duration = Duration::from_millis(100);

/// Sessions share so many slots by a keyed hash. Sessions in one slot share its rate, which costs an honest one a report
/// now and then; a flood of invented sessions gets 10 240 reports a second of 111 bytes, about what it sends itself.
const SLOTS: u64 = 1024;

/// Where the session of a data frame stands in it: sender, recipient, receiver index.
const SENDER: core::ops::Range<usize> = 4..36;
const RECIPIENT: core::ops::Range<usize> = 37..69;
const RECEIVER: core::ops::Range<usize> = SESSION_HEADER + 4..SESSION_HEADER + 8;

/// Writes path reports and keeps their rate, in 8 KiB whatever comes. Only frames that are dropped touch it.
#[derive(Debug)]
pub struct ReportLimiter {
    hasher: SipHasher13,
    /// When the next report may go, per slot.
    next: Box<[Timestamp]>,
    limited: u64,
}

impl ReportLimiter {
    /// Nothing was reported yet; `seed` is 16 bytes that nobody else knows, so that nobody can fill the slot of another's
    /// session.
    pub fn new(seed: [u8; 16]) -> Self {
        let next = (0..SLOTS).map(|_| Timestamp::default()).collect();
        Self { hasher: SipHasher13::new_with_key(&seed), next, limited: 0 }
    }

    /// The carrier frame to send towards the sender of `frame`, which is dropped for `reason`; see
    /// [`PathReport::about`]. Nothing if it is no data frame, or if there was a report about its session in the last
    /// 100 ms.
    pub fn report(
        &mut self,
        frame: &[u8],
        reason: PathReason,
        now: Timestamp,
    ) -> Option<[u8; PathReport::FRAME_LEN]> {
        // The rate first: a flood of frames that go nowhere is to cost little.
        let next = &mut self.next[slot(self.hasher, frame)?];
        if *next > now {
            self.limited += 1;
            return None;
        }
        let report = PathReport::about(frame, reason)?;
        *next = now + INTERVAL;
        Some(report)
    }

    /// How many reports were not sent because of the rate, since the start.
    pub fn limited(&self) -> u64 {
        self.limited
    }
}

/// The slot of the session of a data frame; nothing for other frames.
fn slot(mut hasher: SipHasher13, frame: &[u8]) -> Option<usize> {
    if peek_mode(frame) != Some(Mode::SESSION_DATA) {
        return None;
    }
    for part in [SENDER, RECIPIENT, RECEIVER] {
        hasher.write(frame.get(part)?);
    }
    Some(usize::try_from(hasher.finish() % SLOTS).expect("below SLOTS"))
}

#[cfg(test)]
mod tests {
    use ratman_types::{Address, Recipient};
    use ratman_wire::session::{DataHeader, SessionIndex};
    use ratman_wire::{Frame, Header};

    use super::*;

    fn data(sender: u8, recipient: u8, receiver: u32) -> Vec<u8> {
        let header =
            DataHeader { goes_on: false, continued: 0, receiver: SessionIndex(receiver), counter: 1 };
        let payload = [&header.encode()[..], &[5; 40]].concat();
        let carrier = Header::new(Mode::SESSION_DATA, [sender; 32]);
        let carrier = carrier.to(Recipient::Address(Address::from_bytes([recipient; 32])));
        Frame { header: carrier, payload: &payload }.encode()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::default() + Duration::from_millis(millis)
    }

    #[test]
    fn one_session_gets_ten_reports_a_second() {
        let mut limiter = ReportLimiter::new([1; 16]);
        let frame = data(1, 2, 3);
        let mut report = |millis| limiter.report(&frame, PathReason::NoRoute, at(millis)).is_some();
        assert_eq!((5000..6000).filter(|millis| report(*millis)).count(), 10);
        assert!(report(6000) && !report(6099) && report(6100));
        assert_eq!(limiter.limited(), 991);
    }

    #[test]
    fn sender_recipient_and_index_make_a_session() {
        let mut limiter = ReportLimiter::new([1; 16]);
        for frame in [data(1, 2, 3), data(9, 2, 3), data(1, 9, 3), data(1, 2, 9)] {
            let report = limiter.report(&frame, PathReason::HopLimit, at(0));
            assert_eq!(report, PathReport::about(&frame, PathReason::HopLimit));
            assert!(report.is_some());
        }
        assert_eq!(limiter.limited(), 0);
    }

    #[test]
    fn invented_sessions_share_the_slots() {
        let mut limiter = ReportLimiter::new([1; 16]);
        let mut reports = 0;
        for receiver in 0..50_000 {
            let frame = data(1, 2, receiver);
            reports += usize::from(limiter.report(&frame, PathReason::NoRoute, at(0)).is_some());
        }
        assert_eq!(reports, 1024, "every slot once");
        assert!(limiter.report(&data(1, 2, 3), PathReason::NoRoute, at(100)).is_some());
    }

    #[test]
    fn what_is_no_data_frame_costs_no_slot() {
        let mut limiter = ReportLimiter::new([1; 16]);
        let frame = data(1, 2, 3);
        let report = limiter.report(&frame, PathReason::NoRoute, at(0)).unwrap();
        assert_eq!(limiter.report(&report, PathReason::NoRoute, at(0)), None);
        assert_eq!(limiter.report(&[], PathReason::NoRoute, at(0)), None);
        assert_eq!(limiter.limited(), 0);
    }
}
