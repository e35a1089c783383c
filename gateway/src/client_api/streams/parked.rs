// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams whose client was cut off before their content was complete: they wait for it to come back. It may be back before the router
//! has seen that its connection is gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratman_types::Address;
use ratman_wire::api::OpenedStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::debug;

use super::going::Going;
use crate::client_api::sending_places::MAX_SENDINGS_OF_ONE;

/// A client may come back for so long: what it has handed over lies in the journal meanwhile.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// Streams that wait for their clients: a quarter of those that may be under way, which they are counted among.
pub(super) const MAX_PARKED: usize = MAX_SENDINGS_OF_ONE / 4;

/// That a connection is gone is seen within so long: what came over it until then is taken.
const TO_NOTICE: Duration = Duration::from_secs(1);

/// A connection that is not gone lets go of its streams within so long.
const TO_LET_GO: Duration = Duration::from_secs(5);

/// All that wait, and those that a connection is about.
#[derive(Clone, Default)]
pub(in crate::client_api) struct ParkingLot(Arc<Mutex<Streams>>);

#[derive(Default)]
struct Streams {
    /// The oldest has to go for a newer one.
    // INVARIANT: at most MAX_PARKED streams.
    parked: Vec<Parked>,
    /// As many as there are connections.
    under_way: Vec<UnderWay>,
    next: u64,
}

struct Parked {
    going: Going,
    _until: Late,
}

/// Streams whose content a client hands over.
struct UnderWay {
    number: u64,
    from: Address,
    streams: Vec<OpenedStream>,
    /// Who goes on with them once the connection lets go of them: the last who came for them.
    heir: Option<oneshot::Sender<Taken>>,
    /// The connection is to let go of them.
    stop: Arc<Notify>,
}

/// Streams to go on with.
pub(super) struct Taken {
    pub(super) going: Going,
    pub(super) presence: Presence,
}

/// Why there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// None of them wait.
    Nowhere,
    /// Another connection is about them.
    InUse,
}

/// That a connection is about streams, until this is dropped.
pub(super) struct Presence {
    lot: ParkingLot,
    number: u64,
    stop: Arc<Notify>,
}

impl Presence {
    /// Waits until the connection is to let go of them. Cancel safe.
    pub(super) async fn is_to_end(&self) {
        loop {
            self.stop.notified().await;
            // Who came for them may have given up since.
            if self.lot.streams().is_awaited(self.number) {
                return;
            }
        }
    }

    /// They do not wait for anybody any more.
    pub(super) fn end(&self) {
        let ended = self.lot.streams().leave(self.number);
        // Whoever came for them hears of it.
        drop(ended);
    }

    /// Lets go of the streams: who came for them goes on with them, and else they wait.
    pub(super) fn let_go(self, going: Going) {
        let (mut presence, mut going) = (self, going);
        loop {
            let mut all = presence.lot.streams();
            let Some(heir) = all.leave(presence.number).and_then(|left| left.heir) else {
                return all.park(&presence.lot, going);
            };
            let next = all.enter(&presence.lot, &going);
            drop(all);
            let Err(back) = heir.send(Taken { going, presence: next }) else { return };
            // That one is gone already.
            Taken { going, presence } = back;
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.end();
    }
}

/// That somebody came for streams; those that it is given when it waits for them no more do not get lost.
struct Heir(oneshot::Receiver<Taken>);

impl Drop for Heir {
    fn drop(&mut self) {
        self.0.close();
        if let Ok(Taken { going, presence }) = self.0.try_recv() {
            presence.let_go(going);
        }
    }
}

/// What ends the time of something that is parked; not needed once it is not.
struct Late(AbortHandle);

impl Drop for Late {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::fmt::Debug for ParkingLot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParkingLot({})", self.streams().parked.len())
    }
}

impl ParkingLot {
    /// A connection is about these from now on.
    pub(super) fn enter(&self, going: &Going) -> Presence {
        self.streams().enter(self, going)
    }

