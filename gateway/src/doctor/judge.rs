// SPDX-License-Identifier: AGPL-3.0-or-later
//! From facts to findings, without looking at anything: what is told is the same wherever the facts are the same.

use crate::config::Config;

use super::report::Report;

pub(super) mod clock;
pub(super) mod device;
pub(super) mod firewall;
pub(super) mod forwarding;
pub(super) mod gateway;
pub(super) mod kernel;
pub(super) mod path;
pub(super) mod port;
pub(super) mod routes;
pub(super) mod storage;

/// Something that could be seen, or why it could not.
pub(super) type Seen<T> = Result<T, String>;

/// All that was seen of the host and of the gateway that runs there.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) control: gateway::Control,
    pub(super) paths: path::Paths,
    pub(super) clock: clock::Clocks,
    pub(super) ports: port::Ports,
    pub(super) network: Seen<routes::Network>,
    pub(super) forwarding: forwarding::Switches,
    pub(super) firewall: firewall::Filters,
    pub(super) device: device::Device,
    pub(super) probes: device::ProbesSeen,
    pub(super) kernel: kernel::Kernel,
    pub(super) state: storage::StateDir,
    pub(super) identity: storage::Secrets,
}

/// Adds what these facts mean for this configuration.
pub(super) fn judge(config: &Config, facts: &Facts, report: &mut Report) {
    let Facts {
        control,
        paths,
        clock,
        ports,
        network,
        forwarding,
        firewall,
        device,
        probes,
        kernel,
        state,
        identity,
    } = facts;
    gateway::judge(config, control, report);
    path::judge(paths, report);
    clock::judge(clock, control, report);
    port::judge(config, ports, control, report);
    routes::judge(config, network, report);
    forwarding::judge(config, forwarding, control, report);
    firewall::judge(config, firewall, report);
    device::judge(config, device, control, report);
    device::judge_probes(config, probes, control, report);
    kernel::judge(config, kernel, report);
    storage::judge(state, report);
    storage::judge_secrets(identity, control, report);
}
