// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams whose client was cut off before their content was complete: they wait for it to come back. It may be back before the router
//! has seen that its connection is gone.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratman_types::Address;
use ratman_wire::api::OpenedStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::debug;

use super::going::Going;
use crate::client_api::sending_places::MAX_SENDINGS_OF_ONE;
use crate::client_api::stop::{Stop, stop};

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
pub(in crate::client_api) struct ParkingLot(Arc<Lot>);

#[derive(Default)]
struct Lot {
    streams: Mutex<Streams>,
    /// Something is parked, or a connection is about it no more.
    changed: Notify,
}

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
    /// Dropped where the connection is to let go of them.
    stop: Option<oneshot::Sender<Infallible>>,
}

/// That a connection is about streams, until this is dropped.
pub(super) struct Presence {
    lot: ParkingLot,
    number: u64,
    stop: Stop,
}

impl Presence {
    /// Waits until the connection is to let go of them. Cancel safe.
    pub(super) async fn is_to_end(&mut self) {
        self.stop.told().await;
    }

    /// They do not wait for anybody any more.
    pub(super) fn end(&self) {
        self.lot.streams().under_way.retain(|under_way| under_way.number != self.number);
        self.lot.0.changed.notify_waiters();
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.end();
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
        let (told, stop) = stop();
        let mut all = self.streams();
        let number = all.next;
        all.next += 1;
        let (from, streams) = (going.from, going.names().collect());
        all.under_way.push(UnderWay { number, from, streams, stop: Some(told) });
        Presence { lot: self.clone(), number, stop }
    }

    /// Lets streams wait; must be called within a tokio runtime. More than there can be wait for nobody.
    pub(super) fn park(&self, going: Going) {
        if going.names().len() > MAX_PARKED {
            return;
        }
        let (lot, streams): (Self, Vec<_>) = (self.clone(), going.names().collect());
        let from = going.from;
        let late = tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            if lot.streams().take(&from, &streams).is_some() {
                debug!("nobody came back for a stream");
            }
        });
        let mut all = self.streams();
        let parked = &mut all.parked;
        parked.push(Parked { going, _until: Late(late.abort_handle()) });
        while parked.iter().map(|parked| parked.going.names().len()).sum::<usize>() > MAX_PARKED {
            parked.remove(0);
        }
    }

    /// Those that one request made, if they wait, or do so soon: a connection that is about them lets go of them.
    pub(super) async fn take(&self, from: &Address, streams: &[OpenedStream]) -> Option<Going> {
        for patience in [TO_NOTICE, TO_LET_GO] {
            if let Ok(taken) = timeout(patience, self.once_parked(from, streams)).await {
                return taken;
            }
            for under_way in self.streams().of(from, streams) {
                under_way.stop = None;
            }
        }
        None
    }

    /// Waits while a connection is about them.
    async fn once_parked(&self, from: &Address, streams: &[OpenedStream]) -> Option<Going> {
        loop {
            let changed = self.0.changed.notified();
            {
                let mut all = self.streams();
                let parked = all.take(from, streams);
                if parked.is_some() || all.of(from, streams).next().is_none() {
                    return parked;
                }
            }
            changed.await;
        }
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.0.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn take(&mut self, from: &Address, streams: &[OpenedStream]) -> Option<Going> {
        let is_it =
            |parked: &Parked| parked.going.from == *from && parked.going.names().eq(streams.iter().cloned());
        let place = self.parked.iter().position(is_it)?;
        Some(self.parked.remove(place).going)
    }

    fn of(&mut self, from: &Address, streams: &[OpenedStream]) -> impl Iterator<Item = &mut UnderWay> {
        self.under_way.iter_mut().filter(move |one| one.from == *from && one.streams == streams)
    }
}
