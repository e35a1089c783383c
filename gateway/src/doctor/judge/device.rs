// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether there is a TUN device, or could be one, and the same for the probes in the kernel.

use super::Seen;
use super::gateway::Control;
use crate::config::Config;
use crate::doctor::report::{Check, Report};

/// What a TUN device is made with, and what there is under its name.
#[derive(Clone, Debug, Default)]
pub(in crate::doctor) struct Device {
    pub(in crate::doctor) driver: Driver,
    /// Whether we have CAP_NET_ADMIN; nothing where we are not the user that the gateway runs as.
    pub(in crate::doctor) may_configure: Option<bool>,
    pub(in crate::doctor) interface: Interface,
}

/// `/dev/net/tun`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::doctor) enum Driver {
    /// It can be opened, or would be once the kernel has loaded the module for it.
    #[default]
    Ready,
    /// There is no such device, or nothing behind it.
    Missing,
    /// It may not be opened.
    Refused(String),
}

/// The interface with the name of our device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::doctor) enum Interface {
    /// None.
    #[default]
    Absent,
    /// A TUN device, set up or not.
    Tun {
        /// Whether it is.
        up: bool,
    },
    /// Another kind.
    Other,
}

/// What keeps probes from being loaded.
#[derive(Debug)]
pub(in crate::doctor) struct ProbesSeen {
    /// As this process finds, in the words of the loader.
    pub(in crate::doctor) loadable: Result<(), String>,
    /// Whether that says something of a gateway: it does not where a normal user asks.
    pub(in crate::doctor) counts: bool,
    /// Whether the kernel is locked down against reading it (kernel_lockdown(7)).
    pub(in crate::doctor) locked_down: bool,
}

pub(super) fn judge(config: &Config, device: &Device, control: &Control, report: &mut Report) {
    if !config.tun.enable {
        return report.irrelevant(Check::Tun);
    }
    let name = config.tun.name.as_str();
    if device.interface == Interface::Other {
        return report.error(
            Check::Tun,
            format!("the interface {name} is no TUN device"),
            format!("`ip link del {name}`, or set another tun.name"),
        );
    }
    if control.answers().is_some() {
        return judge_running(name, device.interface, report);
    }
    match &device.driver {
        Driver::Missing => {
            return report.error(
                Check::Tun,
                "there is no TUN driver behind /dev/net/tun",
                "`modprobe tun`; a container must be given the device by its host",
            );
        }
        Driver::Refused(_) if device.may_configure.is_none() => {
            return report.unseen(Check::Tun, "only root can tell whether the gateway may open it");
        }
        Driver::Refused(reason) => {
            return report.error(
                Check::Tun,
                format!("/dev/net/tun may not be opened: {reason}"),
                "`chmod 0666 /dev/net/tun`, as udev has it; a container must be allowed the device (10:200) by its host",
            );
        }
        Driver::Ready => {}
    }
    match device.may_configure {
        Some(true) => {}
        Some(false) => report.error(
            Check::Tun,
            "root in here may not configure the network: CAP_NET_ADMIN is missing",
            "give the container CAP_NET_ADMIN, or start the gateway outside of it",
        ),
        None => report.unseen(Check::Tun, "only root can tell whether the gateway may configure it"),
    }
}

fn judge_running(name: &str, interface: Interface, report: &mut Report) {
    match interface {
        Interface::Tun { up: true } | Interface::Other => {}
        Interface::Tun { up: false } => report.error(
            Check::Tun,
            format!("the interface {name} is down: nothing reaches the mesh"),
            format!("`ip link set {name} up`"),
        ),
        Interface::Absent => report.error(
            Check::Tun,
            format!("the gateway runs and has no interface {name} here"),
            "`systemctl restart irdest-gateway`; ask in the network namespace of the gateway if it has one of its own",
        ),
    }
}

