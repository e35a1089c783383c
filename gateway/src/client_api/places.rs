// SPDX-License-Identifier: AGPL-3.0-or-later
//! Places for clients: so many in all, of which one user of the host has a share, and a few that are the operators'.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::who::Who;

/// Programs that are connected at once: each costs a task and a buffer of some KiB, and while content goes through it some pieces
/// of 64 KiB. One more is told so.
pub const MAX_CLIENTS: usize = 512;

/// Of which those of one user of the host are at most half, so that nobody keeps everybody else out; all that come over TCP are
/// taken for one user's, since who they are is not known.
pub const MAX_PER_USER: usize = MAX_CLIENTS / 2;

/// Beyond, operators have these: a shell and a few scripts that look at, and end, what takes up all the others.
pub const OPERATORS_OWN: usize = 8;

/// Why there is no place; in words for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPlace {
    /// All are taken.
    #[error("too many clients at once, try again")]
    Full,
    /// This user has its share.
    #[error("too many clients of one user at once, try again")]
    Share,
}

/// Places, of which there are never more.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    limits: Limits,
    /// Taken of those for everybody.
    common: usize,
    /// Taken of the operators' own.
    own: usize,
    /// INVARIANT: none of them is 0, their sum is `common`.
    by_user: BTreeMap<Option<u32>, usize>,
}

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) clients: usize,
    pub(super) per_user: usize,
    pub(super) operators_own: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { clients: MAX_CLIENTS, per_user: MAX_PER_USER, operators_own: OPERATORS_OWN }
    }
}

/// The place of a client; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    of: Taken,
}

#[derive(Debug)]
enum Taken {
    Common(Option<u32>),
    Own,
}

impl Places {
    /// Free ones.
    pub(super) fn new(limits: Limits) -> Self {
        let (common, own, by_user) = (0, 0, BTreeMap::new());
        Self(Arc::new(Mutex::new(Table { limits, common, own, by_user })))
    }

    /// A place for somebody; an operator takes one of the operators' own where there is no other.
    pub(super) fn take(&self, who: Who) -> Result<Place, NoPlace> {
        let mut table = self.table();
        let of = match table.take_common(who.asker.uid) {
            Ok(()) => Taken::Common(who.asker.uid),
            Err(_) if who.operates && table.own < table.limits.operators_own => {
                table.own += 1;
                Taken::Own
            }
            Err(why) => return Err(why),
        };
        Ok(Place { places: self.clone(), of })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn take_common(&mut self, user: Option<u32>) -> Result<(), NoPlace> {
        if self.by_user.get(&user).is_some_and(|taken| *taken >= self.limits.per_user) {
            return Err(NoPlace::Share);
        }
        if self.common >= self.limits.clients {
            return Err(NoPlace::Full);
        }
        self.common += 1;
        *self.by_user.entry(user).or_default() += 1;
        Ok(())
    }

    fn free_common(&mut self, user: Option<u32>) {
        self.common -= 1;
        if let Some(taken) = self.by_user.get_mut(&user) {
            *taken -= 1;
            if *taken == 0 {
                self.by_user.remove(&user);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.places.table();
        match self.of {
            Taken::Common(user) => table.free_common(user),
            Taken::Own => table.own -= 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::allowed::tests::ALLOWED;

    fn user(uid: u32) -> Who {
        Who::of_user(ALLOWED, uid, 1)
    }

    fn operator() -> Who {
        user(0)
    }

    #[test]
    fn one_user_has_half_of_them_and_somebody_else_the_other() {
        let places = Places::new(Limits::default());
        for who in [user(1000), Who::UNKNOWN] {
            let mut taken: Vec<_> = (0..MAX_PER_USER).map(|_| places.take(who).unwrap()).collect();
            assert_eq!(places.take(who).unwrap_err(), NoPlace::Share);
            taken.pop();
            taken.push(places.take(who).unwrap());
            assert_eq!(places.take(who).unwrap_err(), NoPlace::Share);
            let other = places.take(user(1001)).unwrap();
            drop(other);
            drop(taken);
            assert!(places.table().by_user.is_empty(), "nothing is noted of who is gone");
        }
    }

    #[test]
    fn all_are_taken_but_the_operators_own() {
        let places = Places::new(Limits::default());
        let mut taken: Vec<_> =
            [1000, 1001].iter().flat_map(|uid| (0..MAX_PER_USER).map(|_| user(*uid))).collect();
        let mut taken: Vec<_> = taken.drain(..).map(|who| places.take(who).unwrap()).collect();
        assert_eq!(taken.len(), MAX_CLIENTS);
        for who in [user(1002), Who::UNKNOWN] {
            assert_eq!(places.take(who).unwrap_err(), NoPlace::Full);
        }
        let own: Vec<_> = (0..OPERATORS_OWN).map(|_| places.take(operator()).unwrap()).collect();
        assert_eq!(places.take(operator()).unwrap_err(), NoPlace::Full);
        taken.pop();
        let common = places.take(operator()).unwrap();
        assert_eq!(places.take(user(1002)).unwrap_err(), NoPlace::Full);
        drop((own, common, taken));
        let table = places.table();
        assert_eq!((table.common, table.own, table.by_user.len()), (0, 0, 0));
    }

    #[test]
    fn an_operator_beyond_its_share_takes_one_of_the_operators_own() {
        let places = Places::new(Limits { clients: 9, per_user: 2, operators_own: 1 });
        let _three = [(); 3].map(|()| places.take(operator()).unwrap());
        assert_eq!(places.take(operator()).unwrap_err(), NoPlace::Share);
        let table = places.table();
        assert_eq!((table.common, table.own), (2, 1));
        drop(table);
    }
}
