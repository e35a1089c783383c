// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether the host's own firewall lets our port and what we forward pass, as far as its rules tell.

mod ruleset;
mod truth;

pub(in crate::doctor) use ruleset::Ruleset;
use ruleset::{Fate, Hook};
use truth::Packet;

use super::Seen;
use crate::config::Config;
use crate::doctor::report::{Check, Report};

/// The host's filters.
#[derive(Debug)]
pub(in crate::doctor) struct Filters {
    /// Those of nftables, `iptables-nft` among them.
    pub(in crate::doctor) rules: Seen<Ruleset>,
    /// Whether the kernel has tables of the older iptables beside them, which `nft` does not show.
    pub(in crate::doctor) legacy: bool,
}

pub(super) fn judge(config: &Config, filters: &Filters, report: &mut Report) {
    let packets = packets(config);
    if packets.is_empty() {
        return report.irrelevant(Check::Firewall);
    }
    if filters.legacy {
        report.unseen(
            Check::Firewall,
            "rules of the older iptables are not read: `iptables-legacy -S` shows them",
        );
    }
    let rules = match &filters.rules {
        Ok(rules) => rules,
        Err(reason) => return report.unseen(Check::Firewall, reason.clone()),
    };
    let own = format!("irdest-gateway-{}", config.tun.name);
    for (hook, packet, advice) in packets {
        match rules.fate(hook, &packet, &own) {
            Fate::Passes => {}
            Fate::Dropped(chain) => {
                report.error(Check::Firewall, format!("the host's firewall drops {packet} ({chain})"), advice);
            }
            Fate::MayBeDropped(chain) => report.warning(
                Check::Firewall,
                format!("the host's firewall may drop {packet} ({chain}); its rules are more than can be judged here"),
                advice,
            ),
        }
    }
}

/// What has to pass, where, and what to type if it does not.
fn packets(config: &Config) -> Vec<(Hook, Packet, String)> {
    let mut packets = Vec::new();
    if config.inet.enable {
        let mut ports: Vec<u16> = config.inet.listen.iter().map(|address| address.port()).collect();
        ports.sort_unstable();
        ports.dedup();
        for port in ports {
            let advice = format!(
                "let TCP to port {port} in where this host's rules are kept: `ufw allow {port}/tcp`, \
                 `firewall-cmd --add-port={port}/tcp`, or `tcp dport {port} accept` in the input chain of nftables"
            );
            packets.push((Hook::Input, Packet::Connection { port }, advice));
        }
    }
    if config.tun.enable {
        let tun = config.tun.name.as_str();
        let inward = config.forward.interfaces.iter().map(|lan| (lan.as_str(), tun));
        let outward = config.forward.exit_interfaces.iter().map(|exit| (tun, exit.as_str()));
        for (from, to) in inward.chain(outward) {
            let advice = format!(
                "let it pass where this host's rules are kept: `iptables -I FORWARD -i {from} -o {to} -j ACCEPT` or \
                 `iifname \"{from}\" oifname \"{to}\" accept` in the forward chain of nftables, and replies the other way"
            );
            let packet = Packet::Forwarded { from: from.to_owned(), to: to.to_owned() };
            packets.push((Hook::Forward, packet, advice));
        }
    }
    packets
}

#[cfg(test)]
mod tests;
