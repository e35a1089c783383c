// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whether the addresses to listen on can be had, or the gateway that runs has them.

use std::net::{IpAddr, SocketAddr};

use super::Seen;
use super::gateway::Control;
use crate::config::Config;
use crate::doctor::report::{Check, Report};

/// Who listens on this host.
#[derive(Debug)]
pub(in crate::doctor) struct Ports {
    /// TCP sockets that listen on one of our ports.
    pub(in crate::doctor) listeners: Seen<Vec<Listener>>,
    /// The lowest port that does not need CAP_NET_BIND_SERVICE.
    pub(in crate::doctor) first_free: u16,
}

/// A TCP socket that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Listener {
    pub(in crate::doctor) address: SocketAddr,
    pub(in crate::doctor) uid: u32,
    /// The processes that have it open, as far as they may be seen.
    pub(in crate::doctor) holders: Vec<Holder>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::doctor) struct Holder {
    pub(in crate::doctor) pid: u32,
    pub(in crate::doctor) name: String,
}

pub(super) fn judge(config: &Config, ports: &Ports, control: &Control, report: &mut Report) {
    if !config.inet.enable || config.inet.listen.is_empty() {
        return report.irrelevant(Check::Port);
    }
    let listeners = match &ports.listeners {
        Ok(listeners) => listeners,
        Err(reason) => return report.unseen(Check::Port, reason.clone()),
    };
    for wanted in &config.inet.listen {
        let there: Vec<_> = listeners.iter().filter(|listener| overlap(listener.address, *wanted)).collect();
        if let Some(other) = there.iter().find(|listener| !is_ours(listener, control)) {
            report.error(
                Check::Port,
                format!("{wanted} cannot be listened on: {} is taken by {}", other.address, holder(other)),
                format!(
                    "stop that (`ss -lntp 'sport = :{}'` shows it), or set another address in inet.listen",
                    wanted.port()
                ),
            );
        } else if there.is_empty() {
            judge_free(*wanted, ports.first_free, control, report);
        }
    }
}

fn judge_free(wanted: SocketAddr, first_free: u16, control: &Control, report: &mut Report) {
    let port = wanted.port();
    if port < first_free {
        report.error(
            Check::Port,
            format!(
                "{wanted} cannot be listened on: the gateway gives up the right to ports below {first_free}"
            ),
            format!(
                "`sysctl -w net.ipv4.ip_unprivileged_port_start={port}`, or set another port in inet.listen"
            ),
        );
    } else if control.answers().is_some() {
        report.warning(
            Check::Port,
            format!("the gateway that runs does not listen on {wanted}"),
            "`systemctl restart irdest-gateway`: this key was changed since it started",
        );
    }
}

/// Two sockets on these addresses exclude each other. That of `[::]` usually takes IPv4 too.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = |ip: IpAddr, of: IpAddr| ip.is_unspecified() && (ip.is_ipv6() || of.is_ipv4());
    let (a, b) = (one.ip(), other.ip());
    one.port() == other.port() && (a == b || everywhere(a, b) || everywhere(b, a))
}

/// Where we may not look into other processes, the user of the socket has to do; where we may not ask the gateway, its name.
fn is_ours(listener: &Listener, control: &Control) -> bool {
    let Listener { uid, holders, .. } = listener;
    match control {
        Control::Answers(gateway) if holders.is_empty() => *uid == gateway.uid,
        Control::Answers(gateway) => holders.iter().any(|holder| Some(holder.pid) == gateway.pid),
        Control::Absent(_) => false,
        Control::Denied(_) | Control::Silent(_) => {
            holders.is_empty()
                || holders.iter().any(|holder| matches!(holder.name.as_str(), "irdest-gateway" | "ratmand"))
        }
    }
}

fn holder(listener: &Listener) -> String {
    match listener.holders.first() {
        Some(Holder { pid, name }) => format!("{name} (process {pid})"),
        None => format!("a process of user {}", listener.uid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::{answers, found};

    fn listener(address: &str, uid: u32, holder: Option<(u32, &str)>) -> Listener {
        let holders = holder.into_iter().map(|(pid, name)| Holder { pid, name: name.into() }).collect();
        Listener { address: address.parse().unwrap(), uid, holders }
    }

    fn said(listen: &str, listeners: &[Listener], control: &Control) -> Vec<String> {
        let config = Config::from_text("test", &format!("inet.listen = ['{listen}']")).unwrap();
        let ports = Ports { listeners: Ok(listeners.to_vec()), first_free: 1024 };
        let report = found(|report| judge(&config, &ports, control, report));
        report.findings.into_iter().map(|finding| finding.found).collect()
    }

    fn absent() -> Control {
        Control::Absent("/x".into())
    }

    #[test]
    fn somebody_else_on_our_port_is_named() {
        let nginx = listener("0.0.0.0:5860", 33, Some((12, "nginx")));
        let taken = "[::]:5860 cannot be listened on: 0.0.0.0:5860 is taken by nginx (process 12)";
        assert_eq!(said("[::]:5860", std::slice::from_ref(&nginx), &absent()), [taken]);
        assert_eq!(said("[::]:5860", &[nginx], &Control::Answers(answers().into())), [taken]);
        let unknown = said("192.0.2.1:5860", &[listener("[::]:5860", 33, None)], &absent());
        assert!(unknown[0].ends_with("is taken by a process of user 33"), "{unknown:?}");
    }

    #[test]
    fn other_addresses_are_not_in_the_way() {
        for other in ["127.0.0.1:5860", "[2001:db8::1]:5860", "192.0.2.1:5861", "0.0.0.0:5861"] {
            assert!(said("192.0.2.1:5860", &[listener(other, 33, None)], &absent()).is_empty(), "{other}");
        }
    }

    #[test]
    fn the_gateway_itself_is_not_in_its_own_way() {
        let running = || Control::Answers(answers().into());
        for (holder, control) in [
            (Some((7, "irdest-gateway")), running()),
            (None, running()),
            (Some((9, "ratmand")), Control::Denied("/x".into())),
            (None, Control::Silent("no answer".into())),
        ] {
            assert!(
                said("[::]:5860", &[listener("[::]:5860", 0, holder)], &control).is_empty(),
                "{control:?}"
            );
        }
    }

    #[test]
    fn what_is_free_must_be_permitted_and_used() {
        assert!(said("[::]:5860", &[], &absent()).is_empty());
        assert!(said("[::]:443", &[], &absent())[0].contains("below 1024"));
        assert!(said("[::]:5860", &[], &Control::Answers(answers().into()))[0].contains("does not listen"));
    }
}
