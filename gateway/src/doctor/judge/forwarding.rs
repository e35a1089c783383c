// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether the host forwards what `[forward]` wants it to. The gateway sets the switches itself where it may, so that they
//! count only while one runs.

use super::gateway::Control;
use crate::config::Config;
use crate::doctor::report::{Check, Report};

/// The kernel's switches, and the program that sets filters.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Switches {
    /// The interfaces of `[forward]`, and the TUN device.
    pub(in crate::doctor) interfaces: Vec<Interface>,
    /// `net.ipv6.conf.all.forwarding`; nothing without IPv6.
    pub(in crate::doctor) v6_all: Option<bool>,
    /// Whether `nft` is installed.
    pub(in crate::doctor) nft: bool,
}

/// An interface of `[forward]`.
#[derive(Clone, Debug, Default)]
pub(in crate::doctor) struct Interface {
    pub(in crate::doctor) name: String,
    pub(in crate::doctor) exists: bool,
    /// Whether IPv4 that comes in by it is forwarded; nothing where that cannot be read.
    pub(in crate::doctor) v4: Option<bool>,
    /// The same for IPv6, where the kernel has a switch for it (Linux 6.17).
    pub(in crate::doctor) v6: Option<bool>,
    /// Whether it has IPv6 addresses that others could be reached from; the TUN device always has.
    pub(in crate::doctor) has_v6: bool,
}

pub(super) fn judge(config: &Config, switches: &Switches, control: &Control, report: &mut Report) {
    if !config.tun.enable || config.forward.is_off() {
        return report.irrelevant(Check::Forwarding);
    }
    if !switches.nft {
        report.error(
            Check::Forwarding,
            "the program `nft` is not installed, and nothing is forwarded without a filter",
            "`apt install nftables`",
        );
    }
    let runs = control.answers().is_some();
    // A network without IPv6 misses nothing.
    let v6_matters = switches
        .interfaces
        .iter()
        .any(|interface| interface.has_v6 && interface.name != config.tun.name.as_str());
    for interface in &switches.interfaces {
        judge_interface(interface, runs, v6_matters, report);
    }
    let by_interface = switches.interfaces.iter().any(|interface| interface.v6.is_some());
    if runs && v6_matters && !by_interface && switches.v6_all == Some(false) {
        off("IPv6 is not forwarded", "net/ipv6/conf/all/forwarding", report);
    }
}

fn judge_interface(interface: &Interface, runs: bool, v6_matters: bool, report: &mut Report) {
    let Interface { name, exists, v4, v6, has_v6 } = interface;
    if !exists {
        report.warning(
            Check::Forwarding,
            format!("there is no interface {name}: nothing is forwarded there until it comes"),
            "`ip link` shows those that there are; mend [forward] if it has another name",
        );
    } else if runs {
        // With slashes, since the name of an interface may have a dot (sysctl(8)).
        if *v4 == Some(false) {
            off(
                &format!("IPv4 from {name} is not forwarded"),
                &format!("net/ipv4/conf/{name}/forwarding"),
                report,
            );
        }
        if *v6 == Some(false) && *has_v6 && v6_matters {
            off(
                &format!("IPv6 from {name} is not forwarded"),
                &format!("net/ipv6/conf/{name}/force_forwarding"),
                report,
            );
        }
    }
}

fn off(found: &str, sysctl: &str, report: &mut Report) {
    let advice = format!(
        "`sysctl -w {sysctl}=1`; `systemctl restart irdest-gateway` sets it too, where the unit lets it"
    );
    report.error(Check::Forwarding, found, advice);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::{answers, found};

    fn said(lan: Interface, v6_all: Option<bool>, nft: bool, runs: bool) -> Vec<String> {
        let config = Config::from_text("test", "forward.interfaces = ['lan0']").unwrap();
        let tun = Interface {
            name: "irdest0".into(),
            exists: runs,
            v4: Some(true),
            v6: lan.v6.map(|_| true),
            has_v6: true,
        };
        let interfaces = if runs { vec![lan, tun] } else { vec![lan] };
        let switches = Switches { interfaces, v6_all, nft };
        let control = if runs { Control::Answers(answers().into()) } else { Control::Absent("/x".into()) };
        let report = found(|report| judge(&config, &switches, &control, report));
        report
            .findings
            .into_iter()
            .map(|finding| format!("{} {}", finding.found, finding.advice.unwrap()))
            .collect()
    }

    fn lan(v4: Option<bool>, v6: Option<bool>) -> Interface {
        Interface { name: "lan0".into(), exists: true, v4, v6, has_v6: true }
    }

    #[test]
    fn switches_count_while_a_gateway_runs() {
        assert!(said(lan(Some(false), Some(false)), Some(false), true, false).is_empty());
        assert!(
            said(lan(Some(true), Some(true)), Some(false), true, true).is_empty(),
            "each interface by itself"
        );
        assert!(said(lan(Some(true), None), Some(true), true, true).is_empty());
        assert!(said(lan(None, None), None, true, true).is_empty(), "unread is not off");
        let v4 = said(lan(Some(false), Some(true)), None, true, true);
        assert!(v4.len() == 1 && v4[0].contains("`sysctl -w net/ipv4/conf/lan0/forwarding=1`"), "{v4:?}");
        let v6 = said(lan(Some(true), None), Some(false), true, true);
        assert!(v6.len() == 1 && v6[0].contains("net/ipv6/conf/all/forwarding=1"), "{v6:?}");
        let by_interface = said(lan(Some(true), Some(false)), Some(true), true, true);
        assert!(
            by_interface.len() == 1 && by_interface[0].contains("lan0/force_forwarding=1"),
            "{by_interface:?}"
        );
    }

    #[test]
    fn a_network_without_ipv6_misses_no_switch_for_it() {
        for (v6, all) in [(Some(false), None), (None, Some(false))] {
            let with = lan(Some(true), v6);
            let without = Interface { has_v6: false, ..with.clone() };
            assert_eq!((said(with, all, true, true).len(), said(without, all, true, true).len()), (1, 0));
        }
        let v4 = Interface { has_v6: false, ..lan(Some(false), Some(false)) };
        assert_eq!(said(v4, None, true, true).len(), 1);
    }

    #[test]
    fn what_is_missing_is_told_before_the_start() {
        let gone = Interface { name: "lan0".into(), ..Interface::default() };
        let said = said(gone, None, false, false);
        assert!(
            said.len() == 2 && said[0].contains("nftables") && said[1].contains("no interface lan0"),
            "{said:?}"
        );
    }
}
