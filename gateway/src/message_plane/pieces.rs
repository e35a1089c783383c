// SPDX-License-Identifier: AGPL-3.0-or-later
//! The content of a stream that is here, piece by piece, for who must not wait for the disk: a thread reads ahead.

use router_core::streams::Arrival;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Clients, ContentError, Ending};

/// Pieces of at most 32 KiB that wait for the client while the next one is read from the journal.
const READ_AHEAD: usize = 4;

/// Content that is being read; it is read no further once this is dropped.
#[derive(Debug)]
pub struct Pieces {
    pieces: mpsc::Receiver<Vec<u8>>,
    reading: JoinHandle<Result<(), ContentError>>,
}

impl Clients {
    /// Begins to read the content of an arrival; must be called within a tokio runtime.
    pub fn pieces(&self, arrival: &Arrival) -> Pieces {
        let (give, pieces) = mpsc::channel(READ_AHEAD);
        let (streams, arrival) = (self.clone(), arrival.clone());
        let reading = tokio::task::spawn_blocking(move || {
            streams.read(&arrival, |piece| piece.is_empty() || give.blocking_send(piece.to_vec()).is_ok())
        });
        Pieces { pieces, reading }
    }
}

impl Pieces {
    /// The next piece, which is not empty; nothing after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.pieces.recv().await
    }

    /// After the last piece: whether that was all.
    ///
    /// # Errors
    /// [`Ending`]; and within, why the rest cannot be read.
    pub async fn end(self) -> Result<Result<(), ContentError>, Ending> {
        self.reading.await.map_err(|_| Ending)
    }
}
