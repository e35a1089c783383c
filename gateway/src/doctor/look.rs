// SPDX-License-Identifier: AGPL-3.0-or-later
//! Gathers the facts, all at once where they take time. Nothing is made, set or loaded on the host; a peer gets a connection
//! that it refuses.

use std::time::Duration;

use tokio::time::timeout;

use super::judge::Facts;
use super::judge::forwarding::Switches;
use super::judge::path::Paths;
use super::judge::port::Ports;
use crate::config::Config;

mod device;
mod firewall;
mod gateway;
mod modules;
mod network;
mod path;
mod ports;
mod storage;

/// How long each may take; paths to peers have the whole time.
const EACH: Duration = Duration::from_secs(5);

/// Looks at everything that matters for this configuration, for at most `limit`.
pub(super) async fn look(config: &Config, limit: Duration) -> Facts {
    let late = |what: &str| format!("{what}: no answer within {} s", EACH.as_secs());
    let (control, network, rules, ports, paths) = tokio::join!(
        gateway::ask(&config.control_socket, EACH),
        timeout(EACH, network::look(config)),
        timeout(EACH, firewall::look()),
        timeout(
            EACH,
            in_thread({
                let wanted: Vec<u16> = config.inet.listen.iter().map(|address| address.port()).collect();
                move || ports::look(&wanted)
            })
        ),
        timeout(limit, path::look(config)),
    );
    let (state, identity) = storage::look(config, control.answers().map(|gateway| gateway.uid));
    Facts {
        paths: paths.unwrap_or_else(|_| Paths { tried: Vec::new(), left_out: config.peers.len() }),
        clock: storage::clocks(config),
        ports: ports.unwrap_or_else(|_| Ports { listeners: Err(late("/proc")), first_free: 0 }),
        network: network.unwrap_or_else(|_| Err(late("netlink"))),
        forwarding: if config.forward.is_off() { Switches::default() } else { network::switches(config) },
        firewall: rules.unwrap_or_else(|_| firewall::unseen(late("nft"))),
        device: device::look(config),
        probes: device::probes(),
        kernel: device::kernel(),
        state,
        identity,
        control,
    }
}

/// What blocks, apart from what waits.
async fn in_thread<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(look).await.expect("INVARIANT: nothing that looks panics")
}
