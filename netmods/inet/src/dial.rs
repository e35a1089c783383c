// SPDX-License-Identifier: AGPL-3.0-or-later
//! Keeps one configured peer connected, for ever.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use netmod_api::{DownReason, PeerState};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::config::PeerLine;
use crate::inet::Shared;
use crate::link::Link;
use crate::peering::{Proven, Refused};
use crate::socket;

/// How long one address may take to answer: three SYNs, at 0, 1 and 3 s (tcp(7), `tcp_syn_retries`).
const CONNECT_LIMIT: Duration = Duration::from_millis(3500);
/// How long the resolver may take.
const RESOLVE_LIMIT: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried in a row; more would starve the first.
const MAX_ADDRESSES: usize = 16;
/// A link that lived this long was a real one: the next wait is short again. A link that the other end refuses
/// after the peering ends within a round trip.
const SETTLED: Duration = Duration::from_secs(1);
/// What an attempt gets before a change of the network cuts it short, so that a storm of changes cannot keep it
/// from ending.
const UNDISTURBED: Duration = Duration::from_secs(1);

/// How one peer line fares, for whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    linked: bool,
    reached: bool,
    /// Why the last attempt failed; the log is told of changes only.
    failure: Option<String>,
}

impl Progress {
    pub(crate) fn state(&self, peer: String) -> PeerState {
        let Found { linked, reached, failure } = &*self.lock();
        PeerState { peer, linked: *linked, reached: *reached, failure: failure.clone() }
    }

    fn linked(&self) {
        *self.lock() = Found { linked: true, reached: true, failure: None };
    }

    fn unlinked(&self) {
        self.lock().linked = false;
    }

    /// Takes why an attempt failed, and tells whether the one before failed for another reason.
    fn failed(&self, reason: &str) -> bool {
        let before = self.lock().failure.replace(reason.to_owned());
        before.as_deref() != Some(reason)
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        // Each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One peer line and how it fares.
pub(crate) struct Dialer {
    shared: Arc<Shared>,
    peer: PeerLine,
    network: watch::Receiver<()>,
    backoff: Backoff,
    /// The link that this line has.
    link: Option<Arc<Link>>,
    progress: Arc<Progress>,
}

impl Dialer {
    pub(crate) fn new(shared: Arc<Shared>, peer: PeerLine, progress: Arc<Progress>) -> Self {
        let network = shared.network.subscribe();
        Self { shared, peer, network, backoff: Backoff::new(), link: None, progress }
    }

    /// Keeps the peer connected until the sender of `stopped` is dropped, then closes the link.
    pub(crate) async fn run(mut self, stopped: oneshot::Receiver<()>) {
        tokio::select! {
            _ = stopped => {}
            () = self.dial() => {}
        }
        if let Some(link) = self.link {
            link.close(DownReason::ClosedByUs);
        }
    }

    /// Dials, waits for the end of the link, dials again.
    async fn dial(&mut self) {
        let mtu = self.peer.mtu.unwrap_or(self.shared.mtu);
        loop {
            self.network.mark_unchanged();
            let attempt = tokio::select! {
                attempt = connect(&self.shared, &self.peer) => attempt,
                () = changed_later(&mut self.network) => {
                    self.backoff.reset();
                    continue;
                }
            };
            match attempt.and_then(|(stream, proven)| self.shared.link(stream, &proven, true, mtu)) {
                Ok(link) => {
                    self.live(&link).await;
                    self.pause().await;
                    self.make_way(&link).await;
                }
                Err(reason) => {
                    self.refused(&reason);
                    self.pause().await;
                }
            }
        }
    }

    async fn live(&mut self, link: &Arc<Link>) {
        self.progress.linked();
        self.link = Some(Arc::clone(link));
        let since = Instant::now();
        link.ended().await;
        self.link = None;
        self.progress.unlinked();
        if since.elapsed() >= SETTLED {
            self.backoff.reset();
        }
    }

    /// Does not dial while another link between the same ends is up, since one of the two would have to go.
    ///
    /// Asked after a pause: the other end may close our link before we have heard that its successor is up.
    async fn make_way(&mut self, link: &Link) {
        while let Some(twin) = self.shared.links.twin(link) {
            debug!(peer = %self.peer, link = %twin.hop.link, "another link to the router is up, not dialling");
            self.progress.linked();
            twin.ended().await;
            self.progress.unlinked();
            self.backoff.reset();
            self.pause().await;
        }
    }

    fn refused(&mut self, reason: &Refused) {
        self.shared.count(reason);
        if reason.is_lasting() {
            self.backoff.give_up();
        }
        let text = reason.to_string();
        if !self.progress.failed(&text) {
            debug!(peer = %self.peer, %reason, "still no link");
        } else if matches!(reason, Refused::Io(_) | Refused::Stopped) {
            info!(peer = %self.peer, %reason, "no link, dialling again");
        } else {
            warn!(peer = %self.peer, %reason, "no link, dialling again");
        }
    }

    async fn pause(&mut self) {
        let mut random = [0; 2];
        (self.shared.identity.entropy)(&mut random);
        let wait = self.backoff.wait(u16::from_be_bytes(random));
        tokio::select! {
            () = sleep(wait) => {}
            result = self.network.changed() => {
                result.expect("INVARIANT: the sender lives in `shared`");
                self.backoff.reset();
            }
        }
    }
}

async fn changed_later(network: &mut watch::Receiver<()>) {
    sleep(UNDISTURBED).await;
    network.changed().await.expect("INVARIANT: the sender lives in `shared`");
}

/// Resolves the name and tries its addresses in the resolver's order (RFC 6724) until one proves its key.
///
/// Of several failures that is told which says most: any beats an address that does not answer.
async fn connect(shared: &Shared, peer: &PeerLine) -> Result<(TcpStream, Proven), Refused> {
    let mut failure = Refused::Io(io::Error::new(ErrorKind::NotFound, "the name has no address"));
    let addresses = timeout(RESOLVE_LIMIT, tokio::net::lookup_host((peer.host.as_str(), peer.port)))
        .await
        .unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, "the resolver does not answer")))?;
    for address in addresses.take(MAX_ADDRESSES) {
        match connect_to(shared, peer, address).await {
            Ok(connected) => return Ok(connected),
            Err(reason) => {
                debug!(%peer, %address, %reason, "address tried");
                if !matches!(reason, Refused::Io(_)) || matches!(failure, Refused::Io(_)) {
                    failure = reason;
                }
            }
        }
    }
    Err(failure)
}

async fn connect_to(
    shared: &Shared,
    peer: &PeerLine,
    address: SocketAddr,
) -> Result<(TcpStream, Proven), Refused> {
    let mut stream = timeout(CONNECT_LIMIT, socket::connect(address, shared.options))
        .await
        .unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, "the address does not answer")))?;
    socket::tune(&stream)?;
    let proven = shared.identity.dial(&mut stream, peer.router_key).await?;
    Ok((stream, proven))
}
