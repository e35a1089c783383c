// SPDX-License-Identifier: AGPL-3.0-or-later
//! The other side of the device: reads and writes raw packets as a remote gateway would, and speaks just enough TCP.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpNumber, Ipv4Header, Ipv6Header, TcpHeader, TcpHeaderSlice, UdpHeader};
use gateway_core::offload::{Segments, check};
use gateway_tun::{IoError, RECV_BUFFER, Tun, VirtioNetHeader};

static NEXT_PORT: AtomicU16 = AtomicU16::new(40_000);

/// A remote with one port at each end; it reads and writes on one queue of the device.
pub(crate) struct Remote<'a> {
    pub(crate) tun: &'a Tun,
    pub(crate) here: SocketAddr,
    pub(crate) there: SocketAddr,
    queue: u8,
    buffer: Vec<u8>,
}

/// One packet for the remote, its transport payload apart.
pub(crate) struct Arrived {
    pub(crate) header: VirtioNetHeader,
    pub(crate) packet: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) tcp: Option<TcpHeader>,
}

impl<'a> Remote<'a> {
    pub(crate) fn new(tun: &'a Tun, here: &str, there: SocketAddr) -> Self {
        Self::on_queue(0, tun, here, there)
    }

    pub(crate) fn on_queue(queue: u8, tun: &'a Tun, here: &str, there: SocketAddr) -> Self {
        // A port of its own: the kernel may still hold a connection of the one before.
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let here = SocketAddr::new(here.parse().unwrap(), port);
        Self { tun, here, there, queue, buffer: vec![0; RECV_BUFFER] }
    }

    /// A datagram, or a super-packet of datagrams of `gso_size` bytes; its checksum is partial.
    pub(crate) fn udp(&self, payload: &[u8], gso_size: u16) -> (VirtioNetHeader, Vec<u8>) {
        let length = u16::try_from(8 + payload.len()).unwrap();
        let udp = UdpHeader {
            source_port: self.here.port(),
            destination_port: self.there.port(),
            length,
            checksum: 0,
        };
        self.packet(IpNumber::UDP, &udp.to_bytes(), payload, gso_size)
    }

    /// A segment, or a super-packet of segments of `gso_size` bytes; its checksum is partial.
    pub(crate) fn tcp(
        &self,
        header: &TcpHeader,
        payload: &[u8],
        gso_size: u16,
    ) -> (VirtioNetHeader, Vec<u8>) {
        self.packet(IpNumber::TCP, &header.to_bytes(), payload, gso_size)
    }

    fn packet(
        &self,
        protocol: IpNumber,
        transport: &[u8],
        payload: &[u8],
        gso_size: u16,
    ) -> (VirtioNetHeader, Vec<u8>) {
        let ip = ip_header(self.here.ip(), self.there.ip(), protocol, transport.len() + payload.len());
        let offset = if protocol == IpNumber::TCP { 16 } else { 6 };
        let gso_type = match (protocol, self.here.is_ipv6()) {
            (IpNumber::TCP, false) => 1,
            (IpNumber::TCP, true) => 4,
            _ => 5,
        };
        let header = VirtioNetHeader {
            flags: VirtioNetHeader::NEEDS_CSUM,
            gso_type: if gso_size == 0 { 0 } else { gso_type },
            hdr_len: u16::try_from(ip.len() + transport.len()).unwrap(),
            gso_size,
            csum_start: u16::try_from(ip.len()).unwrap(),
            csum_offset: offset,
        };
        let mut packet = [&ip, transport, payload].concat();
        let field = ip.len() + usize::from(offset);
        let partial = self.pseudo_header_sum(protocol, transport.len() + payload.len());
        packet[field..field + 2].copy_from_slice(&partial.to_be_bytes());
        (check(&header, &packet).unwrap(), packet)
    }

    fn pseudo_header_sum(&self, protocol: IpNumber, length: usize) -> u16 {
        let length = u16::try_from(length).unwrap().to_be_bytes();
        let sum = match (self.here.ip(), self.there.ip()) {
            (IpAddr::V4(here), IpAddr::V4(there)) => {
                Sum16BitWords::new().add_4bytes(here.octets()).add_4bytes(there.octets())
            }
            (IpAddr::V6(here), IpAddr::V6(there)) => {
                Sum16BitWords::new().add_16bytes(here.octets()).add_16bytes(there.octets())
            }
            _ => panic!("one IP version"),
        };
        !sum.add_2bytes([0, protocol.0]).add_2bytes(length).ones_complement().to_be()
    }

    pub(crate) async fn send(&self, (header, packet): (VirtioNetHeader, Vec<u8>)) {
        self.tun.try_send(self.queue, &header, &packet).unwrap();
    }

