// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a frame is: its mode, and the class that says how it travels (source: wire page, table of modes).

/// The mode of a carrier frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(pub u16);

impl Mode {
    /// An address announcement; flooded.
    pub const ANNOUNCEMENT: Self = Self(4);
    /// One slice of an ERIS block; routed, to a namespace flooded.
    pub const DATA: Self = Self(8);
    /// One slice of a sealed manifest; routed, to a namespace flooded.
    pub const MANIFEST: Self = Self(9);
    /// Whole ERIS blocks, several to a frame; routed, to a namespace flooded.
    pub const PACKED: Self = Self(10);
    /// Announces a large stream to its recipient; routed.
    pub const PUSH_NOTICE: Self = Self(16);
    /// The recipient does not want a stream; routed.
    pub const DENY_NOTICE: Self = Self(17);
    /// Asks the sender of a manifest for blocks; routed.
    pub const PULL_REQUEST: Self = Self(18);
    /// The recipient has a stream, or refused it; routed.
    pub const RECEIPT: Self = Self(19);
    /// The recipient tells how much of a stream has come; routed.
    pub const PROGRESS: Self = Self(20);
    /// Netmod peering: who dials.
    pub const HELLO: Self = Self(32);
    /// Netmod peering: who listens.
    pub const ACK: Self = Self(33);
    /// Netmod peering: the nonce that the other is to sign.
    pub const CHALLENGE: Self = Self(34);
    /// Netmod peering: the signature that proves a router key.
    pub const PROOF: Self = Self(35);
    /// One packet of a train that measures a link.
    pub const TRAIN: Self = Self(36);
    /// When the packets of a train arrived.
    pub const TRAIN_REPORT: Self = Self(37);
    /// A router's statement about itself; one hop.
    pub const ROUTER_META: Self = Self(64);
    /// The addresses that a router knows ways to; one hop.
    pub const SYNC_SCOPE_REQUEST: Self = Self(66);
    /// Asks which source a router runs; one hop.
    pub const SOURCE_REQUEST: Self = Self(67);
    /// The answer to [`Mode::SOURCE_REQUEST`]; one hop.
    pub const SOURCE_RESPONSE: Self = Self(68);
    /// A frame too large for the link follows in fragments; one hop.
    pub const LINK_LEAP_NOTICE: Self = Self(69);
    /// The links of routers; one hop.
    pub const TOPOLOGY_DIGEST: Self = Self(70);
    /// Asks a neighbour to answer at once; one hop.
    pub const ECHO_REQUEST: Self = Self(71);
    /// The answer to [`Mode::ECHO_REQUEST`]; one hop.
    pub const ECHO_REPLY: Self = Self(72);
    /// A piece of a frame that is too large for the link; one hop.
    pub const LEAP_FRAGMENT: Self = Self(73);
    /// A neighbour has stored frames durably; one hop.
    pub const CUSTODY: Self = Self(74);
    /// Probe of a namespace, and its answer.
    pub const ANYCAST: Self = Self(128);
    /// The first message of a session handshake.
    pub const SESSION_INITIATION: Self = Self(0x8001);
    /// The second message of a session handshake.
    pub const SESSION_RESPONSE: Self = Self(0x8002);
    /// Sealed IP packets.
    pub const SESSION_DATA: Self = Self(0x8003);
    /// The cookie that a gateway under load asks for.
    pub const SESSION_COOKIE: Self = Self(0x8004);
    /// A relay's report about a session frame that it dropped.
    pub const PATH_REPORT: Self = Self(0x8005);

    /// How frames of this mode travel.
    pub const fn class(self) -> ModeClass {
        match self.0 {
            4 => ModeClass::Announcement,
            8..=10 | 16..=20 => ModeClass::Stream,
            32..=63 => ModeClass::Peering,
            64 | 66..=74 => ModeClass::OneHop,
            128 => ModeClass::Anycast,
            0x8001..=0x8005 => ModeClass::Session,
            0x8000 | 0x8006..=u16::MAX => ModeClass::User,
            0..=3 | 5..=7 | 11..=15 | 21..=31 | 65 | 75..=127 | 129..=0x7fff => ModeClass::Unknown,
        }
    }

