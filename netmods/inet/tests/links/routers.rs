// SPDX-License-Identifier: AGPL-3.0-or-later
//! Routers for tests.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netmod_api::Inbox;
use netmod_api::contract::{End, Recorder};
use netmod_inet::{Entropy, Inet, InetConfig, InetCounters, InetError, PeerLine};
use ratman_types::{Ed25519Verifier, RouterId, SecretKey, Signer, blake2b};

/// One router; its links end when it is dropped.
pub(crate) struct Router {
    pub(crate) inet: Arc<Inet>,
    pub(crate) inbox: Arc<Recorder>,
}

impl Router {
    pub(crate) fn address(&self) -> SocketAddr {
        self.inet.listening()[0]
    }

    pub(crate) fn end(&self) -> End<'_> {
        End { netmod: &*self.inet, inbox: &self.inbox }
    }

    /// Waits until the counters are as wanted.
    pub(crate) fn counted(&self, wanted: impl Fn(&InetCounters) -> bool) -> InetCounters {
        self.inbox.wait_until(|_| Some(self.inet.counters()).filter(&wanted))
    }
}

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

pub(crate) fn id(seed: u8) -> RouterId {
    key(seed).router_id()
}

/// Never the same bytes twice in one process.
pub(crate) fn entropy() -> Entropy {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    Arc::new(|bytes| {
        for chunk in bytes.chunks_mut(32) {
            let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
            chunk.copy_from_slice(&blake2b(&[&drawn.to_be_bytes()]).as_bytes()[..chunk.len()]);
        }
    })
}

pub(crate) fn start_with(
    seed: u8,
    config: InetConfig,
    inbox: Arc<dyn Inbox>,
) -> Result<Arc<Inet>, InetError> {
    Inet::start(config, Arc::new(key(seed)), Arc::new(Ed25519Verifier), entropy(), inbox)
}

/// Starts a router, as soon as its port is free: a router that was just dropped may still hold it.
pub(crate) fn start(seed: u8, config: InetConfig) -> Router {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let inbox = Recorder::new();
        match start_with(seed, config.clone(), inbox.clone()) {
            Ok(inet) => return Router { inet, inbox },
            Err(InetError::AddressInUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Takes any router, dials nobody.
pub(crate) fn listening(address: SocketAddr) -> InetConfig {
    InetConfig { listen: vec![address], accept_unknown_peers: true, ..InetConfig::default() }
}

pub(crate) fn any_port(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), 0)
}

pub(crate) fn line(address: SocketAddr) -> PeerLine {
    PeerLine { host: address.ip().to_string(), port: address.port(), router_key: None, mtu: None }
}

/// Dials these addresses, listens nowhere.
pub(crate) fn dialing(addresses: &[SocketAddr]) -> InetConfig {
    InetConfig { peers: addresses.iter().copied().map(line).collect(), ..InetConfig::default() }
}

/// Whether the host has the IPv6 loopback, which containers may lack; tests leave IPv6 out then.
pub(crate) fn has_ipv6() -> bool {
    TcpListener::bind(any_port("::1")).is_ok()
}

/// An address that nobody listens on now.
pub(crate) fn free_address(ip: &str) -> SocketAddr {
    TcpListener::bind(any_port(ip)).and_then(|listener| listener.local_addr()).expect("a free port")
}

/// Long enough that what should not happen would have happened; only for proofs of absence.
pub(crate) fn wait_for_nothing() {
    std::thread::sleep(Duration::from_millis(1500));
}

/// Waits for a state of several routers; of one, its inbox tells.
pub(crate) fn eventually<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}