    /// Those that one request made, if they wait, or do so soon: a connection that is about them lets go of them. The last who comes
    /// for them goes on with them. Cancel safe.
    pub(super) async fn take(&self, from: &Address, streams: &[OpenedStream]) -> Result<Taken, NotTaken> {
        let (mut heir, stop) = match self.streams().claim(self, from, streams) {
            Claim::Parked(taken) => return Ok(taken),
            Claim::UnderWay(heir, stop) => (Heir(heir), stop),
            Claim::Nowhere => return Err(NotTaken::Nowhere),
        };
        for patience in [Some(TO_NOTICE), None] {
            match timeout(patience.unwrap_or(TO_LET_GO), &mut heir.0).await {
                Ok(Ok(taken)) => return Ok(taken),
                // The connection ended without them, or somebody came later.
                Ok(Err(_)) => break,
                Err(_) if patience.is_some() => stop.notify_one(),
                Err(_) => heir.0.close(),
            }
        }
        if let Ok(taken) = heir.0.try_recv() {
            return Ok(taken);
        }
        let is_under_way = self.streams().of(from, streams).is_some();
        Err(if is_under_way { NotTaken::InUse } else { NotTaken::Nowhere })
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What there is of streams that somebody comes for.
enum Claim {
    Parked(Taken),
    /// A connection is about them: gives them to this one once it is told to stop.
    UnderWay(oneshot::Receiver<Taken>, Arc<Notify>),
    Nowhere,
}

impl Streams {
    fn enter(&mut self, lot: &ParkingLot, going: &Going) -> Presence {
        let (number, stop) = (self.next, Arc::new(Notify::new()));
        self.next += 1;
        let (from, streams) = (going.from, going.names().collect());
        self.under_way.push(UnderWay { number, from, streams, heir: None, stop: Arc::clone(&stop) });
        Presence { lot: lot.clone(), number, stop }
    }

    fn claim(&mut self, lot: &ParkingLot, from: &Address, streams: &[OpenedStream]) -> Claim {
        if let Some(going) = self.take(from, streams) {
            let presence = self.enter(lot, &going);
            return Claim::Parked(Taken { going, presence });
        }
        let Some(under_way) = self.of(from, streams) else { return Claim::Nowhere };
        let (heir, given) = oneshot::channel();
        under_way.heir = Some(heir);
        Claim::UnderWay(given, Arc::clone(&under_way.stop))
    }

    /// Lets streams wait. More than there can be wait for nobody.
    fn park(&mut self, lot: &ParkingLot, going: Going) {
        let (lot, from, streams): (_, _, Vec<_>) = (lot.clone(), going.from, going.names().collect());
        // At the end of the daemon nobody comes back.
        let Some(runtime) = Handle::try_current().ok().filter(|_| streams.len() <= MAX_PARKED) else {
            return;
        };
        let late = runtime.spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            if lot.streams().take(&from, &streams).is_some() {
                debug!("nobody came back for a stream");
            }
        });
        let parked = &mut self.parked;
        parked.push(Parked { going, _until: Late(late.abort_handle()) });
        while parked.iter().map(|parked| parked.going.names().len()).sum::<usize>() > MAX_PARKED {
            parked.remove(0);
        }
    }

    /// A connection is about its streams no more.
    fn leave(&mut self, number: u64) -> Option<UnderWay> {
        let place = self.under_way.iter().position(|one| one.number == number)?;
        Some(self.under_way.swap_remove(place))
    }

    /// Whether somebody waits for what a connection is about.
    fn is_awaited(&self, number: u64) -> bool {
        let heir = self.under_way.iter().find(|one| one.number == number).and_then(|one| one.heir.as_ref());
        heir.is_some_and(|heir| !heir.is_closed())
    }

    fn take(&mut self, from: &Address, streams: &[OpenedStream]) -> Option<Going> {
        let is_it =
            |parked: &Parked| parked.going.from == *from && parked.going.names().eq(streams.iter().cloned());
        let place = self.parked.iter().position(is_it)?;
        Some(self.parked.remove(place).going)
    }

    fn of(&mut self, from: &Address, streams: &[OpenedStream]) -> Option<&mut UnderWay> {
        self.under_way.iter_mut().find(|one| one.from == *from && one.streams == streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_api::sending_places::SendingPlaces;

    const FROM: Address = Address::from_bytes([1; 32]);

    const A_MINUTE: Duration = Duration::from_secs(60);

    async fn going() -> Going {
        let places = SendingPlaces::new().take(None, 1).await.unwrap();
        Going::new(FROM, Vec::new(), places)
    }

    fn taking(lot: &ParkingLot) -> tokio::task::JoinHandle<Result<Taken, NotTaken>> {
        let lot = lot.clone();
        tokio::spawn(async move { lot.take(&FROM, &[]).await })
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_who_comes_goes_on_and_who_came_before_stops_nobody() {
        let lot = ParkingLot::default();
        let before = lot.enter(&going().await);
        let earlier = taking(&lot);
        tokio::time::sleep(TO_NOTICE / 2).await;
        let later = taking(&lot);
        assert_eq!(earlier.await.unwrap().err(), Some(NotTaken::InUse), "at once");
        before.is_to_end().await;
        before.let_go(going().await);
        let taken = later.await.unwrap().ok().unwrap();
        assert!(timeout(A_MINUTE, taken.presence.is_to_end()).await.is_err(), "the newest counts");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_goes_on_where_nobody_waits_for_its_streams_any_more() {
        let lot = ParkingLot::default();
        let before = lot.enter(&going().await);
        assert_eq!(taking(&lot).await.unwrap().err(), Some(NotTaken::InUse), "it does not let go of them");
        assert!(timeout(A_MINUTE, before.is_to_end()).await.is_err());
        // The next is told of all the same, and what it is given when it has gone is there for another.
        let gone = taking(&lot);
        before.is_to_end().await;
        before.let_go(going().await);
        gone.abort();
        drop(gone.await);
        assert!(timeout(A_MINUTE, lot.take(&FROM, &[])).await.unwrap().is_ok());
        assert_eq!(lot.take(&FROM, &[]).await.err(), Some(NotTaken::Nowhere));
    }
}
