// SPDX-License-Identifier: AGPL-3.0-or-later
//! A packet as far as it has to be read to know whose it is.

use aya_ebpf::programs::TcContext;
use ebpf_abi::{Conversation, TCP, UDP};

use crate::ip::{self, Ip};
use crate::tcp::{self, Segment};

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
        if layer == Layer::Ethernet && is_of_vlan(context) {
            return None;
        }
        // All of it is always written: the kernel refuses to have a value moved that is there only sometimes, even
        // where nobody looks at it then, and compilers do that with `Option`.
        let (ip, mut source_port, mut destination_port, mut headers, mut segment);
        let usual = Usual::load(context, layer);
        if usual.is_it() {
            ip = ip::v4(context, layer.header(), usual.ip)?;
            segment = Segment::with_time_stamps(usual.tcp, usual.time_stamps(), &ip)?;
            (source_port, destination_port) = (segment.source_port, segment.destination_port);
            headers = segment.payload;
        } else {
            ip = layer.ip(context)?;
            (source_port, destination_port, headers, segment) = (0, 0, 0, Segment::NONE);
            if ip.protocol == TCP {
                segment = Segment::read(context, &ip)?;
                (source_port, destination_port) = (segment.source_port, segment.destination_port);
                headers = segment.payload;
                if ip.fragment {
                    segment = Segment::NONE;
                }
            } else if ip.protocol == UDP {
                let [s0, s1, d0, d1, ..] = ip.load::<8>(context, ip.payload)?;
                (source_port, destination_port) =
                    (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
                headers = ip.payload + UDP_HEADER;
            }
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

/// The first bytes of what most packets are, TCP over IPv4 with no options but the time stamps that hosts put into every
/// segment: they are read without a call of the kernel.
#[repr(C)]
#[derive(Default)]
struct Usual {
    ip: [u8; 20],
    tcp: [u8; 20],
    options: [u8; 12],
}

impl Usual {
    /// Reads them; zeros where they do not lie in one piece, as they do in nearly every packet, or it is of another protocol.
    #[inline(always)]
    fn load(context: &TcContext, layer: Layer) -> Self {
        // SAFETY: the kernel gave the address of this context, and checks every access to its fields.
        let protocol = unsafe { (*context.skb.skb).protocol };
        if layer == Layer::Ethernet && protocol != u32::from(TYPE_IPV4.to_be()) {
            return Self::default();
        }
        #[allow(clippy::as_conversions, reason = "widening, which has no conversion trait")]
        let from = context.data() + layer.header() as usize;
        if from + size_of::<Self>() > context.data_end() {
            return Self::default();
        }
        #[allow(clippy::as_conversions, reason = "the kernel shows packets as numbers that are addresses")]
        let bytes = from as *const Self;
        // SAFETY: all of it lies before the end, and the structure is made of bytes alone.
        unsafe { bytes.read() }
    }

    /// Whether the packet is one of those.
    #[inline(always)]
    fn is_it(&self) -> bool {
        self.ip[0] == 0x45
            && !ip::is_fragment(self.ip)
            && self.ip[9] == TCP
            && u32::from(self.tcp[12] >> 4) * 4 == tcp::HEADER + 12
            && self.options.first_chunk() == Some(&[1, 1, 8, 10])
    }

    #[inline(always)]
    fn time_stamps(&self) -> u64 {
        let [_, _, _, _, stamps @ ..] = self.options;
        u64::from_be_bytes(stamps)
    }
}

impl Layer {
    /// The bytes before the header of IP.
    #[inline(always)]
    fn header(self) -> u32 {
        match self {
            Self::Ethernet => ETHERNET_HEADER,
            Self::Ip => 0,
        }
    }

    /// Reads the header of IP, of whichever version; nothing where it is another protocol.
    #[inline(always)]
    fn ip(self, context: &TcContext) -> Option<Ip> {
        let at = self.header();
        let version = match self {
            Self::Ethernet => match u16::from_be_bytes(load(context, at - 2)?) {
                TYPE_IPV4 => 4,
                TYPE_IPV6 => 6,
                _ => return None,
            },
            Self::Ip => load::<1>(context, at)?[0] >> 4,
        };
        match version {
            4 => ip::v4(context, at, load(context, at)?),
            6 => ip::v6(context, at),
            _ => None,
        }
    }
}

/// Whether a packet is one of a VLAN, which the interface below that one shows as well, and whose addresses may be those of
/// another network.
///
/// The kernel takes a tag out of the bytes on the way in, and mostly leaves it beside them on the way out; one that is still
/// in them is a type that is not looked for.
#[inline(always)]
fn is_of_vlan(context: &TcContext) -> bool {
    // SAFETY: the kernel gave the address of this context, and checks every access to its fields.
    let (tagged, tag) = unsafe {
        let skb = context.skb.skb;
        ((*skb).vlan_present, (*skb).vlan_tci)
    };
    tagged != 0 && tag & VLAN_NUMBER != 0
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
