// SPDX-License-Identifier: AGPL-3.0-or-later
//! Subscriptions as deployed routers have them.

use std::io::{self, Read};
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use crate::types::{Letterhead, SubscriptionId};
use crate::{Reconnect, Result};

/// [`crate::Subscription`].
#[derive(Debug)]
pub struct Subscription {
    subscription: crate::Subscription,
    runtime: Arc<Runtime>,
}

/// [`crate::SubscribedStream`] as a reader.
#[derive(Debug)]
pub struct SubscribedStream<'a> {
    stream: crate::SubscribedStream<'a>,
    runtime: &'a Runtime,
}

impl Subscription {
    pub(super) const fn new(subscription: crate::Subscription, runtime: Arc<Runtime>) -> Self {
        Self { subscription, runtime }
    }

    /// [`crate::Subscription::id`].
    pub const fn id(&self) -> SubscriptionId {
        self.subscription.id()
    }

    /// [`crate::Subscription::reconnecting`].
    #[must_use]
    pub fn reconnecting(self, how: Option<Reconnect>) -> Self {
        Self { subscription: self.subscription.reconnecting(how), runtime: self.runtime }
    }

    /// [`crate::Subscription::next`].
    ///
    /// # Errors
    /// As there.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows from it: no iterator's does")]
    pub fn next(&mut self) -> Result<SubscribedStream<'_>> {
        let stream = self.runtime.block_on(self.subscription.next())?;
        Ok(SubscribedStream { stream, runtime: &self.runtime })
    }
}

impl SubscribedStream<'_> {
    /// [`crate::SubscribedStream::letterhead`].
    pub const fn letterhead(&self) -> &Letterhead {
        self.stream.letterhead()
    }

    /// [`crate::SubscribedStream::content`].
    ///
    /// # Errors
    /// As there.
    pub fn content(&mut self, limit: usize) -> Result<Vec<u8>> {
        self.runtime.block_on(self.stream.content(limit))
    }
}

impl Read for SubscribedStream<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(self.stream.read(bytes))
    }
}
