// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[[link]]`: what the operator says about links, by who or what is at their other end.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use ratman_types::RouterId;
use router_core::LinkCost;

use super::error::ConfigError;
use super::layer::Node;
use super::only;
use super::section::{Form, Limit, Section};
use super::value::{ROUTER_KEY, text};

/// As many as peers can be told apart by hand.
pub(super) const LINKS: Limit = Limit { most: 256, expected: "at most 256 tables of links" };

/// Links and what is said about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRule {
    /// The router at the other end; any if none is named.
    pub neighbour: Option<RouterId>,
    /// The prefix in which the other end of the underlay is; anywhere if none is named.
    pub remote: Option<IpNet>,
    /// What is added to the ping of every route over the link, up to 10 s.
    pub cost: LinkCost,
}

impl LinkRule {
    /// Whether it is about a link to `neighbour`, whose other end has this address if the medium is IP.
    pub fn is_about(&self, neighbour: &RouterId, remote: Option<IpAddr>) -> bool {
        let lies_in = |prefix: IpNet| remote.is_some_and(|remote| prefix.contains(&remote.to_canonical()));
        self.neighbour.is_none_or(|named| named == *neighbour) && self.remote.is_none_or(lies_in)
    }
}

const COST: Form<LinkCost> = Form {
    expected: "a time from \"1 us\" to \"10 s\", such as \"5 ms\"",
    parse: |value| {
        let (number, unit) = text(value)?.split_once(' ')?;
        let number = number.parse::<u64>().ok().filter(|number| *number > 0)?;
        let cost = match unit {
            "us" => Duration::from_micros(number),
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            _ => return None,
        };
        LinkCost::new(cost).ok()
    },
};

const REMOTE_PREFIX: Form<IpNet> = Form {
    expected: "an IP address or a prefix without host bits, such as \"192.0.2.0/24\"",
    parse: |value| {
        let text = text(value)?;
        let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(one).filter(|prefix: &IpNet| *prefix == prefix.trunc())
    },
};

/// Reads one table.
pub(super) fn link(key: String, node: &Node) -> Result<LinkRule, ConfigError> {
    only(Section::open(key, node)?, |link| {
        let rule = LinkRule {
            neighbour: link.get_optional("neighbour", &ROUTER_KEY)?,
            remote: link.get_optional("remote", &REMOTE_PREFIX)?,
            cost: link.get("cost", &COST)?,
        };
        if rule.neighbour.is_none() && rule.remote.is_none() {
            return Err(link.refuse("neighbour", "neighbour or remote", "neither"));
        }
        Ok(rule)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const KEY: &str = "8A88-E3DD-7409-F195-FD52-DB2D-3CBA-5D72-CA67-09BF-1D94-121B-F374-8801-B40F-6F5C";

    fn rules(lines: &str) -> Result<Vec<LinkRule>, String> {
        Config::from_text("test", lines).map(|config| config.links).map_err(|error| error.to_string())
    }

    #[test]
    fn a_link_is_told_by_its_neighbour_its_address_or_both() {
        let text = format!(
            "[[link]]\nremote = '192.0.2.0/24'\ncost = '5 ms'\n
             [[link]]\nneighbour = '{KEY}'\ncost = '10 s'\n
             [[link]]\nneighbour = '{KEY}'\nremote = '2001:db8::7'\ncost = '250 us'\n"
        );
        let rules = rules(&text).unwrap();
        let costs: Vec<_> = rules.iter().map(|rule| rule.cost.as_duration()).collect();
        assert_eq!(costs, [Duration::from_millis(5), Duration::from_secs(10), Duration::from_micros(250)]);
        let (key, other) = (KEY.parse().unwrap(), RouterId::from_bytes([7; 32]));
        let about = |neighbour: &RouterId, remote: Option<&str>| {
            let remote = remote.map(|remote| remote.parse().unwrap());
            rules.iter().map(|rule| rule.is_about(neighbour, remote)).collect::<Vec<_>>()
        };
        assert_eq!(about(&other, Some("::ffff:192.0.2.9")), [true, false, false]);
        assert_eq!(about(&other, Some("198.51.100.1")), [false, false, false]);
        assert_eq!(about(&key, Some("2001:db8::7")), [false, true, true]);
        assert_eq!(about(&key, None), [false, true, false], "a medium without IP addresses");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (lines, complaint) in [
            ("cost = '5 ms'", "neighbour or remote"),
            ("remote = '192.0.2.1'", "link[0].cost"),
            ("remote = '192.0.2.1/24'\ncost = '5 ms'", "host bits"),
            ("remote = '192.0.2.1'\ncost = '0 ms'", "\"5 ms\""),
            ("remote = '192.0.2.1'\ncost = '11 s'", "\"5 ms\""),
            ("remote = '192.0.2.1'\ncost = '5ms'", "\"5 ms\""),
            ("remote = '192.0.2.1'\ncost = 5", "\"5 ms\""),
            ("remote = '192.0.2.1'\ncost = '18446744073709551615 s'", "\"5 ms\""),
            ("neighbour = 'R'\ncost = '5 ms'", "router id"),
            ("remote = '192.0.2.1'\ncost = '5 ms'\nmtu = 5", "mtu"),
        ] {
            let error = rules(&format!("[[link]]\n{lines}")).unwrap_err();
            assert!(error.contains(complaint), "{lines}: {error}");
        }
    }
}
