// SPDX-License-Identifier: AGPL-3.0-or-later
//! How a task of a client is told that another connection has come in its place.

use std::convert::Infallible;

use tokio::sync::oneshot;

/// Ends what another has come for: it is to end once the other half is dropped.
pub(super) struct Stop(oneshot::Receiver<Infallible>);

/// Both halves.
pub(super) fn stop() -> (oneshot::Sender<Infallible>, Stop) {
    let (told, stop) = oneshot::channel();
    (told, Stop(stop))
}

impl Stop {
    /// Waits until it is to end. Cancel safe, and at once whenever it was so before.
    pub(super) async fn told(&mut self) {
        if !self.0.is_terminated() {
            let _ = (&mut self.0).await;
        }
    }
}