    /// Whether a frame of this mode that is addressed to a namespace is flooded to all of its subscribers.
    ///
    /// Notices, requests, receipts and progress are from one address to one other.
    pub const fn floods_to_namespaces(self) -> bool {
        matches!(self, Self::DATA | Self::MANIFEST | Self::PACKED)
    }
}

/// How frames of a mode travel and who must have signed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeClass {
    /// Flooded; carries signatures of its own inside.
    Announcement,
    /// Blocks, manifests and notices of a stream: routed, signed by the sender.
    Stream,
    /// Between two netmods; never reaches the router.
    Peering,
    /// Between two neighbours, signed by the router id that was proven on the link.
    OneHop,
    /// Probe of a namespace.
    Anycast,
    /// A gateway session's own range: routed, unsigned, sealed end to end.
    Session,
    /// User range: routed if addressed and signed, never delivered to us.
    User,
    /// Not a mode of this network: dropped and counted.
    Unknown,
}

/// Whose signature a frame carries in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// The sender's, over [`Frame::signed_bytes`](crate::Frame::signed_bytes), verified at every hop.
    Sender,
    /// The neighbour's on this link, over [`Frame::hop_signed_bytes`](crate::Frame::hop_signed_bytes).
    Hop,
    /// Nobody's: what is to be proven, the payload proves.
    Nobody,
}

impl ModeClass {
    /// Whose signature frames of this class carry.
    pub const fn signed_by(self) -> SignedBy {
        match self {
            Self::Stream | Self::Anycast | Self::User => SignedBy::Sender,
            Self::OneHop => SignedBy::Hop,
            Self::Announcement | Self::Peering | Self::Session | Self::Unknown => SignedBy::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_of_the_page_has_its_class() {
        use SignedBy::{Hop, Nobody, Sender};
        let table = [
            (ModeClass::Announcement, Nobody, &[4][..]),
            (ModeClass::Stream, Sender, &[8, 9, 10, 16, 17, 18, 19, 20]),
            (ModeClass::Peering, Nobody, &[32, 35, 37, 63]),
            (ModeClass::OneHop, Hop, &[64, 66, 69, 70, 71, 72, 73, 74]),
            (ModeClass::Anycast, Sender, &[128]),
            (ModeClass::Session, Nobody, &[0x8001, 0x8002, 0x8003, 0x8004, 0x8005]),
            (ModeClass::User, Sender, &[0x8000, 0x8006, 0xffff]),
            (ModeClass::Unknown, Nobody, &[0, 3, 5, 7, 11, 15, 21, 31, 65, 75, 127, 129, 0x7fff]),
        ];
        for (class, signed_by, modes) in table {
            for mode in modes {
                assert_eq!(Mode(*mode).class(), class, "mode {mode}");
                assert_eq!(class.signed_by(), signed_by, "mode {mode}");
            }
        }
    }

    #[test]
    fn every_named_mode_has_the_number_of_the_page() {
        let numbers = [
            (Mode::ANNOUNCEMENT, 4),
            (Mode::DATA, 8),
            (Mode::MANIFEST, 9),
            (Mode::PACKED, 10),
            (Mode::PUSH_NOTICE, 16),
            (Mode::DENY_NOTICE, 17),
            (Mode::PULL_REQUEST, 18),
            (Mode::RECEIPT, 19),
            (Mode::PROGRESS, 20),
            (Mode::ROUTER_META, 64),
            (Mode::SYNC_SCOPE_REQUEST, 66),
            (Mode::SOURCE_REQUEST, 67),
            (Mode::SOURCE_RESPONSE, 68),
            (Mode::LINK_LEAP_NOTICE, 69),
            (Mode::TOPOLOGY_DIGEST, 70),
            (Mode::ECHO_REQUEST, 71),
            (Mode::ECHO_REPLY, 72),
            (Mode::LEAP_FRAGMENT, 73),
            (Mode::CUSTODY, 74),
            (Mode::ANYCAST, 128),
        ];
        for (mode, number) in numbers {
            assert_eq!(mode.0, number);
            assert_eq!(mode.floods_to_namespaces(), (8..=10).contains(&number), "mode {number}");
        }
    }
}
