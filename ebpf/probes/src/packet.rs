// SPDX-License-Identifier: AGPL-3.0-or-later
//! A packet as far as it has to be read to know whose it is.

use aya_ebpf::programs::TcContext;
use ebpf_abi::{Conversation, TCP, UDP};

use crate::ip::{self, Ip};
use crate::tcp::Segment;

/// What a packet begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    Ethernet,
    Ip,
}

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

/// Ethernet: two addresses and the type of what follows.
const ETHERNET_HEADER: u32 = 14;
/// The bits of a tag that name a VLAN; where they are 0 it tells a priority only (source: IEEE 802.1Q).
const VLAN_NUMBER: u32 = 0x0fff;
const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86dd;

const UDP_HEADER: u32 = 8;

/// A packet of a conversation.
pub(crate) struct Packet {
    pub(crate) conversation: Conversation,
    /// The bytes before the payload of TCP or UDP, which every segment of a super-packet has; 0 where not known.
    headers: u32,
    /// [`Segment::NONE`] for all but whole packets of TCP.
    pub(crate) segment: Segment,
}

impl Packet {
    /// Reads a packet; nothing where it cannot be told whose it is: other protocols than IP, VLANs, later fragments,
    /// headers that are cut off.
    #[inline(always)]
    pub(crate) fn read(context: &TcContext, layer: Layer, direction: Direction) -> Option<Self> {
        let ip = match layer {
            Layer::Ethernet => match ethernet(context)? {
                TYPE_IPV4 => ip::v4(context, ETHERNET_HEADER)?,
                TYPE_IPV6 => ip::v6(context, ETHERNET_HEADER)?,
                _ => return None,
            },
            Layer::Ip => match load::<1>(context, 0)?[0] >> 4 {
                4 => ip::v4(context, 0)?,
                6 => ip::v6(context, 0)?,
                _ => return None,
            },
        };
        // All of it is always written: the kernel refuses to have a value moved that is there only sometimes, even
        // where nobody looks at it then, and compilers do that with `Option`.
        let (mut source_port, mut destination_port, mut headers, mut segment) = (0, 0, 0, Segment::NONE);
        if ip.protocol == TCP {
            segment = Segment::read(context, &ip)?;
            (source_port, destination_port) = (segment.source_port, segment.destination_port);
            headers = segment.payload;
            if ip.fragment {
                segment = Segment::NONE;
            }
        } else if ip.protocol == UDP {
            let [s0, s1, d0, d1, ..] = ip.load::<8>(context, ip.payload)?;
            (source_port, destination_port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
            headers = ip.payload + UDP_HEADER;
        }
        let (local, remote, local_port, remote_port) = match direction {
            Direction::In => (ip.destination, ip.source, destination_port, source_port),
            Direction::Out => (ip.source, ip.destination, source_port, destination_port),
        };
        let (protocol, interface) = (ip.protocol, interface(context));
        let conversation =
            Conversation { local, remote, interface, local_port, remote_port, protocol, zero: [0; 3] };
        Some(Self { conversation, headers, segment })
    }

    /// How many packets it is on the wire, and how many bytes these have together.
    ///
    /// TC sees super-packets, before they are cut and after they were joined, with the headers of one. Where the kernel
    /// has reckoned that itself, on the way out, tunnels are taken into account too.
    #[inline(always)]
    pub(crate) fn on_the_wire(&self, context: &TcContext) -> (u64, u64) {
        // SAFETY: the kernel gave the address of this context, and checks every access to its fields.
        let (len, wire_len, segments, size) = unsafe {
            let skb = context.skb.skb;
            ((*skb).len, (*skb).wire_len, (*skb).gso_segs, (*skb).gso_size)
        };
        let segments = match (segments, size) {
            (0, 0) => 1,
            // From another machine's stack: the size is known, not the number.
            (0, size) => len.saturating_sub(self.headers).div_ceil(size).max(1),
            (segments, _) => segments,
        };
        let all = u64::from(len) + u64::from(segments - 1) * u64::from(self.headers);
        (u64::from(segments), all.max(u64::from(wire_len)))
    }
}

/// The type of what follows the header of Ethernet; nothing for a packet of a VLAN, which the interface below that one
/// shows as well, and whose addresses may be those of another network.
///
/// The kernel takes a tag out of the bytes on the way in, and mostly leaves it beside them on the way out; one that is still
/// in them is a type that is not looked for.
#[inline(always)]
fn ethernet(context: &TcContext) -> Option<u16> {
    // SAFETY: the kernel gave the address of this context, and checks every access to its fields.
    let (tagged, tag) = unsafe {
        let skb = context.skb.skb;
        ((*skb).vlan_present, (*skb).vlan_tci)
    };
    if tagged != 0 && tag & VLAN_NUMBER != 0 {
        return None;
    }
    load(context, ETHERNET_HEADER - 2).map(u16::from_be_bytes)
}

/// The number of the interface that the packet crosses.
#[inline(always)]
fn interface(context: &TcContext) -> u32 {
    // SAFETY: the kernel gave the address of this context, and checks every access to its fields.
    unsafe { (*context.skb.skb).ifindex }
}

/// Bytes of the packet; nothing where it ends before.
#[inline(always)]
pub(crate) fn load<const LEN: usize>(context: &TcContext, at: u32) -> Option<[u8; LEN]> {
    #[allow(clippy::as_conversions, reason = "widening, which has no conversion trait")]
    context.load(at as usize).ok()
}

impl Ip {
    /// Bytes of the packet, as far as the header of IP says that it goes: what comes behind is padding.
    #[inline(always)]
    pub(crate) fn load<const LEN: usize>(&self, context: &TcContext, at: u32) -> Option<[u8; LEN]> {
        #[allow(clippy::as_conversions, reason = "the lengths of headers")]
        if at + LEN as u32 > self.end {
            return None;
        }
        load(context, at)
    }
}
