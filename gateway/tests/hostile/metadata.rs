// SPDX-License-Identifier: AGPL-3.0-or-later
//! virtio-net metadata that lies about its packet, out of the session of a remote that may connect to us: every row of the
//! table of writes (the data-path note; at the device alone `gateway-tun` tests them). Where the kernel would be
//! misled it sees nothing; where the packet itself tells the truth, the kernel is told that.

use gateway_core::offload::VirtioNetHeader;

use crate::device::{OPEN_PORT, Victim};
use crate::packets::{PORT, SYN, changed, is_tcp_from, syn, tcp, with_partial_checksum};

/// Of a super-packet that asks for a connection with 3000 bytes of data, in segments of 1000.
const GOOD: VirtioNetHeader = VirtioNetHeader {
    flags: VirtioNetHeader::NEEDS_CSUM,
    gso_type: 1,
    hdr_len: 40,
    gso_size: 1_000,
    csum_start: 20,
    csum_offset: 16,
};

impl Victim {
    /// The packet that [`GOOD`] belongs to.
    fn super_packet(&self, port: u16) -> Vec<u8> {
        let (own, inside) = self.v4;
        with_partial_checksum(&tcp(own, inside, (port, OPEN_PORT), SYN, &[0xa5; 3_000]))
    }

    fn send_with(&self, metadata: VirtioNetHeader, packet: &[u8]) {
        self.rogue.send_packet(self.a, metadata.to_wire(), packet);
    }

    /// Segments that A's kernel dropped for their checksum.
    fn checksum_errors(&self) -> u64 {
        let node = self.mesh.a.node();
        let table = node.run("cat", &["/proc/net/snmp"], node.limit()).unwrap();
        let mut rows = table.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
        let at = names.split(' ').position(|name| name == "InCsumErrors").unwrap();
        values.split(' ').nth(at).unwrap().parse().unwrap()
    }
}

#[test]
fn metadata_that_would_mislead_the_kernel() {
    let victim = Victim::new();
    let packet = victim.super_packet(PORT);
    let rows = [
        ("csum_start beyond", VirtioNetHeader { csum_start: 4_000, ..GOOD }),
        ("csum_start in the payload", VirtioNetHeader { csum_start: 60, ..GOOD }),
        ("csum_start in the IP header", VirtioNetHeader { csum_start: 0, ..GOOD }),
        ("csum_offset beyond", VirtioNetHeader { csum_offset: 4_000, ..GOOD }),
        ("csum_offset of UDP", VirtioNetHeader { csum_offset: 6, ..GOOD }),
        ("the largest sums", VirtioNetHeader { csum_start: u16::MAX, csum_offset: u16::MAX, ..GOOD }),
        ("gso_size 0", VirtioNetHeader { gso_size: 0, ..GOOD }),
        ("3000 segments", VirtioNetHeader { gso_size: 1, ..GOOD }),
        ("TCPv6 on IPv4", VirtioNetHeader { gso_type: 4, ..GOOD }),
        ("UDP on TCP", VirtioNetHeader { gso_type: 5, ..GOOD }),
        ("UFO", VirtioNetHeader { gso_type: 3, ..GOOD }),
        ("unknown type", VirtioNetHeader { gso_type: 9, ..GOOD }),
        ("ECN of no type", VirtioNetHeader { gso_type: 0x80, ..GOOD }),
        ("GSO without NEEDS_CSUM", VirtioNetHeader { flags: 0, ..GOOD }),
        ("GSO with DATA_VALID instead", VirtioNetHeader { flags: VirtioNetHeader::DATA_VALID, ..GOOD }),
        ("unknown flags", VirtioNetHeader { flags: 0x81, ..GOOD }),
    ];
    let before = victim.device();
    let mut books = victim.books();
    for (name, metadata) in rows {
        victim.send_with(metadata, &packet);
        books.expect_row(name, "bad_metadata");
    }
    // The rows of the table that lie in the packet; but an empty packet has no form between gateways.
    for (name, reason, first) in
        [("IP version 0", "bad_version", 0x05), ("IP version 15", "bad_version", 0xf5)]
    {
        victim.send_with(GOOD, &changed(&packet, |packet| packet[0] = first));
        books.expect_row(name, reason);
    }
    victim.has_refused_all(before, books);
}

#[test]
fn metadata_that_is_corrected_or_harmless() {
    let victim = Victim::new();
    let rows = [
        ("as it was", GOOD),
        ("ECN", VirtioNetHeader { gso_type: 0x81, ..GOOD }),
        ("gso_size above the MTU", VirtioNetHeader { gso_size: 2_000, ..GOOD }),
        ("a packet above the MTU", VirtioNetHeader { gso_type: 0, gso_size: 0, ..GOOD }),
        // The kernel would refuse this one.
        ("hdr_len beyond", VirtioNetHeader { hdr_len: 4_000, ..GOOD }),
        ("hdr_len 0", VirtioNetHeader { hdr_len: 0, ..GOOD }),
        ("hdr_len wrong", VirtioNetHeader { hdr_len: 77, ..GOOD }),
        ("one segment", VirtioNetHeader { gso_size: 3_000, ..GOOD }),
        ("DATA_VALID beside NEEDS_CSUM", VirtioNetHeader { flags: 3, ..GOOD }),
    ];
    let before = victim.device();
    let books = victim.books();
    for ((name, metadata), port) in rows.into_iter().zip(PORT..) {
        victim.send_with(metadata, &victim.super_packet(port));
        // That nobody listens is said in one answer about all 3000 bytes, so that they came as one packet.
        let refusal = [&port.to_be_bytes()[..], &[0; 4], &3_001_u32.to_be_bytes()].concat();
        let is_it = |packet: &[u8]| is_tcp_from(packet, OPEN_PORT) && packet[22..32] == refusal;
        victim.rogue.packet(&format!("the kernel to refuse: {name}"), is_it);
    }
    let sent = u64::try_from(rows.len()).unwrap();
    assert_eq!(victim.device(), before.after(sent), "each was written once");
    books.close();
    victim.is_unharmed();
}

/// Nobody but the kernel verifies checksums: so it must be left to, whatever the metadata say.
#[test]
fn metadata_do_not_vouch_for_checksums() {
    let victim = Victim::new();
    let (own, inside) = victim.v4;
    let (before, errors) = (victim.device(), victim.checksum_errors());
    let wrong = changed(&syn(own, inside, OPEN_PORT), |packet| packet[37] ^= 1);
    victim.send_with(VirtioNetHeader { flags: VirtioNetHeader::DATA_VALID, ..VirtioNetHeader::NONE }, &wrong);
    // A partial checksum that claims to be complete is but another wrong one.
    victim.send_with(VirtioNetHeader::NONE, &with_partial_checksum(&syn(own, inside, OPEN_PORT)));
    victim.is_answered(victim.v4);
    assert_eq!(victim.checksum_errors() - errors, 2);
    assert_eq!(victim.device(), before.after(3));
    victim.is_unharmed();
}
