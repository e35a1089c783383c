// SPDX-License-Identifier: AGPL-3.0-or-later
//! What happens because time passes (source: WireGuard's paper, section 6; wire page).
//!
//! Handshakes have deadlines of their own. All that depends on packets, which the data half sees, is looked over
//! once a second while there is any key, and never while there is none.

use core::time::Duration;

use ratman_types::{Address, Mtu, Now, Timestamp};
use ratman_wire::carrier::SESSION_HEADER;
use ratman_wire::{MAX_FRAME, Mode};

use super::remote::Remote;
use super::{EndReason, Role, Sessions};

/// A key neither seals nor opens from this age on.
pub(super) const REJECT_AFTER: Duration = Duration::from_secs(180);
/// How often the sessions are looked over; what follows is late by at most this.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// The initiator of a key begins the next handshake at this age if packets still go.
const REKEY_AFTER: Duration = Duration::from_secs(120);
/// The responder of a key leaves this much more time to the initiator, and up to as much again at random: after
/// crossing handshakes both ends are responders of what they send under, and should not cross for ever.
const RESPONDER_LATER: Duration = Duration::from_secs(15);
/// Either end begins the next handshake after this many frames.
const REKEY_AFTER_FRAMES: u64 = 1 << 32;
/// Whoever received packets and has sent nothing for so long sends a keepalive.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// An unanswered initiation is followed by another after this long …
const RETRY: Duration = Duration::from_secs(5);
/// … and up to this much more.
const RETRY_JITTER: Duration = Duration::from_millis(333);
/// Whoever sent packets and has heard nothing for so long, keepalives included, begins a handshake.
const UNHEARD: Duration = Duration::from_secs(15);
/// No more initiations are sent this long after the first.
const GIVE_UP: Duration = Duration::from_secs(90);

impl Sessions {
    /// Does whatever is due at `now`.
    pub fn handle_timeout(&mut self, now: Now) {
        let due = |(remote, state): (&Address, &Remote)| {
            state.attempt.as_ref().filter(|attempt| attempt.retry_at <= now.at).map(|_| *remote)
        };
        let due: Vec<_> = self.remotes.iter().filter_map(due).collect();
        for remote in due {
            self.retry(remote, now);
        }
        if self.next_tick.is_some_and(|tick| tick <= now.at) {
            let remotes: Vec<_> = self.remotes.keys().copied().collect();
            for remote in remotes {
                self.look_over(remote, now);
            }
            let any_key = self.remotes.values().any(|state| !state.ring.is_empty());
            self.next_tick = any_key.then_some(now.at + TICK);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next; nothing if there is nothing to wait for.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let retries = self.remotes.values().filter_map(|state| state.attempt.as_ref());
        retries.map(|attempt| attempt.retry_at).chain(self.next_tick).min()
    }

    /// Sends an empty data frame under the current key, if there is one.
    pub(super) fn keepalive(&mut self, remote: Address, now: Timestamp) {
        let Some(pair) = self.remotes.get(&remote).and_then(|state| state.ring.current()) else { return };
        let largest = Mtu(u32::try_from(MAX_FRAME).expect("a small constant"));
        if let Err(drop) = pair.send.seal(&mut [], largest, now, &mut self.sealed) {
            return self.drops.count(drop);
        }
        let frames: Vec<_> = self
            .sealed
            .pieces(&[])
            .map(|piece| [&piece.head[SESSION_HEADER..], piece.tail].concat())
            .collect();
        for payload in frames {
            self.transmit(remote, Mode::SESSION_DATA, payload);
        }
    }

    /// When an initiation that is sent now is followed by another.
    pub(super) fn retry_at(&mut self, now: Timestamp) -> Timestamp {
        now + RETRY + self.up_to(RETRY_JITTER)
    }

    /// At which age a new key is replaced.
    pub(super) fn rekey_after(&mut self, role: Role) -> Duration {
        match role {
            Role::Initiator => REKEY_AFTER,
            Role::Responder => REKEY_AFTER + RESPONDER_LATER + self.up_to(RESPONDER_LATER),
        }
    }

    fn up_to(&mut self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_micros()).expect("a few seconds");
        Duration::from_micros(self.entropy.up_to(limit))
    }

    /// The remote has not answered in time.
    fn retry(&mut self, remote: Address, now: Now) {
        let Some(state) = self.remotes.get_mut(&remote) else { return };
        let Some(attempt) = state.attempt.take() else { return };
        // A handshake of the remote's that crossed ours may have brought a key that is as good.
        let renewed = state.ring.current().is_some_and(|pair| pair.created >= attempt.since);
        if renewed {
            return;
        }
        if now.at.since(attempt.since) < GIVE_UP {
            self.initiate(remote, attempt.since, now);
        } else if state.ring.is_empty() || state.traffic.is_unheard(UNHEARD, now.at) {
            self.end(remote, EndReason::NoAnswer);
        }
    }

    /// All that depends on the age of keys and on what the data half saw.
    fn look_over(&mut self, remote: Address, now: Now) {
        self.confirmed(remote, now);
        let Some(state) = self.remotes.get_mut(&remote) else { return };
        if state.expire(now.at) {
            if state.ring.is_empty() && state.attempt.is_none() {
                let silent = state.traffic.is_unheard(UNHEARD, now.at);
                let reason = if silent { EndReason::NoAnswer } else { EndReason::Idle };
                return self.end(remote, reason);
            }
            self.keys_changed(now.at);
        }
        if self.remotes.get_mut(&remote).is_some_and(|state| state.path.expire(now.at)) {
            self.table_changed();
        }
        let Some(state) = self.remotes.get(&remote) else { return };
        if state.attempt.is_none() && wants_handshake(state, now.at) {
            self.initiate(remote, now.at, now);
        } else if state.traffic.owes(KEEPALIVE, now.at) {
            self.keepalive(remote, now.at);
        }
    }
}

/// Whether the current key is to be replaced, or does not reach the remote any more.
fn wants_handshake(state: &Remote, now: Timestamp) -> bool {
    let Some(pair) = state.ring.current() else { return false };
    let in_use = state.traffic.is_active_since(pair.created + pair.rekey_after);
    (now.since(pair.created) >= pair.rekey_after && in_use)
        || pair.send.frames() >= REKEY_AFTER_FRAMES
        || state.traffic.is_unheard(UNHEARD, now)
}
