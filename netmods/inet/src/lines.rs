// SPDX-License-Identifier: AGPL-3.0-or-later
//! The peer lines: whom we dial, and who may connect to us. They change while links are up.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netmod_api::PeerState;
use ratman_types::RouterId;
use tokio::sync::oneshot;
use tracing::info;

use crate::config::PeerLine;
use crate::dial::{Dialer, Progress};
use crate::inet::Shared;

/// Who may connect to us.
#[derive(Debug)]
pub(crate) struct Welcome {
    /// The keys that peer lines name.
    named: BTreeSet<RouterId>,
    strangers: bool,
}

impl Welcome {
    pub(crate) fn new(lines: &[PeerLine], strangers: bool) -> Self {
        Self { named: lines.iter().filter_map(|line| line.router_key).collect(), strangers }
    }

    /// Whether a peer line names the router.
    pub(crate) fn names(&self, router: &RouterId) -> bool {
        self.named.contains(router)
    }

    /// Whether the router may connect to us.
    pub(crate) fn accepts(&self, router: &RouterId) -> bool {
        self.strangers || self.names(router)
    }
}

/// The dialers, one for each peer line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    dialled: Mutex<Vec<Dialled>>,
}

#[derive(Debug)]
struct Dialled {
    line: PeerLine,
    progress: Arc<Progress>,
    /// Dropped, it ends the dialer and its link.
    _stop: oneshot::Sender<()>,
}

impl Lines {
    /// Dials these lines and no others; what is dialled already goes on undisturbed.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn replace(&self, shared: &Arc<Shared>, lines: Vec<PeerLine>) {
        let mut dialled = self.lock();
        dialled.retain(|old| {
            let stays = lines.contains(&old.line);
            if !stays {
                info!(peer = %old.line, "dialled no more");
            }
            stays
        });
        for line in lines {
            if dialled.iter().all(|old| old.line != line) {
                let (stop, stopped) = oneshot::channel();
                let progress = Arc::<Progress>::default();
                let dialer = Dialer::new(Arc::clone(shared), line.clone(), Arc::clone(&progress));
                tokio::spawn(dialer.run(stopped));
                dialled.push(Dialled { line, progress, _stop: stop });
            }
        }
    }

    /// How each line fares.
    pub(crate) fn states(&self) -> Vec<PeerState> {
        self.lock().iter().map(|dialled| dialled.progress.state(dialled.line.to_string())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Dialled>> {
        // Every line in it has its dialer wherever a panic stopped.
        self.dialled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
