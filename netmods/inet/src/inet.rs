// SPDX-License-Identifier: AGPL-3.0-or-later
//! The driver: its listeners, its dialers, its links.

use core::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;

use netmod_api::{
    Capabilities, Class, DownReason, Executor, FrameParts, Inbox, Netmod, Outbox, PeerState, Sent, Target,
    Underlay,
};
use ratman_types::{Hop, LinkSample, Mtu, RouterId, Signer, Timestamp, Verifier};
use ratman_wire::peering::PeeringError;
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tracing::{Instrument, debug, debug_span, info};

use crate::accept::accept;
use crate::config::{Entropy, InetConfig, InetError, LEAST_MTU, MOST_MTU, PeerLine};
use crate::counters::{Counters, InetCounters};
use crate::half_open::HalfOpen;
use crate::lines::{Lines, Welcome};
use crate::link::Link;
use crate::links::Links;
use crate::peering::{Identity, Proven, Refused};
use crate::socket::{self, Options};
use crate::train::{Hub, Runner};

/// The name of the driver, in configuration and in peering proofs.
pub const NAME: &str = "inet";

/// Links over TCP. Dropped, it closes all of them and listens no more.
pub struct Inet {
    shared: Arc<Shared>,
    lines: Lines,
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
    /// [`InetError`] if an address to listen on cannot be had, or the kernel refuses the mark, or an MTU is out of
    /// range; nothing is left behind then.
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
        check_mtus(config.mtu, &config.peers)?;
        let options = Options { mark: config.mark, buffer: config.buffer };
        options.check()?;
        let listeners = config
            .listen
            .iter()
            .map(|address| Ok((*address, socket::listen(*address, &config.listen, options)?)))
            .collect::<Result<Vec<_>, InetError>>()?;
        let counters: Arc<Counters> = Arc::default();
        let shared = Arc::new(Shared {
            trains: config.trains.map(|trains| Hub::new(trains, Arc::clone(&counters))),
            links: Links::new(key.router_id(), config.limits, config.peers.len()),
            options,
            mtu: config.mtu.unwrap_or(MOST_MTU),
            identity: Identity { key, verifier, entropy },
            inbox,
            counters,
            half_open: HalfOpen::new(config.limits.half_open, config.limits.half_open_per_source),
            welcome: RwLock::new(Welcome::new(&config.peers, config.accept_unknown_peers)),
            network: watch::Sender::new(()),
            executor: config.executor,
        });
        let mut listening = Vec::new();
        let mut tasks = Vec::new();
        for (address, listener) in listeners {
            let bound = listener.local_addr().map_err(|error| InetError::Listen { address, error })?;
            info!(address = %bound, "listening");
            listening.push(bound);
            tasks.push(tokio::spawn(accept(Arc::clone(&shared), listener)).abort_handle());
            if let Some(hub) = &shared.trains {
                let listen = Arc::clone(hub).listen(bound, config.mark);
                tasks.push(tokio::spawn(listen).abort_handle());
            }
        }
        let lines = Lines::default();
        lines.replace(&shared, config.peers);
        Ok(Arc::new(Self { shared, lines, listening, tasks }))
    }

    /// Takes other peer lines while links are up.
    ///
    /// A line that was there before keeps its dialer and its link, a new one is dialled. A line that is there no more is
    /// dialled no more and its link is closed; so a line of which anything changed gets a new link. Links that
    /// others dialled stay, unless strangers are not accepted (any more) and no line names their router's key.
    ///
    /// # Errors
    /// [`InetError::Mtu`]; then nothing has changed.
    ///
    /// # Panics
    /// Outside a tokio runtime with IO and time.
    pub fn reload(&self, peers: Vec<PeerLine>, accept_unknown_peers: bool) -> Result<(), InetError> {
        check_mtus(None, &peers)?;
        let welcome = Welcome::new(&peers, accept_unknown_peers);
        *self.shared.welcome.write().unwrap_or_else(PoisonError::into_inner) = welcome;
        self.shared.links.set_lines(peers.len());
        for link in self.shared.links.all_but(&[]) {
            self.shared.close_unwelcome(&link);
        }
        self.lines.replace(&self.shared, peers);
        Ok(())
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
        match target {
            Some(hop) => self.shared.links.get(hop).map(|link| link.mtu()),
            None => {
                let links = self.shared.links.all_but(&[]);
                Some(links.iter().map(|link| link.mtu()).fold(self.shared.mtu, Mtu::min))
            }
        }
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

    fn samples(&self, now: Timestamp) -> Vec<(Hop, LinkSample)> {
        let links = self.shared.links.all_but(&[]);
        let of_link =
            |link: &Arc<Link>| [link.sample(now), link.train_sample()].map(|sample| (link.hop, sample));
        let samples = links.iter().flat_map(of_link);
        samples.filter_map(|(hop, sample)| Some((hop, sample?))).collect()
    }

    fn underlay(&self) -> Vec<(Hop, Underlay)> {
        self.shared.links.all_but(&[]).iter().map(|link| (link.hop, link.underlay())).collect()
    }

    fn peers(&self) -> Vec<PeerState> {
        self.lines.states()
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

fn check_mtus(all: Option<Mtu>, lines: &[PeerLine]) -> Result<(), InetError> {
    let mut mtus = all.into_iter().chain(lines.iter().filter_map(|line| line.mtu));
    mtus.find(|mtu| !(LEAST_MTU..=MOST_MTU).contains(mtu)).map_or(Ok(()), |mtu| Err(InetError::Mtu(mtu)))
}

/// What listeners, dialers and links share.
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    pub(crate) links: Links,
    pub(crate) counters: Arc<Counters>,
    pub(crate) half_open: HalfOpen,
    /// Changes when the host's network does.
    pub(crate) network: watch::Sender<()>,
    pub(crate) options: Options,
    /// What measures idle links, if anything does.
    trains: Option<Arc<Hub>>,
    /// The MTU of links that have none of their own.
    pub(crate) mtu: Mtu,
    inbox: Arc<dyn Inbox>,
    welcome: RwLock<Welcome>,
    executor: Option<Arc<dyn Executor>>,
}

impl Shared {
    /// Whether a router may connect to us.
    pub(crate) fn accepts(&self, router: &RouterId) -> bool {
        self.welcome.read().unwrap_or_else(PoisonError::into_inner).accepts(router)
    }

    /// Whether a peer line names a router.
    fn names(&self, router: &RouterId) -> bool {
        self.welcome.read().unwrap_or_else(PoisonError::into_inner).names(router)
    }

    /// Closes a link over which its router may not connect to us any more.
    fn close_unwelcome(&self, link: &Link) {
        if !link.dialed && !self.accepts(&link.hop.neighbour) {
            link.close(DownReason::ClosedByUs);
        }
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
        mtu: Mtu,
    ) -> Result<Arc<Link>, Refused> {
        let now = self.inbox.now();
        let hop = Hop { link: self.inbox.next_link(), neighbour: proven.router };
        let link = Arc::new(Link::new(
            stream,
            hop,
            dialed,
            (mtu, self.options.buffer.is_some()),
            now,
            Arc::clone(&self.counters),
        )?);
        let leaving = self.links.add(&link, self.names(&proven.router), now)?;
        // Once it is in the table a reload finds it; one that came just before has changed who is welcome.
        self.close_unwelcome(&link);
        let run = Entered { shared: Arc::clone(self), link: Arc::clone(&link) }.run(*proven, leaving);
        let span = debug_span!("link", id = %hop.link, remote = %link.remote);
        let span = debug_span!(parent: &span, "neighbour", router = %hop.neighbour.short());
        if let Some(trains) = self.trains(&link, proven) {
            tokio::spawn(trains.instrument(span.clone()));
        }
        self.spawn(run.instrument(span));
        Ok(link)
    }

    /// Runs a task that moves frames.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.executor {
            Some(executor) => executor.spawn(Box::pin(task)),
            None => _ = tokio::spawn(task),
        }
    }

    /// What measures a link by trains, if anything is to.
    fn trains(&self, link: &Arc<Link>, proven: &Proven) -> Option<impl Future<Output = ()> + use<>> {
        let runner = Runner {
            hub: Arc::clone(self.trains.as_ref()?),
            link: Arc::clone(link),
            own: self.identity.key.router_id(),
            key: self.identity.train_key(proven)?,
            mark: self.options.mark,
            inbox: Arc::clone(&self.inbox),
        };
        Some(runner.run())
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
        let drain = Arc::clone(&self.link).drain(Arc::clone(&self.shared.inbox));
        let (ending, drained) = oneshot::channel::<()>();
        self.shared.spawn(async move {
            // Dropped when the task ends, and also when it panics.
            let _ending = ending;
            drain.await;
        });
        self.link.run(&*self.shared.inbox, drained).await;
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
