// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a frame is: its mode, and the class that says how it travels (source: wire page, table of modes).

/// The mode of a carrier frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(pub u16);

impl Mode {
    /// An address announcement; flooded.
    pub const ANNOUNCEMENT: Self = Self(4);
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
    /// Asks a neighbour to answer at once; one hop.
    pub const ECHO_REQUEST: Self = Self(71);
    /// The answer to [`Mode::ECHO_REQUEST`]; one hop.
    pub const ECHO_REPLY: Self = Self(72);
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
            8..=10 | 16..=19 => ModeClass::Stream,
            32..=63 => ModeClass::Peering,
            64 | 66..=74 => ModeClass::OneHop,
            128 => ModeClass::Anycast,
            0x8001..=0x8005 => ModeClass::Session,
            0x8000 | 0x8006..=u16::MAX => ModeClass::User,
            0..=3 | 5..=7 | 11..=15 | 20..=31 | 65 | 75..=127 | 129..=0x7fff => ModeClass::Unknown,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_of_the_page_has_its_class() {
        let table = [
            (ModeClass::Announcement, &[4][..]),
            (ModeClass::Stream, &[8, 9, 10, 16, 17, 18, 19]),
            (ModeClass::Peering, &[32, 35, 37, 63]),
            (ModeClass::OneHop, &[64, 66, 69, 70, 71, 72, 73, 74]),
            (ModeClass::Anycast, &[128]),
            (ModeClass::Session, &[0x8001, 0x8002, 0x8003, 0x8004, 0x8005]),
            (ModeClass::User, &[0x8000, 0x8006, 0xffff]),
            (ModeClass::Unknown, &[0, 3, 5, 7, 11, 15, 20, 31, 65, 75, 127, 129, 0x7fff]),
        ];
        for (class, modes) in table {
            for mode in modes {
                assert_eq!(Mode(*mode).class(), class, "mode {mode}");
            }
        }
    }
}
