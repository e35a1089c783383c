// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which streams are wanted.

use core::num::NonZeroU32;

use ratman_wire::api::{Address, ByteCount, Receive, Recipient, ResumedReceive, StreamKey};

use crate::Reconnect;

/// Which streams are wanted, and how. By default all for the address and its namespaces, for ever, and a lost router ends it.
#[derive(Clone, Debug)]
pub struct ReceiveOptions {
    from: Option<Address>,
    to: Option<Recipient>,
    limit: Option<u32>,
    wait: bool,
    resume: Option<ResumedReceive>,
    reconnect: Option<Reconnect>,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self { from: None, to: None, limit: None, wait: true, resume: None, reconnect: None }
    }
}

impl ReceiveOptions {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only what this address sends.
    #[must_use]
    pub const fn from(mut self, sender: Address) -> Self {
        self.from = Some(sender);
        self
    }

    /// Only what is for this recipient: the address itself, or a namespace that it is up in.
    #[must_use]
    pub const fn to(mut self, recipient: Recipient) -> Self {
        self.to = Some(recipient);
        self
    }

    /// Exactly so many.
    #[must_use]
    pub const fn limit(mut self, streams: u32) -> Self {
        self.limit = Some(streams);
        self
    }

    /// Whether to wait when none is there. Default yes.
    #[must_use]
    pub const fn wait(mut self, wait: bool) -> Self {
        self.wait = wait;
        self
    }

    /// The stream that is to come first, from this byte of its content on: what a program has of it that was ended in the middle.
    #[must_use]
    pub const fn resume(mut self, stream: StreamKey, offset: u64) -> Self {
        self.resume = Some(ResumedReceive { stream, offset: ByteCount(offset) });
        self
    }

    /// Finds the router again when it is lost, brings the address up, and goes on, in the middle of a stream if need be. Each stream
    /// comes once and in order; where the router was lost just when it was told [`taken`](crate::IncomingStream::taken), it is told
    /// again. Default no.
    #[must_use]
    pub const fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = Some(reconnect);
        self
    }

    pub(crate) const fn how_to_reconnect(&self) -> Option<Reconnect> {
        self.reconnect
    }

    /// The namespace that is waited for.
    pub(crate) const fn recipient(&self) -> Option<Recipient> {
        self.to
    }

    /// How many are wanted in all.
    pub(crate) const fn how_many(&self) -> Option<u32> {
        self.limit
    }

    /// What the first request resumes.
    pub(crate) const fn resumed(&self) -> Option<&ResumedReceive> {
        self.resume.as_ref()
    }

    /// Later ones do not.
    pub(crate) fn has_resumed(&mut self) {
        self.resume = None;
    }

    /// The request for so many more.
    pub(crate) fn request(
        &self,
        address: Address,
        left: Option<u32>,
        resume: Option<ResumedReceive>,
    ) -> Receive {
        // What was begun comes first, whether or not it waits: it is there.
        let limit = left.and_then(NonZeroU32::new);
        Receive { address, from: self.from, to: self.to, limit, wait: self.wait, resume }
    }
}
