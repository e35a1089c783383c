// SPDX-License-Identifier: AGPL-3.0-or-later
//! Packets for the tests, made by `etherparse`: a second opinion on every header and checksum.

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6Header, TcpHeader, UdpHeader};
use proptest::prelude::*;

use super::VirtioNetHeader;

/// A flow's worth of payload, and what its super-packet and its segments have in common.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) v6: bool,
    pub(super) tcp: Option<TcpHeader>,
    pub(super) ip_options: Vec<u8>,
    pub(super) identification: u16,
    pub(super) payload: Vec<u8>,
}

impl Sample {
    pub(super) fn tcp(v6: bool, payload: usize) -> Self {
        let mut tcp = TcpHeader::new(40_000, 443, 0xffff_ff00, 512);
        tcp.ack = true;
        Self { tcp: Some(tcp), ..Self::udp(v6, payload) }
    }

    pub(super) fn udp(v6: bool, payload: usize) -> Self {
        let payload = (0..payload).map(|at| u8::try_from(at % 251).unwrap()).collect();
        Self { v6, tcp: None, ip_options: Vec::new(), identification: 0xfffe, payload }
    }

    /// The header that a kernel would put before the super-packet.
    pub(super) fn header(&self, gso_size: u16) -> VirtioNetHeader {
        let ip = if self.v6 { 40 } else { 20 + self.ip_options.len() };
        let (transport, offset) = self.tcp.as_ref().map_or((8, 6), |tcp| (tcp.header_len(), 16));
        let gso_type = match (&self.tcp, self.v6) {
            (Some(_), false) => 1,
            (Some(_), true) => 4,
            (None, _) => 5,
        };
        VirtioNetHeader {
            flags: VirtioNetHeader::NEEDS_CSUM,
            gso_type: if gso_size == 0 { 0 } else { gso_type },
            hdr_len: u16::try_from(ip + transport).unwrap(),
            gso_size,
            csum_start: u16::try_from(ip).unwrap(),
            csum_offset: offset,
        }
    }

    /// Everything in one packet; its transport checksum is no checksum yet.
    pub(super) fn super_packet(&self) -> Vec<u8> {
        let header = self.header(0);
        let mut packet = self.packet(0, 0, &self.payload, true);
        let field = usize::from(header.csum_start + header.csum_offset);
        packet[field..field + 2].copy_from_slice(&[0x12, 0x34]);
        packet
    }

    /// What the receivers should see: each segment made from scratch.
    pub(super) fn segments(&self, size: usize) -> Vec<Vec<u8>> {
        let count = self.payload.chunks(size).count();
        let chunks = self.payload.chunks(size).enumerate();
        chunks.map(|(at, chunk)| self.packet(at, at * size, chunk, at + 1 == count)).collect()
    }

    /// Packet `number`, for the `chunk` at byte `offset` of the payload, with complete checksums.
    fn packet(&self, number: usize, offset: usize, chunk: &[u8], last: bool) -> Vec<u8> {
        let (v4, v6) = (self.v4_header(chunk.len(), number), self.v6_header(chunk.len()));
        let transport = match &self.tcp {
            Some(tcp) => {
                let mut tcp = tcp.clone();
                tcp.sequence_number = tcp.sequence_number.wrapping_add(u32::try_from(offset).unwrap());
                tcp.cwr &= number == 0;
                tcp.fin &= last;
                tcp.psh &= last;
                tcp.checksum = match self.v6 {
                    false => tcp.calc_checksum_ipv4(&v4, chunk).unwrap(),
                    true => tcp.calc_checksum_ipv6(&v6, chunk).unwrap(),
                };
                tcp.to_bytes().to_vec()
            }
            None => {
                let length = u16::try_from(8 + chunk.len()).unwrap();
                let mut udp = UdpHeader { source_port: 1, destination_port: 2, length, checksum: 0 };
                udp.checksum = match self.v6 {
                    false => udp.calc_checksum_ipv4(&v4, chunk).unwrap(),
                    true => udp.calc_checksum_ipv6(&v6, chunk).unwrap(),
                };
                udp.to_bytes().to_vec()
            }
        };
        let network = if self.v6 { v6.to_bytes().to_vec() } else { v4.to_bytes().to_vec() };
        [network, transport, chunk.to_vec()].concat()
    }

    fn transport_len(&self) -> usize {
        self.tcp.as_ref().map_or(8, TcpHeader::header_len)
    }

    fn protocol(&self) -> IpNumber {
        if self.tcp.is_some() { IpNumber::TCP } else { IpNumber::UDP }
    }

    fn v4_header(&self, payload: usize, number: usize) -> Ipv4Header {
        let number = u16::try_from(number).unwrap();
        let mut header = Ipv4Header {
            total_len: u16::try_from(20 + self.ip_options.len() + self.transport_len() + payload).unwrap(),
            identification: self.identification.wrapping_add(number),
            dont_fragment: true,
            fragment_offset: IpFragOffset::ZERO,
            time_to_live: 63,
            protocol: self.protocol(),
            source: [10, 0, 0, 1],
            destination: [192, 168, 7, 9],
            options: self.ip_options.as_slice().try_into().unwrap(),
            ..Ipv4Header::default()
        };
        header.header_checksum = header.calc_header_checksum();
        header
    }

    fn v6_header(&self, payload: usize) -> Ipv6Header {
        Ipv6Header {
            traffic_class: 2,
            payload_length: u16::try_from(self.transport_len() + payload).unwrap(),
            next_header: self.protocol(),
            hop_limit: 63,
            source: [0xfd; 16],
            destination: [0x20; 16],
            ..Ipv6Header::default()
        }
    }
}

/// Any TCP or UDP sample: all flags, options of both headers, both IP versions, empty to a few segments.
pub(super) fn any_sample() -> impl Strategy<Value = Sample> {
    let tcp = (any::<[u32; 2]>(), any::<[bool; 8]>(), any::<[u16; 4]>(), 0..=10_usize).prop_map(
        |([sequence, acknowledgment], flags, [source, destination, window, urgent], words)| {
            let mut tcp = TcpHeader::new(source, destination, sequence, window);
            tcp.acknowledgment_number = acknowledgment;
            tcp.urgent_pointer = urgent;
            [tcp.ns, tcp.fin, tcp.syn, tcp.psh, tcp.ack, tcp.ece, tcp.urg, tcp.cwr] = flags;
            tcp.set_options_raw(&vec![1; words * 4]).unwrap();
            tcp
        },
    );
    let payload = prop::collection::vec(any::<u8>(), 0..4_000);
    (any::<bool>(), prop::option::of(tcp), 0..=10_usize, any::<u16>(), payload).prop_map(
        |(v6, tcp, words, identification, payload)| {
            let ip_options = if v6 { Vec::new() } else { vec![1; words * 4] };
            Sample { v6, tcp, ip_options, identification, payload }
        },
    )
}
