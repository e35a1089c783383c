// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether prefixes of the mesh and networks of the host are apart, and our routing table is ours.

use gateway_core::remotes::{OVERLAY_PREFIX, OVERLAY_PREFIX_LEN};
use ipnet::{IpNet, Ipv6Net};

use super::Seen;
use crate::config::Config;
use crate::doctor::report::{Check, Report};

/// The host's network beside our device.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Network {
    /// Routes of the main table, but those of our device.
    pub(in crate::doctor) routes: Vec<HostRoute>,
    /// Who else has our routing table, if anybody has.
    pub(in crate::doctor) table: Taken,
}

/// A route of the host.
#[derive(Clone, Debug)]
pub(in crate::doctor) struct HostRoute {
    pub(in crate::doctor) prefix: IpNet,
    pub(in crate::doctor) device: String,
    /// Whether its destinations are on the link of the device.
    pub(in crate::doctor) connected: bool,
    /// As `ip route` would put it.
    pub(in crate::doctor) text: String,
}

/// Who else has our routing table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::doctor) enum Taken {
    /// Nobody.
    #[default]
    No,
    /// The gateway of this device.
    ByGateway(String),
    /// Another program.
    ByOther,
}

pub(super) fn judge(config: &Config, network: &Seen<Network>, report: &mut Report) {
    if !config.tun.enable {
        return report.irrelevant(Check::Routes);
    }
    let network = match network {
        Ok(network) => network,
        Err(reason) => return report.unseen(Check::Routes, reason.clone()),
    };
    judge_table(config.host.table, &network.table, report);
    for route in network.routes.iter().filter(|route| route.prefix.prefix_len() > 0) {
        judge_addresses(config, route, report);
        judge_prefixes(config, route, report);
    }
}

fn judge_table(table: u32, taken: &Taken, report: &mut Report) {
    let by = match taken {
        Taken::No => return,
        Taken::ByGateway(device) => format!("the gateway of {device}"),
        Taken::ByOther => "another program".to_owned(),
    };
    report.error(
        Check::Routes,
        format!("routing table {table} holds routes of {by}"),
        format!(
            "set host.table and host.priority to others; `ip route show table {table}` shows what is there"
        ),
    );
}

/// Our own addresses in a network of the host.
fn judge_addresses(config: &Config, route: &HostRoute, report: &mut Report) {
    let HostRoute { prefix, device, connected, .. } = route;
    let inside = config.tun.addresses.iter().find(|own| *connected && touch(own, prefix));
    if let Some(own) = inside {
        report.error(
            Check::Routes,
            format!("tun.addresses: {own} and the network {prefix} of {device} overlap: each hides hosts of the other"),
            "give tun.addresses a network that this host does not have",
        );
    }
}

/// A prefix of the mesh in the way of a route of the host, or the other way round. A default route covers everything, and is
/// meant to.
fn judge_prefixes(config: &Config, route: &HostRoute, report: &mut Report) {
    let HostRoute { prefix, device, connected, text } = route;
    let overlay = Ipv6Net::new_assert(OVERLAY_PREFIX, OVERLAY_PREFIX_LEN).into();
    let meshed = config.routes.iter().map(|mesh| (mesh.prefix, &mesh.except[..]));
    for (mesh, except) in meshed.chain([(overlay, &[][..])]).filter(|(mesh, _)| mesh.prefix_len() > 0) {
        if mesh == *prefix {
            report.error(
                Check::Routes,
                format!("{mesh} is routed into the mesh, and by the host itself {text}"),
                format!("`ip route del {mesh} dev {device}`, or take it out of [[route]]"),
            );
        } else if *connected && prefix.contains(&mesh) {
            report.warning(
                Check::Routes,
                format!("{mesh} goes into the mesh and is a part of the network {prefix} of {device}, which is not reached there"),
                "take it out of [[route]] unless it is meant",
            );
        } else if *connected && mesh.contains(prefix) && !is_meant(config, except, route) {
            report.warning(
                Check::Routes,
                format!("the network {prefix} of {device} is a part of {mesh} and stays out of the mesh"),
                format!("`except = [\"{prefix}\"]` at that route says that it is meant"),
            );
        }
    }
}

