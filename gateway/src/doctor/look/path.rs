// SPDX-License-Identifier: AGPL-3.0-or-later
//! Tries the ways to the peers that are dialled, all at once.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netmod_inet::{FullSegments, full_segments};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::{Config, PeerTarget};
use crate::doctor::judge::path::{Paths, Tried};

/// Peers that are tried; whoever has more knows by these.
const MOST_PEERS: usize = 16;
/// Addresses of each: usually one of each family.
const MOST_ADDRESSES: usize = 2;
/// How long the resolver may take.
const RESOLVE_LIMIT: Duration = Duration::from_secs(2);

/// Tries them.
pub(super) async fn look(config: &Config) -> Paths {
    if !config.inet.enable {
        return Paths::default();
    }
    let mark = config.tun.enable.then_some(config.host.mark);
    let mut tasks = JoinSet::new();
    for (number, peer) in config.peers.iter().take(MOST_PEERS).enumerate() {
        let target = peer.target.clone();
        let meshed: Vec<_> = config.routes.iter().map(|route| route.prefix).collect();
        tasks.spawn(async move {
            let is_meshed = move |ip: IpAddr| meshed.iter().any(|prefix| prefix.contains(&ip));
            (number, try_peer(&target, mark, &is_meshed).await)
        });
    }
    let mut tried = tasks.join_all().await;
    tried.sort_by_key(|(number, _)| *number);
    let tried = tried.into_iter().flat_map(|(_, tried)| tried).collect();
    Paths { tried, left_out: config.peers.len().saturating_sub(MOST_PEERS) }
}

async fn try_peer(
    target: &PeerTarget,
    mark: Option<u32>,
    is_meshed: &(dyn Fn(IpAddr) -> bool + Sync),
) -> Vec<Tried> {
    let peer = target.to_string();
    let resolved = timeout(RESOLVE_LIMIT, tokio::net::lookup_host((target.host(), target.port()))).await;
    let addresses: Vec<SocketAddr> = match resolved {
        Ok(Ok(addresses)) => addresses.take(MOST_ADDRESSES).collect(),
        Ok(Err(error)) => return vec![Tried { peer, address: None, outcome: Err(error.to_string()) }],
        Err(_) => {
            let outcome = Err("the resolver does not answer".to_owned());
            return vec![Tried { peer, address: None, outcome }];
        }
    };
    let attempts = addresses.into_iter().map(|address| {
        let peer = peer.clone();
        async move {
            let outcome = try_address(address, mark, is_meshed(address.ip())).await;
            Tried { peer, address: Some(address), outcome }
        }
    });
    futures_util::future::join_all(attempts).await
}

/// Without the mark, which only root may set, a connection goes the same way unless the mesh has the address, too.
async fn try_address(
    address: SocketAddr,
    mark: Option<u32>,
    is_meshed: bool,
) -> Result<FullSegments, String> {
    let outcome = match full_segments(address, mark).await {
        Err(error) if error.kind() == ErrorKind::PermissionDenied && is_meshed => {
            return Err("only root can reach it past the mesh".to_owned());
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => full_segments(address, None).await,
        outcome => outcome,
    };
    outcome.map_err(|error| error.to_string())
}
