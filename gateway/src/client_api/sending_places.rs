// SPDX-License-Identifier: AGPL-3.0-or-later
//! Places for streams that clients send at once, a share for each user: who holds all of theirs keeps nobody else from sending.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Streams that one user sends at once; each costs a MiB of blocks that wait for its way at most.
pub(crate) const MAX_SENDINGS_OF_ONE: usize = 64;

/// Streams that all of them send at once.
const MAX_SENDINGS: usize = 2 * MAX_SENDINGS_OF_ONE;

/// So long one waits for its turn, and is then told to try again.
const PATIENCE: Duration = Duration::from_secs(20);

/// All places; cloned for every session.
#[derive(Clone, Debug)]
pub(super) struct SendingPlaces {
    all: Arc<Semaphore>,
    // Of each user who sends; unknown ones are one.
    of_users: Arc<Mutex<BTreeMap<Option<u32>, Weak<Semaphore>>>>,
}

/// Places that are taken; given back when this is dropped.
#[derive(Debug)]
pub(super) struct SendingPlace {
    _of_all: OwnedSemaphorePermit,
    _of_user: OwnedSemaphorePermit,
}

impl SendingPlaces {
    /// All free.
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_SENDINGS)), of_users: Arc::default() }
    }

    /// Places for so many streams of a user, of which there are as many; nothing where there are none for a while. Cancel safe.
    pub(super) async fn take(&self, user: Option<u32>, number: u32) -> Option<SendingPlace> {
        let of_user = self.of_user(user);
        // First one's own: who waits for these keeps nothing of what others could have.
        let taken = async {
            let _of_user = of_user.acquire_many_owned(number).await.ok()?;
            let _of_all = Arc::clone(&self.all).acquire_many_owned(number).await.ok()?;
            Some(SendingPlace { _of_all, _of_user })
        };
        timeout(PATIENCE, taken).await.ok().flatten()
    }

    fn of_user(&self, user: Option<u32>) -> Arc<Semaphore> {
        let mut of_users = self.of_users.lock().unwrap_or_else(PoisonError::into_inner);
        of_users.retain(|_, places| places.strong_count() > 0);
        if let Some(places) = of_users.get(&user).and_then(Weak::upgrade) {
            return places;
        }
        let places = Arc::new(Semaphore::new(MAX_SENDINGS_OF_ONE));
        of_users.insert(user, Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_holds_all_of_theirs_keeps_nobody_else_from_sending() {
        let places = SendingPlaces::new();
        let most = u32::try_from(MAX_SENDINGS_OF_ONE).unwrap();
        let idle = places.take(Some(1), most).await.unwrap();
        assert!(places.take(Some(1), 1).await.is_none(), "after a while");
        let other = places.take(Some(2), most).await.unwrap();
        assert!(places.take(None, 1).await.is_none(), "all are taken");
        drop(other);
        let of_one = places.take(None, 1).await.unwrap();
        drop(idle);
        assert!(places.take(Some(1), most).await.is_some());
        drop(of_one);
        assert_eq!(places.all.available_permits(), MAX_SENDINGS);
    }
}