    /// The next packet from `there` to `here`; the kernel's own chatter is passed over.
    pub(crate) async fn receive(&mut self) -> Arrived {
        loop {
            match self.tun.try_recv(self.queue, &mut self.buffer) {
                Ok(received) => {
                    let packet = &self.buffer[..received.len];
                    assert!(check(&received.header, packet).is_ok(), "{received:?}");
                    if let Some(arrived) = self.for_us(received.header, packet) {
                        return arrived;
                    }
                }
                Err(IoError::WouldBlock) => self.tun.readable(self.queue).await.unwrap(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn for_us(&self, header: VirtioNetHeader, packet: &[u8]) -> Option<Arrived> {
        let (from, protocol, body) = match packet[0] >> 4 {
            4 => {
                let (ip, body) = Ipv4Header::from_slice(packet).unwrap();
                (IpAddr::from(ip.source), ip.protocol, body)
            }
            _ => {
                let (ip, body) = Ipv6Header::from_slice(packet).unwrap();
                (IpAddr::from(ip.source), ip.next_header, body)
            }
        };
        let port = u16::from_be_bytes(body.get(..2)?.try_into().unwrap());
        if SocketAddr::new(from, port) != self.there {
            return None;
        }
        let (tcp, payload) = match protocol {
            IpNumber::TCP => {
                let tcp = TcpHeaderSlice::from_slice(body).unwrap();
                (Some(tcp.to_header()), body[tcp.slice().len()..].to_vec())
            }
            _ => (None, body[8..].to_vec()),
        };
        Some(Arrived { header, packet: packet.to_vec(), payload, tcp })
    }

    /// Opens a TCP connection; what it returns makes the next segment.
    pub(crate) async fn connect(&mut self) -> TcpHeader {
        let mut tcp = TcpHeader::new(self.here.port(), self.there.port(), 0xffff_f000, 65_000);
        tcp.syn = true;
        tcp.set_options_raw(&[2, 4, 0x05, 0x64]).unwrap(); // MSS 1380
        self.send(self.tcp(&tcp, &[], 0)).await;
        let answer = self.receive().await.tcp.unwrap();
        assert!(answer.syn && answer.ack && !answer.rst);
        tcp.set_options_raw(&[]).unwrap();
        (tcp.syn, tcp.ack) = (false, true);
        tcp.sequence_number = tcp.sequence_number.wrapping_add(1);
        tcp.acknowledgment_number = answer.sequence_number.wrapping_add(1);
        self.send(self.tcp(&tcp, &[], 0)).await;
        tcp
    }

    /// Sends `payload` as one super-packet of segments of `gso_size` bytes.
    pub(crate) async fn send_tcp(&self, tcp: &mut TcpHeader, payload: &[u8], gso_size: u16) {
        self.send(self.next(tcp, payload, gso_size)).await;
    }

    /// The super-packet that is next in the connection.
    pub(crate) fn next(
        &self,
        tcp: &mut TcpHeader,
        payload: &[u8],
        gso_size: u16,
    ) -> (VirtioNetHeader, Vec<u8>) {
        tcp.psh = true;
        let packet = self.tcp(tcp, payload, gso_size);
        tcp.sequence_number = tcp.sequence_number.wrapping_add(u32::try_from(payload.len()).unwrap());
        packet
    }

    /// Receives `length` bytes of the connection, and the packets that brought them.
    pub(crate) async fn receive_tcp(&mut self, tcp: &TcpHeader, length: usize) -> (Vec<u8>, Vec<Arrived>) {
        let (mut stream, mut packets) = (vec![0; length], Vec::new());
        let mut missing = length;
        while missing > 0 {
            let arrived = self.receive().await;
            let sequence = arrived.tcp.as_ref().unwrap().sequence_number;
            let at = usize::try_from(sequence.wrapping_sub(tcp.acknowledgment_number)).unwrap();
            if arrived.payload.is_empty() || at != length - missing {
                continue;
            }
            stream[at..at + arrived.payload.len()].copy_from_slice(&arrived.payload);
            missing -= arrived.payload.len();
            packets.push(arrived);
        }
        (stream, packets)
    }
}

impl Arrived {
    /// Whether the checksum is complete and right.
    pub(crate) fn is_verified(&self) -> bool {
        let start =
            self.packet.len() - self.payload.len() - self.tcp.as_ref().map_or(8, TcpHeader::header_len);
        let offset = if self.tcp.is_some() { 16 } else { 6 };
        let header = VirtioNetHeader {
            flags: VirtioNetHeader::NEEDS_CSUM,
            csum_start: u16::try_from(start).unwrap(),
            csum_offset: offset,
            ..VirtioNetHeader::NONE
        };
        let mut segments = Segments::new(&header, &self.packet).unwrap();
        let again = segments.next_segment().unwrap();
        [again.headers, again.payload].concat() == self.packet
    }
}

fn ip_header(from: IpAddr, to: IpAddr, protocol: IpNumber, payload: usize) -> Vec<u8> {
    let payload = u16::try_from(payload).unwrap();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut ip = Ipv4Header::new(payload, 64, protocol, from.octets(), to.octets()).unwrap();
            ip.header_checksum = ip.calc_header_checksum();
            ip.to_bytes().to_vec()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => Ipv6Header {
            payload_length: payload,
            next_header: protocol,
            hop_limit: 64,
            source: from.octets(),
            destination: to.octets(),
            ..Ipv6Header::default()
        }
        .to_bytes()
        .to_vec(),
        _ => panic!("one IP version"),
    }
}
