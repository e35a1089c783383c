// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where packets wait for a route or a session, shared by both halves: whoever reads from the device puts them here, the
//! control half lets them go, and what is newer waits behind them until they have left.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gateway_core::pending::{Awaited, Pending, Waiting};
use ratman_types::{Address, Timestamp};
use tokio::sync::Notify;

use super::Held;

/// How often the room is looked into again while its packets leave: those that came meanwhile go first, too. Where packets come
/// faster than they leave, the last look ends their waiting, and a few may be overtaken.
const LOOKS: usize = 16;

/// The packets that wait.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    inside: Mutex<Inside>,
    /// Whether the lock is worth taking: as a rule nobody waits.
    occupied: AtomicBool,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    pending: Pending<Held>,
    /// The last so many of them have not been looked at by the control half.
    fresh: usize,
    /// The remote whose packets are leaving.
    leaving: Option<Address>,
}

impl Inside {
    fn holds(&self, remote: Address) -> bool {
        self.leaving == Some(remote) || self.pending.awaits(Awaited::Remote(remote))
    }
}

impl WaitingRoom {
    /// Waits until packets have come; cancel safe.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Whether a packet for `remote` has to wait because older ones do; costs nothing while nobody waits.
    pub(super) fn holds(&self, remote: &Address) -> bool {
        self.occupied.load(Ordering::Acquire) && self.inside().holds(*remote)
    }

    /// Lets a packet wait; returns how many older ones gave way to it.
    pub(super) fn enter(&self, awaited: Awaited, held: Held, packet: &[u8], now: Timestamp) -> usize {
        let mut inside = self.inside();
        let displaced = inside.pending.push(awaited, held, packet, now);
        inside.fresh += 1;
        self.occupied.store(true, Ordering::Release);
        drop(inside);
        self.arrived.notify_one();
        displaced
    }

    /// What the packets wait for that came since the last look.
    pub(super) fn look(&self) -> BTreeSet<Awaited> {
        let mut inside = self.inside();
        let fresh = std::mem::take(&mut inside.fresh);
        inside.pending.awaited().rev().take(fresh).collect()
    }

    /// What all packets wait for.
    pub(super) fn awaited(&self) -> BTreeSet<Awaited> {
        self.inside().pending.awaited().collect()
    }

    /// Hands the packets for `remote` to `send` in their order, and meanwhile holds back what is newer.
    pub(super) fn let_go(&self, remote: Address, mut send: impl FnMut(Waiting<Held>)) {
        for look in 1..=LOOKS {
            let mut inside = self.inside();
            let leaving = inside.pending.take(Awaited::Remote(remote));
            inside.leaving = Some(remote).filter(|_| !leaving.is_empty() && look < LOOKS);
            self.update(&inside);
            drop(inside);
            if leaving.is_empty() {
                return;
            }
            leaving.into_iter().for_each(&mut send);
        }
    }

    /// Takes out what waits for this.
    pub(super) fn take(&self, awaited: Awaited) -> Vec<Waiting<Held>> {
        let mut inside = self.inside();
        let taken = inside.pending.take(awaited);
        self.update(&inside);
        taken
    }

    /// Takes out what has waited for too long.
    pub(super) fn expire(&self, now: Timestamp) -> Vec<Waiting<Held>> {
        let mut inside = self.inside();
        let expired = inside.pending.expire(now).collect();
        self.update(&inside);
        expired
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(super) fn next_timeout(&self) -> Option<Timestamp> {
        self.inside().pending.next_timeout()
    }

    /// Whether a packet waits for this.
    pub(super) fn awaits(&self, awaited: Awaited) -> bool {
        self.occupied.load(Ordering::Acquire) && self.inside().pending.awaits(awaited)
    }

    fn update(&self, inside: &Inside) {
        let occupied = !inside.pending.is_empty() || inside.leaving.is_some();
        self.occupied.store(occupied, Ordering::Release);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        // A thread that panicked while it held the lock left a valid queue: its methods keep it so at every step.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::offload::VirtioNetHeader;

    const HELD: Held = Held { header: VirtioNetHeader::NONE, queue: 0 };

    fn remote(number: u8) -> Address {
        Address::from_bytes([number; 32])
    }

    fn enter(room: &WaitingRoom, number: u8, packet: u8) {
        assert_eq!(room.enter(Awaited::Remote(remote(number)), HELD, &[packet], Timestamp::default()), 0);
    }

    #[test]
    fn what_comes_while_others_leave_waits_and_leaves_behind_them() {
        let room = WaitingRoom::default();
        assert!(!room.holds(&remote(1)));
        [1, 2].into_iter().for_each(|packet| enter(&room, 1, packet));
        enter(&room, 2, 9);
        let mut left = Vec::new();
        room.let_go(remote(1), |waiting| {
            assert!(room.holds(&remote(1)), "nothing may overtake them");
            left.push(waiting.packet[0]);
            if left == [1] {
                enter(&room, 1, 3);
            }
        });
        assert_eq!(left, [1, 2, 3]);
        assert!(!room.holds(&remote(1)));
        assert!(room.holds(&remote(2)));
        assert_eq!(room.take(Awaited::Remote(remote(2))).len(), 1);
        assert!(!room.holds(&remote(2)));
    }

    #[test]
    fn a_flood_does_not_keep_a_remote_waiting_for_ever() {
        let room = WaitingRoom::default();
        enter(&room, 1, 0);
        let mut left = 0;
        room.let_go(remote(1), |_| {
            left += 1;
            if room.holds(&remote(1)) {
                enter(&room, 1, 0);
            }
        });
        assert_eq!(left, LOOKS);
        assert!(!room.holds(&remote(1)));
    }

    #[test]
    fn a_look_shows_what_is_new_and_all_of_it() {
        let room = WaitingRoom::default();
        assert!(room.look().is_empty());
        [1, 2, 1].into_iter().for_each(|number| enter(&room, number, 0));
        assert_eq!(room.look(), [1, 2].map(|number| Awaited::Remote(remote(number))).into());
        enter(&room, 3, 0);
        assert_eq!(room.look(), [Awaited::Remote(remote(3))].into());
        assert!(room.look().is_empty());
        assert_eq!(room.awaited().len(), 3);
    }
}
