// SPDX-License-Identifier: AGPL-3.0-or-later
//! How long a router may take.

use std::future::Future;
use std::time::Duration;

use crate::{Error, Result};

/// How long a router may take. What waits by its nature has no limit: a stream that is to come, room for content that is sent, news of
/// a stream. Put a limit on these with `tokio::time::timeout`; the documentation of each says what that leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To take a connection. Default 5 s.
    pub connect: Duration,
    /// To say its version. Default 10 s: a router that starts has other things to do first.
    pub handshake: Duration,
    /// To answer a request. Default 60 s: to make an address takes a slow machine some seconds, and a request may have to wait for its
    /// turn.
    pub reply: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            reply: Duration::from_secs(60),
        }
    }
}

/// Waits so long and no longer; for ever without a limit.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    what: &'static str,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(limit) = limit else { return future.await };
    tokio::time::timeout(limit, future).await.unwrap_or(Err(Error::TimedOut { what, limit }))
}
