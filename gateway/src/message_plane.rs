// SPDX-License-Identifier: AGPL-3.0-or-later
//! The message plane: a thread of its own that owns [`Streams`], feeds it what happened, and carries out what it wants. Like the
//! control loop it decides nothing about the protocol.
//!
//! What comes in goes through one [`Inlet`], in which no neighbour and no client can leave more than its share: frames from the
//! data path, routes and custody from the control loop, [`clients`](Clients) from the control socket, and what the store has done.

mod clients;
mod content;
mod inlet;
mod journal;
mod members;
mod namespaces;
mod pieces;
mod plane;
mod questions;
mod registry;
mod report;
mod searches;
mod shares;
mod takers;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use ratman_types::{Ed25519Verifier, Hop, SecretKey, Signer};
use ratman_wire::FrameId;
use router_core::streams::{Streams, StreamsConfig};
use tokio::sync::oneshot;
use tracing::error;

pub use clients::{
    Clients, Ending, Held, Listed, News, NotStored, Outgoing, Progress, ReceiveError, Sending, Told, Wanted,
};
pub use content::ContentError;
pub use inlet::Inlet;
pub use members::{MAX_NAMESPACES_OF_ONE, NamespaceError};
pub use pieces::Pieces;
pub use questions::WhoError;
pub use report::PlaneReport;
pub use shares::{Announcing, TakeDownError};

use crate::clock::Clock;
use crate::forward::Forwarder;
use crate::store::{Store, StoreConfig, StoreError, StoreThread};
use crate::ways::Ways;
use inlet::Input;
use journal::Journal;
use plane::{Doors, Plane};

/// Custodies and complaints that wait for the control loop: as many as a neighbour may tell us in a second. What finds no room is counted and
/// not told; the neighbour sends the frames again then, and is told anew.
const WORDS: usize = 512;

/// What the control loop is to do for it.
#[derive(Debug)]
pub enum Word {
    /// Tell the neighbour behind a hop that we answer for these frames.
    Custody(Hop, Vec<FrameId>),
    /// A neighbour brought a frame whose signature does not hold.
    BadSignature(Hop),
}

/// The local address of the message plane.
#[derive(Debug)]
pub struct Local {
    /// Its key.
    pub key: Arc<SecretKey>,
    /// What the `hops_left` of its frames starts with.
    pub initial_hops: u8,
}

/// The message plane with what an earlier run has left, before anything happens to it.
#[derive(Debug)]
pub struct Restored {
    streams: Streams,
    store: Store,
    local: Arc<SecretKey>,
    inlet: Inlet,
    inputs: mpsc::Receiver<Input>,
}

impl Restored {
    /// Opens the journal in `dir`, the locked state directory, and reads what is in it.
    ///
    /// # Errors
    /// It cannot be opened or read.
    pub fn open(dir: &Path, config: StreamsConfig, local: Local, seed: [u8; 32]) -> Result<Self, StoreError> {
        let Local { key, initial_hops } = local;
        let is_new = !Store::exists(dir);
        let store = Store::open(dir, &StoreConfig::default())?;
        let mut streams = Streams::new(config, Arc::new(Ed25519Verifier), seed);
        streams.add_local(Arc::clone(&key), initial_hops);
        match journal::restore(&store, &mut streams) {
            // On a full disk there is nothing yet, and there will be once there is room.
            Err(error) if is_new && error.is_full() => {}
            restored => restored?,
        }
        streams.restored(Clock.now());
        let (inlet, inputs) = inlet::inlet();
        Ok(Self { streams, store, local: key, inlet, inputs })
    }

    /// Where everything goes in.
    pub fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    /// Starts the threads: what leaves goes through `forwarder` by `ways`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self, forwarder: Arc<Forwarder>, ways: Arc<Ways>) -> std::io::Result<MessagePlane> {
        let Self { streams, store, local, inlet, inputs } = self;
        let done = inlet.clone();
        let store = StoreThread::start(store, move |completion| done.stored(completion))?;
        let clients = Clients::new(inlet.clone(), store.store(), &local);
        let report = Arc::new(Mutex::default());
        let (words_in, words) = tokio::sync::mpsc::channel(WORDS);
        let doors = Doors { forwarder, ways, words: words_in, report: Arc::clone(&report) };
        let plane = Plane::new(streams, Journal::new(store), (inlet.clone(), inputs), doors, local.address());
        let (alive, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("streams".to_owned()).spawn(move || {
            // Dropped also where it panics.
            let _alive = alive;
            plane.run();
        })?;
        Ok(MessagePlane { door: PlaneDoor { inlet, report }, clients, words: Some(words), ended, thread })
    }
}

/// What the control loop has of the message plane.
#[derive(Clone, Debug)]
pub struct PlaneDoor {
    inlet: Inlet,
    report: Arc<Mutex<PlaneReport>>,
}

impl PlaneDoor {
    /// Where everything goes in.
    pub fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    /// What it looks like, as it was a tenth of a second ago at most.
    pub fn report(&self) -> PlaneReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The running message plane.
#[derive(Debug)]
pub struct MessagePlane {
    door: PlaneDoor,
    clients: Clients,
    words: Option<tokio::sync::mpsc::Receiver<Word>>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl MessagePlane {
    /// What the control loop has of it.
    pub fn door(&self) -> PlaneDoor {
        self.door.clone()
    }

    /// What the control socket's clients use.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// The database, for who may wait for the disk.
    pub fn store(&self) -> &Arc<Store> {
        self.clients.store()
    }

    /// What the control loop is to do for it; given out once.
    pub fn take_words(&mut self) -> Option<tokio::sync::mpsc::Receiver<Word>> {
        self.words.take()
    }

    /// Waits until it ends by itself, as it only does by a panic. Cancel safe; not to be called again afterwards.
    pub async fn ended(&mut self) {
        let _ = (&mut self.ended).await;
    }

    /// Ends it, after what it handed to the store is durable.
    pub fn end(self) {
        self.door.inlet.end();
        if self.thread.join().is_err() {
            error!("the message plane has panicked");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
