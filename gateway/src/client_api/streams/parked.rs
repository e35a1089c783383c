// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams whose client was cut off before their content was complete: they wait for it to come back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratman_types::Address;
use ratman_wire::api::OpenedStream;
use tokio::task::AbortHandle;
use tracing::debug;

use super::going::Going;
use crate::client_api::sending_places::MAX_SENDINGS_OF_ONE;

/// A client may come back for so long: what it has handed over lies in the journal meanwhile.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// Streams that wait for their clients: a quarter of those that may be under way, which they are counted among.
pub(super) const MAX_PARKED: usize = MAX_SENDINGS_OF_ONE / 4;

/// All that wait; the oldest has to go for a newer one.
#[derive(Clone, Default)]
pub(in crate::client_api) struct ParkingLot(Arc<Mutex<Vec<Parked>>>);

struct Parked {
    going: Going,
    _until: Late,
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
        write!(f, "ParkingLot({})", self.parked().len())
    }
}

impl ParkingLot {
    /// Lets streams wait; must be called within a tokio runtime. More than there can be wait for nobody.
    pub(super) fn park(&self, going: Going) {
        if going.names().len() > MAX_PARKED {
            return;
        }
        let (lot, streams): (Self, Vec<_>) = (self.clone(), going.names().collect());
        let from = going.from;
        let late = tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            if lot.take(&from, &streams).is_some() {
                debug!("nobody came back for a stream");
            }
        });
        let mut parked = self.parked();
        parked.push(Parked { going, _until: Late(late.abort_handle()) });
        while parked.iter().map(|parked| parked.going.names().len()).sum::<usize>() > MAX_PARKED {
            parked.remove(0);
        }
    }

    /// Those that one request made, if they wait.
    pub(super) fn take(&self, from: &Address, streams: &[OpenedStream]) -> Option<Going> {
        let mut parked = self.parked();
        let is_it =
            |parked: &Parked| parked.going.from == *from && parked.going.names().eq(streams.iter().cloned());
        let place = parked.iter().position(is_it)?;
        Some(parked.remove(place).going)
    }

    fn parked(&self) -> MutexGuard<'_, Vec<Parked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