pub(super) fn judge_probes(config: &Config, probes: &ProbesSeen, control: &Control, report: &mut Report) {
    if !config.probes {
        return report.irrelevant(Check::Probes);
    }
    let found: Seen<()> = match control.answers() {
        // Started early, the gateway has what we may lack; what it says counts.
        Some(gateway) => match gateway.links.as_ref().map(|links| &links.probes) {
            Some(status) => status.reason.clone().map_or(Ok(()), Err),
            None => return report.unseen(Check::Probes, "the gateway does not tell"),
        },
        None if probes.counts => probes.loadable.clone(),
        None => return report.unseen(Check::Probes, "only root can tell whether the kernel takes them"),
    };
    let Err(reason) = found else { return };
    let lockdown = if probes.locked_down {
        " (the kernel is locked down: `cat /sys/kernel/security/lockdown`)"
    } else {
        ""
    };
    report.warning(
        Check::Probes,
        format!("no probes in the kernel, or not everywhere: {reason}{lockdown}"),
        "mend that and restart, or set probes.enabled = false: links are measured by their sockets all the same",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::{answers, found};
    use crate::links::{Links, ProbesStatus};

    fn absent() -> Control {
        Control::Absent("/x".into())
    }

    fn running(reason: Option<&str>) -> Control {
        let probes = ProbesStatus { reason: reason.map(str::to_owned), ..ProbesStatus::default() };
        let mut gateway = answers();
        gateway.links = Some(Links { probes, links: Vec::new() });
        Control::Answers(gateway.into())
    }

    fn said(device: &Device, control: &Control) -> String {
        let config = Config::from_text("test", "").unwrap();
        let report = found(|report| judge(&config, device, control, report));
        assert!(report.findings.len() < 2);
        report.findings.into_iter().map(|finding| finding.found).collect()
    }

    #[test]
    fn each_way_to_have_no_device_is_told_apart() {
        let well = Device { may_configure: Some(true), ..Device::default() };
        let up = Device { interface: Interface::Tun { up: true }, ..Device::default() };
        let missing = Device { driver: Driver::Missing, ..well.clone() };
        assert_eq!(said(&well, &absent()), "");
        assert_eq!(said(&up, &running(None)), "");
        for (device, control, words) in [
            (missing.clone(), absent(), "no TUN driver"),
            (Device { driver: Driver::Refused("EPERM".into()), ..well.clone() }, absent(), "opened: EPERM"),
            (Device { may_configure: Some(false), ..well.clone() }, absent(), "CAP_NET_ADMIN"),
            (Device { interface: Interface::Other, ..well.clone() }, absent(), "irdest0 is no TUN device"),
            (Device { interface: Interface::Tun { up: false }, ..missing }, running(None), "irdest0 is down"),
            (well, running(None), "has no interface irdest0"),
        ] {
            let said = said(&device, &control);
            assert!(said.contains(words), "{said}, expected {words}");
        }
        assert_eq!(said(&Device::default(), &absent()), "", "who is not root cannot tell");
        let refused = Device { driver: Driver::Refused("EACCES".into()), ..Device::default() };
        assert_eq!(said(&refused, &absent()), "", "nor whether root may open it");
    }

    #[test]
    fn probes_that_are_missing_are_a_warning_with_the_reason() {
        let config = Config::from_text("test", "").unwrap();
        let seen = |loadable: Result<(), &str>, counts| ProbesSeen {
            loadable: loadable.map_err(str::to_owned),
            counts,
            locked_down: false,
        };
        for (probes, control, found_reason, unseen) in [
            (seen(Ok(()), true), absent(), None, 0),
            (seen(Err("too old"), true), absent(), Some("too old"), 0),
            (seen(Err("not root"), false), absent(), None, 1),
            (seen(Err("not root"), false), running(None), None, 0),
            (seen(Ok(()), true), running(Some("as the gateway has it")), Some("as the gateway has it"), 0),
        ] {
            let report = found(|report| judge_probes(&config, &probes, &control, report));
            let said = report.findings.first().map(|finding| finding.found.clone());
            assert_eq!(said.is_some(), found_reason.is_some(), "{probes:?}");
            assert!(said.unwrap_or_default().ends_with(found_reason.unwrap_or_default()));
            assert_eq!(report.not_looked_at.len(), unseen, "{probes:?}");
        }
    }
}
