// SPDX-License-Identifier: AGPL-3.0-or-later
//! The content of a stream that is here, piece by piece, for who must not wait for the disk: some pieces are read ahead, and nobody
//! waits for a client that is slow to take them.

use std::collections::VecDeque;

use ratman_types::ByteCount;
use router_core::streams::Arrival;
use tokio::task::JoinHandle;

use super::content::Reading;
use super::{Clients, ContentError, Ending};

/// Pieces that are read at once; as many again are read while these are taken.
const AT_ONCE: usize = 2;

/// Some pieces, and what reads the rest; or why there is no rest.
type Batch = (VecDeque<Vec<u8>>, Result<Reading, ContentError>);

/// Content that is being read; it is read no further once this is dropped.
#[derive(Debug)]
pub struct Pieces {
    streams: Clients,
    ready: VecDeque<Vec<u8>>,
    reading: State,
}

#[derive(Debug)]
enum State {
    /// The next pieces are being read.
    Reading(JoinHandle<Batch>),
    /// There are none, or they cannot be read.
    Over(Result<(), ContentError>),
    /// The daemon ends.
    Ending,
}

impl Clients {
    /// Begins to read what is beyond the first `offset` bytes of an arrival's content; must be called within a tokio runtime.
    pub fn pieces(&self, arrival: &Arrival, offset: ByteCount) -> Pieces {
        let reading = State::Reading(read_on(self.clone(), Reading::new(arrival, offset)));
        Pieces { streams: self.clone(), ready: VecDeque::new(), reading }
    }
}

/// Reads some pieces on a thread that may wait for the disk.
fn read_on(streams: Clients, mut reading: Reading) -> JoinHandle<Batch> {
    tokio::task::spawn_blocking(move || {
        let mut pieces = VecDeque::with_capacity(AT_ONCE);
        while pieces.len() < AT_ONCE {
            match reading.next(streams.store()) {
                Ok(Some(piece)) => pieces.push_back(piece),
                Ok(None) => break,
                Err(error) => return (pieces, Err(error)),
            }
        }
        (pieces, Ok(reading))
    })
}

impl Pieces {
    /// The next piece, which is not empty; nothing after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        while self.ready.is_empty() {
            let State::Reading(batch) = &mut self.reading else { return None };
            self.reading = match batch.await {
                Ok((pieces, Ok(reading))) => {
                    // Fewer are the last.
                    let is_last = pieces.len() < AT_ONCE;
                    self.ready = pieces;
                    if is_last {
                        State::Over(Ok(()))
                    } else {
                        State::Reading(read_on(self.streams.clone(), reading))
                    }
                }
                Ok((pieces, Err(error))) => {
                    self.ready = pieces;
                    State::Over(Err(error))
                }
                Err(_) => State::Ending,
            };
        }
        self.ready.pop_front()
    }

    /// After the last piece: whether that was all.
    ///
    /// # Errors
    /// [`Ending`]; and within, why the rest cannot be read.
    pub fn end(self) -> Result<Result<(), ContentError>, Ending> {
        match self.reading {
            State::Over(end) => Ok(end),
            State::Reading(_) | State::Ending => Err(Ending),
        }
    }
}
