// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who may open a flow from outside: nobody, unless a rule of the configuration says so, and then to our own addresses
//! only. Ping and the replies to our own flows need no rule.

use core::net::IpAddr;
use core::ops::RangeInclusive;
use std::collections::BTreeSet;

use ratman_types::Address;

use crate::packet::{PacketInfo, Transport};

/// Rules that a configuration may have: a scan of all of them per new flow stays below a microsecond.
pub const MAX_RULES: usize = 256;

/// Whom a rule lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Everybody in the mesh.
    Any,
    /// The remotes of the configured routes.
    Configured,
    /// One remote.
    Remote(Address),
}

/// What a rule lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrying {
    /// TCP connections and UDP.
    TcpAndUdp,
    /// TCP connections.
    Tcp,
    /// UDP.
    Udp,
}

/// One rule: what matches all three parts may open a flow to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptRule {
    /// From whom.
    pub from: From,
    /// By which protocol.
    pub carrying: Carrying,
    /// To which ports; to all if there is none.
    pub ports: Vec<RangeInclusive<u16>>,
}

/// The rules; without any, everything is denied.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    rules: Vec<AcceptRule>,
    configured: BTreeSet<Address>,
}

impl Admission {
    /// Takes the rules, of which only the first [`MAX_RULES`] count, and the remotes of the configured routes.
    pub fn new(mut rules: Vec<AcceptRule>, configured: BTreeSet<Address>) -> Self {
        rules.truncate(MAX_RULES);
        Self { rules, configured }
    }

    /// Whether a packet of `remote` may open a flow to one of `local`, our own addresses. One that opens nothing, such
    /// as a TCP segment from the middle of a connection, may not, nor one for a host behind us.
    pub fn admits(&self, info: &PacketInfo, remote: &Address, local: &[IpAddr]) -> bool {
        if !local.contains(&info.destination) {
            return false;
        }
        let (carrying, port) = match info.transport {
            Transport::Tcp { destination, flags, .. } if flags.opens() => (Carrying::Tcp, destination),
            Transport::Udp { destination, .. } => (Carrying::Udp, destination),
            Transport::Tcp { .. }
            | Transport::EchoRequest { .. }
            | Transport::EchoReply { .. }
            | Transport::IcmpError
            | Transport::OtherIcmp(_)
            | Transport::Other
            | Transport::LaterFragment => return false,
        };
        self.rules.iter().any(|rule| {
            (rule.carrying == carrying || rule.carrying == Carrying::TcpAndUdp)
                && (rule.ports.is_empty() || rule.ports.iter().any(|ports| ports.contains(&port)))
                && match rule.from {
                    From::Any => true,
                    From::Configured => self.configured.contains(remote),
                    From::Remote(address) => address == *remote,
                }
        })
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::packet::samples::{ACK, FIN, RST, SYN, ip, tcp, udp};

    const FRIEND: Address = Address::from_bytes([1; 32]);
    const STRANGER: Address = Address::from_bytes([2; 32]);
    const LOCAL: [IpAddr; 2] =
        [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), IpAddr::V6(Ipv6Addr::new(0xFD00, 0, 0, 0, 0, 0, 0, 2))];

    fn tcp_to(port: u16, flags: u8) -> PacketInfo {
        PacketInfo::parse(&ip("10.0.0.1", "10.0.0.2", 6, &tcp(4000, port, flags))).unwrap()
    }

    fn udp_to(port: u16) -> PacketInfo {
        PacketInfo::parse(&ip("fd00::1", "fd00::2", 17, &udp(4000, port, b"data"))).unwrap()
    }

    fn admission(from: From, carrying: Carrying, ports: &[RangeInclusive<u16>]) -> Admission {
        let rule = AcceptRule { from, carrying, ports: ports.to_vec() };
        Admission::new(vec![rule], BTreeSet::from([FRIEND]))
    }

    #[test]
    fn without_rules_nobody_comes_in() {
        assert!(!Admission::default().admits(&tcp_to(22, SYN), &FRIEND, &LOCAL));
    }

    #[test]
    fn a_rule_names_who_and_what() {
        let syn = |port| tcp_to(port, SYN);
        let rules = admission(From::Configured, Carrying::Tcp, &[22..=22, 8000..=8099]);
        for (port, admitted) in
            [(22, true), (23, false), (7999, false), (8000, true), (8099, true), (8100, false)]
        {
            assert_eq!(rules.admits(&syn(port), &FRIEND, &LOCAL), admitted, "port {port}");
            assert!(!rules.admits(&syn(port), &STRANGER, &LOCAL), "port {port}");
            assert!(!rules.admits(&udp_to(port), &FRIEND, &LOCAL), "port {port}");
        }
        let everything = admission(From::Remote(STRANGER), Carrying::TcpAndUdp, &[]);
        assert!(
            everything.admits(&syn(1), &STRANGER, &LOCAL)
                && everything.admits(&udp_to(65_535), &STRANGER, &LOCAL)
        );
        assert!(!everything.admits(&syn(1), &FRIEND, &LOCAL));
        assert!(admission(From::Any, Carrying::Udp, &[]).admits(&udp_to(53), &STRANGER, &LOCAL));
    }

    #[test]
    fn no_rule_is_about_hosts_behind_us() {
        let rules = admission(From::Any, Carrying::TcpAndUdp, &[]);
        for (at, packet) in [(0, tcp_to(22, SYN)), (1, udp_to(53))] {
            assert!(rules.admits(&packet, &FRIEND, &LOCAL[at..=at]));
            assert!(!rules.admits(&packet, &FRIEND, &LOCAL[1 - at..=1 - at]));
            assert!(!rules.admits(&packet, &FRIEND, &[]));
        }
    }

    #[test]
    fn what_opens_nothing_is_not_admitted() {
        let rules = admission(From::Any, Carrying::TcpAndUdp, &[]);
        for flags in [ACK, SYN | ACK, RST, FIN] {
            assert!(!rules.admits(&tcp_to(22, flags), &FRIEND, &LOCAL), "flags {flags:#x}");
        }
    }

    #[test]
    fn rules_have_a_limit() {
        let rule = |port| AcceptRule { from: From::Any, carrying: Carrying::Udp, ports: vec![port..=port] };
        let rules = (1..=u16::try_from(MAX_RULES).unwrap() + 1).map(rule).collect();
        let admission = Admission::new(rules, BTreeSet::new());
        let last = u16::try_from(MAX_RULES).unwrap();
        assert!(admission.admits(&udp_to(last), &FRIEND, &LOCAL));
        assert!(!admission.admits(&udp_to(last + 1), &FRIEND, &LOCAL));
    }
}
