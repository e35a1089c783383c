// SPDX-License-Identifier: AGPL-3.0-or-later
//! How often addresses of clients may come: each that goes up is announced through the whole mesh and taken back when it goes down, and
//! each that is made is written to the disk. What comes down or is destroyed came up or was made before, and is not counted.

use std::collections::BTreeMap;
use std::time::Duration;

use ratman_types::{Address, Timestamp};

use crate::addresses::{Asker, MAX_ADDRESSES};

/// As many at once as there may be: a host that starts brings all of them up.
pub(super) const AT_ONCE: usize = MAX_ADDRESSES;

/// From then on one in this time: an address that is made, goes up and down again and again costs no more than one that is up and
/// is announced as often.
pub(super) const EVERY: Duration = Duration::from_secs(2);

/// So many users are remembered, each for the two minutes at most in which it has less than all left. Beyond, a further one waits.
const MOST_USERS: usize = 256;

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// A user of the host; nothing stands for all that are not known.
    User(Option<u32>),
    /// An address that is to go up, by whom is not known: its token was shown, and nobody else can use its bucket up.
    Address(Address),
}

impl Who {
    /// Who takes an address up after its token was shown.
    pub(super) fn of(asker: Asker, address: Address) -> Self {
        asker.uid.map_or(Self::Address(address), |uid| Self::User(Some(uid)))
    }
}

/// A bucket of tokens for each.
#[derive(Debug, Default)]
pub(super) struct Pace {
    // INVARIANT: at most MOST_USERS; when each has all tokens again.
    full_at: BTreeMap<Who, Timestamp>,
}

impl Pace {
    /// Takes a token.
    ///
    /// # Errors
    /// There is none; in what time there is.
    pub(super) fn take(&mut self, who: Who, now: Timestamp) -> Result<(), Duration> {
        self.full_at.retain(|_, full_at| *full_at > now);
        let full_at = self.full_at.get(&who).copied();
        if full_at.is_none() && self.full_at.len() >= MOST_USERS {
            return Err(EVERY);
        }
        let full_at = full_at.unwrap_or(now) + EVERY;
        let all = EVERY * u32::try_from(AT_ONCE).expect("a small constant fits");
        let over = full_at.since(now).saturating_sub(all);
        if over > Duration::ZERO {
            return Err(over);
        }
        self.full_at.insert(who, full_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_user_has_a_burst_and_a_rate_and_takes_nothing_of_others() {
        let mut pace = Pace::default();
        let taken = |pace: &mut Pace, uid, now| {
            (0..1_000).take_while(|_| pace.take(Who::User(Some(uid)), now).is_ok()).count()
        };
        assert_eq!(taken(&mut pace, 1, at(100)), AT_ONCE);
        assert_eq!(pace.take(Who::User(Some(1)), at(100)), Err(Duration::from_secs(2)));
        assert_eq!(pace.take(Who::User(Some(1)), at(101)), Err(Duration::from_secs(1)), "when to try again");
        assert_eq!(taken(&mut pace, 1, at(102)), 1);
        assert_eq!(taken(&mut pace, 1, at(112)), 5);
        assert_eq!(taken(&mut pace, 2, at(112)), AT_ONCE);
        assert_eq!(taken(&mut pace, 1, at(10_000)), AT_ONCE);
        assert_eq!(pace.full_at.len(), 1, "who has all again is forgotten");
    }

    #[test]
    fn so_many_users_are_remembered_and_no_more() {
        let mut pace = Pace::default();
        let users = u32::try_from(MOST_USERS).unwrap();
        (0..users).for_each(|uid| pace.take(Who::User(Some(uid)), at(0)).unwrap());
        assert_eq!(pace.take(Who::User(None), at(0)), Err(EVERY));
        assert_eq!(pace.take(Who::User(Some(0)), at(0)), Ok(()));
        assert_eq!(pace.take(Who::User(None), at(2)), Ok(()));
    }

    #[test]
    fn who_makes_addresses_keeps_nobody_else_from_taking_theirs_up() {
        let (mut pace, unknown) = (Pace::default(), Asker { uid: None, is_operator: false });
        while pace.take(Who::User(None), at(0)).is_ok() {}
        let address = Address::from_bytes([7; 32]);
        assert_eq!(pace.take(Who::of(unknown, address), at(0)), Ok(()));
        let known = Asker { uid: Some(3), ..unknown };
        assert_eq!(
            Who::of(known, address),
            Who::User(Some(3)),
            "each user has one bucket for all of its own"
        );
    }
}
