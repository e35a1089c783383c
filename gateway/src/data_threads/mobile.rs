// SPDX-License-Identifier: AGPL-3.0-or-later
//! A task that changes to another thread when it is told to.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Spread;

/// Polls its task where that belongs at the moment.
pub(super) struct Mobile {
    spread: Spread,
    place: usize,
    /// The thread whose runtime polls this.
    here: usize,
    /// Gone once it has changed to another thread.
    task: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Mobile {
    /// Hands a task to the thread where it belongs.
    pub(super) fn spawn(spread: Spread, place: usize, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let here = spread.thread_of(place);
        let handle = spread.handle(here).clone();
        handle.spawn(Self { spread, place, here, task: Some(task) });
    }
}

impl Future for Mobile {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.spread.thread_of(self.place) != self.here {
            // Polled at once over there, it registers anew for whatever it waits for.
            if let Some(task) = self.task.take() {
                Self::spawn(self.spread.clone(), self.place, task);
            }
            return Poll::Ready(());
        }
        match &mut self.task {
            Some(task) => task.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }
}
