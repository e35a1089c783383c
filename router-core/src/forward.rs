// SPDX-License-Identifier: AGPL-3.0-or-later
//! The data plane's whole decision about one received frame: pure, without allocation, lock or state.

use ratman_types::{Hop, Recipient};
use ratman_wire::carrier::{SESSION_HEADER, set_hops_left};
use ratman_wire::{DecodeError, Frame, ModeClass};

use crate::{DropReason, Fib, Lookup};

/// What becomes of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// A session frame for one of our addresses.
    Local,
    /// A frame for [`Router::handle_frame`](crate::Router::handle_frame).
    Control,
    /// A frame of a stream, of the user range, or the probe of a namespace, for [`Streams::handle_frame`](crate::streams::Streams::handle_frame).
    Stream,
    /// A session frame for somebody else: to be sent over this hop, `hops_left` already taken down by one.
    Send {
        /// The next hop.
        hop: Hop,
    },
    /// Nothing; to be counted.
    Drop(DropReason),
}

/// Decides about `frame`, received over `from`.
///
/// Session frames are neither signed nor verified on the way: they are sealed end to end, and a relay that
/// verified them could forward no more than 20 000 a second (source: wire page, carrier frame).
pub fn forward(fib: &Fib, from: Hop, frame: &mut [u8]) -> Forward {
    let header = match Frame::decode(frame) {
        Ok(frame) => frame.header,
        Err(error) => return Forward::Drop(decode_error(&error)),
    };
    match header.mode.class() {
        ModeClass::Session => {}
        ModeClass::Stream | ModeClass::User | ModeClass::Anycast => return Forward::Stream,
        ModeClass::Announcement | ModeClass::Peering | ModeClass::OneHop | ModeClass::Unknown => {
            return Forward::Control;
        }
    }
    let to = match header.recipient {
        Some(Recipient::Address(to)) if header.encoded_len() == SESSION_HEADER => to,
        Some(Recipient::Address(_)) => return Forward::Drop(DropReason::SessionForm),
        Some(Recipient::Namespace(_)) => return Forward::Drop(DropReason::NamespaceNotServed),
        None => return Forward::Drop(DropReason::NoRecipient),
    };
    let via = match fib.lookup(&to, Some(from.neighbour)) {
        Lookup::Local => return Forward::Local,
        Lookup::Via(via) => via,
        Lookup::OnlyWayBack => return Forward::Drop(DropReason::OnlyWayBack),
        Lookup::NoRoute => return Forward::Drop(DropReason::NoRoute),
    };
    if u32::try_from(frame.len()).is_ok_and(|length| length > via.mtu.0) {
        return Forward::Drop(DropReason::FrameTooBig);
    }
    match header.hops_left.checked_sub(1) {
        None => Forward::Drop(DropReason::HopLimit),
        Some(hops_left) => {
            set_hops_left(frame, hops_left);
            Forward::Send { hop: via.hop }
        }
    }
}

/// The reason under which undecodable bytes are counted; version 1 is that of 0.6 routers.
pub(crate) fn decode_error(error: &DecodeError) -> DropReason {
    if matches!(error, DecodeError::Version(1)) {
        return DropReason::CarrierVersion1;
    }
    DropReason::MalformedFrame
}
