// SPDX-License-Identifier: AGPL-3.0-or-later
//! The virtio-net header: ten bytes before each packet of an offloading TUN device.

use super::OffloadError;

/// What the kernel left undone for one packet (source: virtio 1.2, section 5.1.6; the ten byte form without
/// `num_buffers`).
///
/// The fields are as they came: [`check`](super::check) is the only way from a foreign header to one that our
/// kernel may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VirtioNetHeader {
    /// [`NEEDS_CSUM`](Self::NEEDS_CSUM) and [`DATA_VALID`](Self::DATA_VALID).
    pub flags: u8,
    /// A [`GsoType`] in its raw form, with [`GSO_ECN`](Self::GSO_ECN) beside TCP.
    pub gso_type: u8,
    /// Bytes of all headers, a hint.
    pub hdr_len: u16,
    /// Payload bytes per segment.
    pub gso_size: u16,
    /// Byte at which the checksummed part starts.
    pub csum_start: u16,
    /// Byte of the checksum field, counted from `csum_start`.
    pub csum_offset: u16,
}

impl VirtioNetHeader {
    /// Bytes of the header, in both forms.
    pub const LEN: usize = 10;
    /// Nothing is left undone: one packet with a complete checksum.
    pub const NONE: Self =
        Self { flags: 0, gso_type: 0, hdr_len: 0, gso_size: 0, csum_start: 0, csum_offset: 0 };
    /// Flag: the checksum field holds the pseudo header's sum only.
    pub const NEEDS_CSUM: u8 = 1;
    /// Flag: somebody has verified the checksum. A claim, so [`check`](super::check) removes it.
    pub const DATA_VALID: u8 = 2;
    /// Bit of `gso_type`: the TCP header carries CWR, which belongs to the first segment only.
    pub const GSO_ECN: u8 = 0x80;

    /// From the device's form: integers in the byte order of this host.
    pub fn from_device(bytes: [u8; Self::LEN]) -> Self {
        Self::decode(bytes, u16::from_ne_bytes)
    }

    /// The device's form.
    pub fn to_device(&self) -> [u8; Self::LEN] {
        self.encode(u16::to_ne_bytes)
    }

    /// From the form that session frames carry: integers big-endian (source: wire page, gateway sessions).
    pub fn from_wire(bytes: [u8; Self::LEN]) -> Self {
        Self::decode(bytes, u16::from_be_bytes)
    }

    /// The form that session frames carry.
    pub fn to_wire(&self) -> [u8; Self::LEN] {
        self.encode(u16::to_be_bytes)
    }

    fn decode(bytes: [u8; Self::LEN], int: fn([u8; 2]) -> u16) -> Self {
        let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1] = bytes;
        Self {
            flags,
            gso_type,
            hdr_len: int([h0, h1]),
            gso_size: int([g0, g1]),
            csum_start: int([s0, s1]),
            csum_offset: int([o0, o1]),
        }
    }

    fn encode(&self, bytes: fn(u16) -> [u8; 2]) -> [u8; Self::LEN] {
        let [h0, h1] = bytes(self.hdr_len);
        let [g0, g1] = bytes(self.gso_size);
        let [s0, s1] = bytes(self.csum_start);
        let [o0, o1] = bytes(self.csum_offset);
        [self.flags, self.gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
    }
}

/// How a super-packet is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GsoType {
    /// Not at all.
    None,
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP datagrams of one size, over either IP version.
    UdpL4,
}

impl GsoType {
    /// UDP fragmentation offload, refused by name.
    const UFO: u8 = 3;

    /// From `gso_type`, with its ECN bit apart.
    ///
    /// # Errors
    ///
    /// [`OffloadError::Ufo`], [`OffloadError::UnknownGsoType`], and [`OffloadError::EcnWithoutTcp`].
    pub fn from_raw(raw: u8) -> Result<(Self, bool), OffloadError> {
        let ecn = raw & VirtioNetHeader::GSO_ECN != 0;
        let gso = match raw & !VirtioNetHeader::GSO_ECN {
            0 => Self::None,
            1 => Self::TcpV4,
            Self::UFO => return Err(OffloadError::Ufo),
            4 => Self::TcpV6,
            5 => Self::UdpL4,
            _ => return Err(OffloadError::UnknownGsoType(raw)),
        };
        match gso {
            Self::None | Self::UdpL4 if ecn => Err(OffloadError::EcnWithoutTcp),
            Self::None | Self::UdpL4 | Self::TcpV4 | Self::TcpV6 => Ok((gso, ecn)),
        }
    }

    /// The value of `gso_type`, without the ECN bit.
    pub const fn to_raw(self) -> u8 {
        match self {
            Self::None => 0,
            Self::TcpV4 => 1,
            Self::TcpV6 => 4,
            Self::UdpL4 => 5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SUPER_PACKET: VirtioNetHeader = VirtioNetHeader {
        flags: VirtioNetHeader::NEEDS_CSUM,
        gso_type: 0x81,
        hdr_len: 0x0034,
        gso_size: 0x0558,
        csum_start: 0x0014,
        csum_offset: 0x0010,
    };

    #[test]
    fn the_wire_form_is_golden() {
        let bytes = [1, 0x81, 0x00, 0x34, 0x05, 0x58, 0x00, 0x14, 0x00, 0x10];
        assert_eq!(SUPER_PACKET.to_wire(), bytes);
        assert_eq!(VirtioNetHeader::from_wire(bytes), SUPER_PACKET);
        assert_eq!(VirtioNetHeader::NONE.to_wire(), [0; VirtioNetHeader::LEN]);
    }

    #[test]
    fn the_device_form_has_the_byte_order_of_the_host() {
        let bytes = SUPER_PACKET.to_device();
        assert_eq!(bytes[2..4], 0x0034_u16.to_ne_bytes());
        assert_eq!(bytes[8..10], 0x0010_u16.to_ne_bytes());
    }

    #[test]
    fn unknown_types_have_their_reason() {
        assert_eq!(GsoType::from_raw(3), Err(OffloadError::Ufo));
        assert_eq!(GsoType::from_raw(0x83), Err(OffloadError::Ufo));
        assert_eq!(GsoType::from_raw(2), Err(OffloadError::UnknownGsoType(2)));
        assert_eq!(GsoType::from_raw(0x20), Err(OffloadError::UnknownGsoType(0x20)));
        assert_eq!(GsoType::from_raw(0x80), Err(OffloadError::EcnWithoutTcp));
        assert_eq!(GsoType::from_raw(0x85), Err(OffloadError::EcnWithoutTcp));
        assert_eq!(GsoType::from_raw(0x84), Ok((GsoType::TcpV6, true)));
    }

    proptest! {
        #[test]
        fn both_forms_return_what_was_put_in(bytes: [u8; VirtioNetHeader::LEN]) {
            prop_assert_eq!(VirtioNetHeader::from_wire(bytes).to_wire(), bytes);
            prop_assert_eq!(VirtioNetHeader::from_device(bytes).to_device(), bytes);
        }

        #[test]
        fn a_known_type_returns_to_its_number(raw: u8) {
            if let Ok((gso, ecn)) = GsoType::from_raw(raw) {
                let bit = if ecn { VirtioNetHeader::GSO_ECN } else { 0 };
                prop_assert_eq!(gso.to_raw() | bit, raw);
            }
        }
    }
}
