// SPDX-License-Identifier: AGPL-3.0-or-later
//! The driver: its listeners, its dialers, its links.

use core::fmt;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use netmod_api::{Capabilities, Class, DownReason, FrameParts, Inbox, Netmod, Outbox, Sent, Target};
use ratman_types::{Hop, Mtu, RouterId, Signer, Verifier};
use ratman_wire::peering::PeeringError;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::{Instrument, debug, debug_span, info};

use crate::accept::accept;
use crate::config::{Entropy, InetConfig, InetError};
use crate::counters::{Counters, InetCounters};
use crate::dial::Dialer;
use crate::half_open::HalfOpen;
use crate::link::{Link, MTU};
use crate::links::Links;
use crate::peering::{Identity, Proven, Refused};
use crate::socket;

/// The name of the driver, in configuration and in peering proofs.
pub const NAME: &str = "inet";

/// Links over TCP. Dropped, it closes all of them and listens no more.
pub struct Inet {
    shared: Arc<Shared>,
    listening: Vec<SocketAddr>,
    tasks: Vec<AbortHandle>,
}

impl Inet {
    /// Listens, and begins to dial.
    ///
    /// `key` proves who we are, `verifier` checks the proofs of others, `entropy` gives nonces and jitter, `inbox` is
    /// told of links and frames.
    ///
    /// # Errors
    /// [`InetError`] if an address to listen on cannot be had; nothing is left behind then.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO and time.
    pub fn start(
        config: InetConfig,
        key: Arc<dyn Signer>,
        verifier: Arc<dyn Verifier>,
        entropy: Entropy,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Arc<Self>, InetError> {
        let listeners = config
            .listen
            .iter()
            .map(|address| Ok((*address, socket::listen(*address, &config.listen)?)))
            .collect::<Result<Vec<_>, InetError>>()?;
        let shared = Arc::new(Shared {
            links: Links::new(key.router_id(), config.limits, config.peers.len()),
            identity: Identity { key, verifier, entropy },
            inbox,
            counters: Arc::default(),
            half_open: HalfOpen::new(config.limits.half_open, config.limits.half_open_per_source),
            known: config.peers.iter().filter_map(|peer| peer.router_key).collect(),
            accept_unknown_peers: config.accept_unknown_peers,
            network: watch::Sender::new(()),
        });
        let mut listening = Vec::new();
        let mut tasks = Vec::new();
        for (address, listener) in listeners {
            let bound = listener.local_addr().map_err(|error| InetError::Listen { address, error })?;
            info!(address = %bound, "listening");
            listening.push(bound);
            tasks.push(tokio::spawn(accept(Arc::clone(&shared), listener)).abort_handle());
        }
        for peer in config.peers {
            let dialer = Dialer::new(Arc::clone(&shared), peer);
            tasks.push(tokio::spawn(dialer.run()).abort_handle());
        }
        Ok(Arc::new(Self { shared, listening, tasks }))
    }

    /// The addresses that we listen on, with the ports that the kernel chose where 0 was configured.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// What was refused and dropped so far.
    pub fn counters(&self) -> InetCounters {
        self.shared.counters.snapshot()
    }
}

impl Netmod for Inet {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::Full
    }

    fn mtu(&self, target: Option<Hop>) -> Option<Mtu> {
        target.is_none_or(|hop| self.shared.links.get(hop).is_some()).then_some(MTU)
    }

    fn send(&self, target: Target<'_>, class: Class, frame: &[u8]) -> Sent {
        let frames = [FrameParts::whole(frame)];
        match target {
            Target::One(hop) => match self.shared.links.get(hop) {
                Some(link) => link.send(class, &frames),
                None => {
                    self.shared.counters.dropped_frames.add(1);
                    Sent { accepted: 0, dropped: 1 }
                }
            },
            Target::AllBut(neighbours) => {
                let mut sent = Sent::default();
                for link in self.shared.links.all_but(neighbours) {
                    sent += link.send(class, &frames);
                }
                sent
            }
        }
    }

