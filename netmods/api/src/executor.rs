// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who runs the tasks that move frames.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

/// Runs tasks to their end; the daemon decides on which of its threads.
pub trait Executor: Debug + Send + Sync {
    /// Takes a task. It may be polled by one thread now and by another later, and is dropped with the executor's runtime.
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);
}