/// A site's own network is a part of what all sites share.
fn is_meant(config: &Config, except: &[IpNet], route: &HostRoute) -> bool {
    config.forward.interfaces.contains(&route.device)
        || except.iter().any(|except| except.contains(&route.prefix))
}

fn touch(one: &IpNet, other: &IpNet) -> bool {
    let one = one.trunc();
    one.contains(other) || other.contains(&one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Severity::{self, Error, Warning};
    use crate::doctor::tests::{assert_says, found};

    const VIA: &str = "ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAA";

    /// How bad, and some of the words.
    type Said = Option<(Severity, &'static str)>;

    fn route(prefix: &str, device: &str, connected: bool) -> HostRoute {
        let text = format!("dev {device}");
        HostRoute { prefix: prefix.parse().unwrap(), device: device.into(), connected, text }
    }

    fn said(config: &str, network: Network) -> Option<(Severity, String)> {
        let config = Config::from_text("test", &config.replace("VIA", VIA)).unwrap();
        let report = found(|report| judge(&config, &Ok(network), report));
        assert!(report.findings.len() < 2, "{report:?}");
        report.findings.into_iter().next().map(|finding| (finding.severity, finding.found))
    }

    #[test]
    fn networks_that_are_in_each_others_way() {
        let table: [(&str, HostRoute, Said); 13] = [
            (
                "10.78.0.0/24",
                route("10.78.0.0/24", "eth0", true),
                Some((Error, "by the host itself dev eth0")),
            ),
            (
                "10.78.0.0/24",
                route("10.78.0.0/24", "wg0", false),
                Some((Error, "by the host itself dev wg0")),
            ),
            (
                "10.78.0.0/24",
                route("10.78.0.0/16", "eth0", true),
                Some((Warning, "which is not reached there")),
            ),
            ("10.78.0.0/24", route("10.78.0.0/16", "eth0", false), None),
            ("10.0.0.0/8", route("10.78.0.0/24", "eth0", true), Some((Warning, "stays out of the mesh"))),
            ("10.0.0.0/8", route("10.78.0.0/24", "lan0", true), None),
            ("10.0.0.0/8", route("10.9.0.0/24", "eth0", true), None),
            ("0.0.0.0/0", route("10.78.0.0/24", "eth0", true), None),
            ("0.0.0.0/0", route("0.0.0.0/0", "eth0", false), None),
            (
                "10.78.0.0/24",
                route("10.77.0.0/16", "eth0", true),
                Some((Error, "tun.addresses: 10.77.0.1/24")),
            ),
            ("10.78.0.0/24", route("10.77.0.0/16", "eth0", false), None),
            (
                "10.78.0.0/24",
                route("fd69:7264::/32", "eth0", false),
                Some((Error, "fd69:7264::/32 is routed")),
            ),
            ("10.78.0.0/24", route("192.0.2.0/24", "eth0", true), None),
        ];
        for (mesh, host, expected) in table {
            let config = format!(
                "tun.addresses = ['10.77.0.1/24']\nforward.interfaces = ['lan0']\n[[route]]\nprefix = '{mesh}'\nvia = 'VIA'\n{}",
                if mesh == "10.0.0.0/8" { "except = ['10.9.0.0/16']" } else { "" }
            );
            let said = said(&config, Network { routes: vec![host.clone()], table: Taken::No });
            assert_says(said, expected, (mesh, host));
        }
    }

    #[test]
    fn a_table_of_somebody_else_is_told() {
        for (taken, words) in [
            (Taken::ByGateway("mesh1".into()), "of the gateway of mesh1"),
            (Taken::ByOther, "of another program"),
        ] {
            let (severity, found) = said("", Network { routes: Vec::new(), table: taken }).unwrap();
            assert!(severity == Error && found.ends_with(words), "{found}");
        }
        assert_eq!(said("tun.enable = false", Network { table: Taken::ByOther, ..Network::default() }), None);
    }
}
