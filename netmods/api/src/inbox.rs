// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a netmod calls.

use ratman_types::{Hop, LinkId, Timestamp};

use crate::{DownReason, LinkUp};

/// Whom a netmod tells about links and frames; the driver of the router implements it.
///
/// Called on the thread or task that read the bytes. It may work on the frames in place and must not block.
pub trait Inbox: Send + Sync {
    /// The boot-time clock, for arrival stamps.
    fn now(&self) -> Timestamp;

    /// An id for a new link, never given twice while the process lives.
    fn next_link(&self) -> LinkId;

    /// A link came up: the first thing said about its hop.
    fn link_up(&self, link: LinkUp);

    /// A link is gone: the last thing said about its hop, said once.
    fn link_down(&self, hop: Hop, reason: DownReason);

    /// All complete frames of one read, in order, without what the medium wraps around them; none of modes 32–63.
    ///
    /// The bytes are untrusted. Frames that the callee does not take are gone.
    fn receive(&self, from: Hop, arrived: Timestamp, frames: &mut dyn Iterator<Item = &mut [u8]>);

    /// The outbox of this hop takes data again, after it had refused some ([`Outbox::ready`](crate::Outbox::ready)).
    ///
    /// Called while the driver holds no lock, so it may send at once. Never called before [`Inbox::link_up`] has
    /// returned, nor once [`Inbox::link_down`] was called.
    fn writable(&self, hop: Hop);
}