    fn close(&self, hop: Hop) {
        if let Some(link) = self.shared.links.get(hop) {
            link.close(DownReason::ClosedByUs);
        }
    }

    fn drops(&self) -> Vec<(&'static str, u64)> {
        self.counters().iter().collect()
    }

    fn network_changed(&self) {
        self.shared.network.send_replace(());
    }
}

impl fmt::Debug for Inet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inet").field("listening", &self.listening).finish_non_exhaustive()
    }
}

impl Drop for Inet {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.shared.links.stop();
    }
}

/// What listeners, dialers and links share.
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    pub(crate) links: Links,
    pub(crate) counters: Arc<Counters>,
    pub(crate) half_open: HalfOpen,
    /// Changes when the host's network does.
    pub(crate) network: watch::Sender<()>,
    inbox: Arc<dyn Inbox>,
    known: BTreeSet<RouterId>,
    accept_unknown_peers: bool,
}

impl Shared {
    /// Whether a router may connect to us.
    pub(crate) fn accepts(&self, router: &RouterId) -> bool {
        self.accept_unknown_peers || self.known.contains(router)
    }

    /// Makes a link of a connection whose ends have proven their keys.
    ///
    /// # Errors
    /// [`Refused`] if there is no place for it, or another link of the same ends stays.
    pub(crate) fn link(
        self: &Arc<Self>,
        stream: TcpStream,
        proven: &Proven,
        dialed: bool,
    ) -> Result<Arc<Link>, Refused> {
        let now = self.inbox.now();
        let hop = Hop { link: self.inbox.next_link(), neighbour: proven.router };
        let link = Arc::new(Link::new(stream, hop, dialed, now, Arc::clone(&self.counters))?);
        let leaving = self.links.add(&link, self.known.contains(&proven.router), now)?;
        let run = Entered { shared: Arc::clone(self), link: Arc::clone(&link) }.run(*proven, leaving);
        let span = debug_span!("link", id = %hop.link, remote = %link.remote);
        let span = debug_span!(parent: &span, "neighbour", router = %hop.neighbour.short());
        tokio::spawn(run.instrument(span));
        Ok(link)
    }

    /// Counts a connection that did not become a link.
    pub(crate) fn count(&self, reason: &Refused) {
        let counters = &self.counters;
        let counter = match reason {
            Refused::Io(_) | Refused::Closed | Refused::BadFraming(_) | Refused::Stopped => {
                &counters.broken_peering
            }
            Refused::Frame(PeeringError::Deployed06) => &counters.deployed_06,
            Refused::Frame(_) => &counters.broken_peering,
            Refused::Late => &counters.late_peering,
            Refused::OwnKey => &counters.own_router_key,
            Refused::WrongKey { .. } => &counters.wrong_router_key,
            Refused::Unknown(_) => &counters.unknown_router,
            Refused::BadProof(_) => &counters.bad_proof,
            Refused::LinksFull => &counters.links_full,
            Refused::Duplicate => &counters.duplicates,
        };
        counter.add(1);
    }
}

/// A link in the table. Dropped, also by a panic of whom we call, it is there no more and the router knows.
struct Entered {
    shared: Arc<Shared>,
    link: Arc<Link>,
}

impl Entered {
    async fn run(self, proven: Proven, leaving: Vec<Arc<Link>>) {
        debug!(dialed = self.link.dialed, local = %self.link.local, "link up");
        // The new link is announced before the old one goes, so that traffic has a way all the time.
        self.shared.inbox.link_up(self.link.up(&proven));
        for old in leaving {
            self.shared.counters.duplicates.add(1);
            old.close(DownReason::Duplicate);
        }
        Arc::clone(&self.link).run(&self.shared.inbox).await;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Without a panic a task that did not end was dropped with its runtime.
        let reason =
            self.link.end(if thread::panicking() { DownReason::Failed } else { DownReason::Stopped });
        self.shared.links.remove(self.link.hop.link);
        debug!(%reason, "link down");
        self.shared.inbox.link_down(self.link.hop, reason);
    }
}
