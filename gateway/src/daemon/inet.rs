// SPDX-License-Identifier: AGPL-3.0-or-later
//! The netmod for TCP, as the configuration asks for it.

use std::sync::Arc;

use netmod_inet::{Inet, InetConfig, InetLimits, PeerLine};
use ratman_types::Ed25519Verifier;

use crate::config::{Config, Peer};
use crate::data_threads::Spread;
use crate::forward::Forwarder;
use crate::identity::Identity;

/// The peers of the configuration, as the netmod takes them.
pub(super) fn peer_lines(config: &Config) -> Vec<PeerLine> {
    let line = |peer: &Peer| PeerLine {
        host: peer.target.host().to_owned(),
        port: peer.target.port(),
        router_key: peer.router_key,
        mtu: peer.mtu,
    };
    config.peers.iter().map(line).collect()
}

/// Starts the netmod for TCP where there is to be one; must be called in the data path's runtime.
pub(super) fn start(
    config: &Config,
    identity: &Identity,
    forwarder: &Arc<Forwarder>,
    spread: &Spread,
) -> anyhow::Result<Option<Arc<Inet>>> {
    if !config.inet.enable {
        return Ok(None);
    }
    let inet = Inet::start(
        InetConfig {
            listen: config.inet.listen.clone(),
            peers: peer_lines(config),
            accept_unknown_peers: config.accept_unknown_peers,
            mtu: config.inet.mtu,
            mark: config.tun.enable.then_some(config.host.mark),
            buffer: config.inet.buffer,
            trains: config.trains,
            limits: InetLimits::default(),
            executor: Some(Arc::new(spread.clone())),
        },
        Arc::new(identity.router.clone()),
        Arc::new(Ed25519Verifier),
        Arc::new(|bytes| getrandom::fill(bytes).expect("the kernel gave random bytes at start")),
        forwarder.clone(),
    )?;
    Ok(Some(inet))
}
