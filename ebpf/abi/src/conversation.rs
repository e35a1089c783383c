// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whose packets are counted.

/// The protocol number of TCP (source: IANA).
pub const TCP: u8 = 6;
/// The protocol number of UDP (source: IANA).
pub const UDP: u8 = 17;

/// Both ends of a conversation, and the interface that it crosses: what a packet has to match to be credited.
///
/// All of it, as two neighbours may share an address (behind one NAT), and one address may mean two neighbours
/// (`fe80::1` on two interfaces).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conversation {
    /// Our address; IPv4 as in `::ffff:192.0.2.1`.
    pub local: [u8; 16],
    /// The neighbour's address, likewise.
    pub remote: [u8; 16],
    /// The kernel's number of the interface.
    pub interface: u32,
    /// Our port; 0 for protocols other than [`TCP`] and [`UDP`].
    pub local_port: u16,
    /// The neighbour's port, likewise.
    pub remote_port: u16,
    /// The number after all extension headers of IPv6.
    pub protocol: u8,
    /// Always 0: the kernel compares every byte of a key.
    pub zero: [u8; 3],
}

const _: () = assert!(size_of::<Conversation>() == 44 && align_of::<Conversation>() == 4);

/// An IPv4 address as an IPv6 address (source: RFC 4291, section 2.5.5.2).
#[inline(always)]
#[must_use]
pub const fn mapped(v4: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]]
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    #[test]
    fn addresses_are_mapped_as_everybody_does() {
        let address = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(mapped(address.octets()), address.to_ipv6_mapped().octets());
    }

    #[test]
    fn the_layout_is_the_one_agreed() {
        assert_eq!(core::mem::offset_of!(Conversation, remote), 16);
        assert_eq!(core::mem::offset_of!(Conversation, interface), 32);
        assert_eq!(core::mem::offset_of!(Conversation, remote_port), 38);
        assert_eq!(core::mem::offset_of!(Conversation, protocol), 40);
        assert_eq!(core::mem::offset_of!(Conversation, zero), 41);
    }
}
