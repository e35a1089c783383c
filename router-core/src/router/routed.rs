// SPDX-License-Identifier: AGPL-3.0-or-later
//! Routed signed frames on their way through: blocks, manifests, notices and the user range, verified before they
//! go on (source: wire page, carrier frame).

use ratman_types::{Hop, Now, Recipient};
use ratman_wire::Frame;
use ratman_wire::carrier::set_hops_left;

use super::Router;
use crate::neighbour::Quota;
use crate::{Class, DropReason, Lookup};

impl Router {
    /// Length, mode, route and quota are asked before the signature.
    pub(super) fn receive_routed(
        &mut self,
        from: Hop,
        frame: &Frame<'_>,
        bytes: &[u8],
        now: Now,
    ) -> Result<(), DropReason> {
        let to = match frame.header.recipient {
            Some(Recipient::Address(to)) => to,
            Some(Recipient::Namespace(_)) => return Err(DropReason::NamespaceNotServed),
            None => return Err(DropReason::NoRecipient),
        };
        let via = match self.fib.lookup(&to, Some(from.neighbour)) {
            Lookup::Local => return Err(DropReason::NotDelivered),
            Lookup::Via(via) => via,
            Lookup::OnlyWayBack => return Err(DropReason::OnlyWayBack),
            Lookup::NoRoute => return Err(DropReason::NoRoute),
        };
        let hops_left = frame.header.hops_left.checked_sub(1).ok_or(DropReason::HopLimit)?;
        if u32::try_from(bytes.len()).is_ok_and(|length| length > via.mtu.0) {
            return Err(DropReason::FrameTooBig);
        }
        let signature = frame.header.signature.ok_or(DropReason::Unsigned)?;
        let sender = &frame.header.sender;
        self.verify(from, Quota::Routed, sender, frame.signed_bytes().as_bytes(), &signature, now)?;
        let mut forwarded = bytes.to_vec();
        set_hops_left(&mut forwarded, hops_left);
        self.counters.frames_forwarded += 1;
        self.send(via.hop, Class::Data, forwarded);
        Ok(())
    }
}
