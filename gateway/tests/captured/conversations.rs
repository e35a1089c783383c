// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packets of a capture become what both ends of each TCP connection have said, and that becomes carrier frames.

use std::collections::BTreeMap;
use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use ratman_wire::Frame;

/// Who says something to whom: addresses and ports.
type Way = ((IpAddr, u16), (IpAddr, u16));

/// What was said one way, by sequence number behind that of the SYN.
#[derive(Default)]
struct Said {
    syn: Option<u32>,
    segments: BTreeMap<u32, Vec<u8>>,
}

/// What was said in each direction of each connection, from its begin as far as there are no holes.
pub(crate) fn conversations(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut ways: BTreeMap<Way, Vec<Said>> = BTreeMap::new();
    for packet in packets {
        let Ok(packet) = SlicedPacket::from_ethernet(packet) else { continue };
        let (Some(net), Some(TransportSlice::Tcp(tcp))) = (&packet.net, &packet.transport) else { continue };
        let (from, to): (IpAddr, IpAddr) = match net {
            NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Arp(_) => continue,
        };
        let way = ((from, tcp.source_port()), (to, tcp.destination_port()));
        let of_way = ways.entry(way).or_default();
        let number = tcp.sequence_number();
        // Another connection between the same ports, unless it is the same SYN once more.
        if tcp.syn() && of_way.last().is_none_or(|said| said.syn != Some(number)) {
            of_way.push(Said { syn: Some(number), ..Said::default() });
        }
        let Some(said) = of_way.last_mut() else { continue };
        let Some(syn) = said.syn else { continue };
        let place = number.wrapping_sub(syn).wrapping_sub(1);
        let longer = said.segments.get(&place).is_none_or(|known| known.len() < tcp.payload().len());
        if !tcp.payload().is_empty() && longer {
            said.segments.insert(place, tcp.payload().to_vec());
        }
    }
    ways.into_values().flatten().map(|said| in_a_row(&said.segments)).collect()
}

fn in_a_row(segments: &BTreeMap<u32, Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (place, segment) in segments {
        let known = bytes.len().checked_sub(usize::try_from(*place).unwrap());
        let Some(known) = known else { break };
        bytes.extend_from_slice(segment.get(known..).unwrap_or_default());
    }
    bytes
}

/// The frames of one direction of a link over inet, each behind its length in four bytes; a last one that is not whole is left
/// out, and so are greetings.
pub(crate) fn frames(mut said: &[u8]) -> Vec<Frame<'_>> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = said.split_first_chunk() {
        let Some((frame, rest)) =
            rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).unwrap())
        else {
            break;
        };
        frames.extend(Frame::decode(frame));
        said = rest;
    }
    frames
}
