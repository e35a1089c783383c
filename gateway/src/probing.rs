// SPDX-License-Identifier: AGPL-3.0-or-later
//! Probes in the kernel beside the links: which interfaces the links cross is found out anew whenever links or the host's
//! network change, and the probes follow. Nothing depends on them: where there are none, it is said once why.
//!
//! The kernel takes its time to attach and detach programs, longer where many interfaces come and go: a thread beside the
//! control loop does that, and has the programs meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ebpf_loader::{Interface, Probes, interface_of};
use netmod_api::Underlay;
use ratman_types::{Hop, LinkSample, Timestamp};
use rtnetlink::Handle;
use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tokio::time::Instant;
use tracing::{debug, info, warn};

mod programs;

pub use programs::{Attached, Programs};

use crate::links::{ProbeState, ProbedInterface, ProbesStatus};
use crate::netlink::NetlinkError;

/// What failed is tried again after this time: soon enough for who waits for figures, seldom enough for what fails always.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// The links and what is below them, in the order of the links.
type Underlays = Vec<(Hop, Underlay)>;

/// Which interface each link crosses, as far as the kernel tells.
pub type Crossings = Vec<(Hop, Underlay, Interface)>;

/// The programs, before anything is known of links; or why there are none.
#[derive(Debug)]
pub struct Loaded(Result<Probes, String>);

impl Loaded {
    /// Loads the programs if they are `enabled`. To be called before capabilities are given up.
    pub fn load(enabled: bool) -> Self {
        if !enabled {
            // Whoever switches them off has no use for those of a daemon that was killed.
            ebpf_loader::remove_leftovers();
            return Self(Err("switched off by probes.enabled".to_owned()));
        }
        let loaded = Probes::load().map_err(|error| error.to_string());
        if let Err(reason) = &loaded {
            info!(reason, "no probes in the kernel: links are measured by their sockets and by echoes");
        }
        Self(loaded)
    }

    /// Whether there are any, which need CAP_NET_ADMIN to be attached.
    pub fn is_some(&self) -> bool {
        self.0.is_ok()
    }
}

/// The probes and what they are attached to.
#[derive(Debug)]
pub struct Probing<P = Probes> {
    /// The programs, which a thread that attaches them has for a while; or why there are none.
    probes: Result<Option<P>, String>,
    /// How they are attached, as people see it.
    hook: String,
    routes: Option<Routes>,
    /// What was asked about last.
    asked: Underlays,
    running: Option<Running<P>>,
    /// Whether the host's network changed since.
    stale: bool,
    /// When to ask again although nothing changed, if not all of the last answer could be had or followed.
    again: Option<Instant>,
    crossed: BTreeMap<Hop, Interface>,
    attached: BTreeSet<Interface>,
    /// Why the last interfaces were not attached to, or links not followed, so that it is said once.
    refused: Vec<String>,
}

/// What goes on beside the control loop, one after the other.
#[derive(Debug)]
enum Running<P> {
    /// The kernel is asked for the interfaces of links.
    Asking(JoinHandle<Crossings>),
    /// A thread lets the programs follow them.
    Attaching(JoinHandle<(P, Attached)>),
}

impl Probing {
    /// Follows no link yet. `mark` is that of the netmods' sockets, 0 for none. To be called in a tokio runtime.
    pub fn new(loaded: Loaded, mark: u32) -> Self {
        match (loaded.0, Routes::open(mark)) {
            (Ok(probes), Ok(routes)) => Self::with(Ok(probes), Some(routes)),
            (Ok(_), Err(error)) => Self::with(Err(error.to_string()), None),
            (Err(reason), _) => Self::with(Err(reason), None),
        }
    }
}

impl<P: Programs> Probing<P> {
    fn with(probes: Result<P, String>, routes: Option<Routes>) -> Self {
        Self {
            hook: probes.as_ref().map(Programs::hook).unwrap_or_default(),
            probes: probes.map(Some),
            routes,
            asked: Underlays::new(),
            running: None,
            stale: false,
            again: None,
            crossed: BTreeMap::new(),
            attached: BTreeSet::new(),
            refused: Vec::new(),
        }
    }

    /// The host's network changed: any conversation may cross another interface.
    pub fn network_changed(&mut self) {
        self.stale = true;
    }

    /// Asks the kernel for the interfaces of these links, if anything changed, or failed 30 seconds ago;
    /// [`follow`](Self::follow) has the answer.
    pub fn ask(&mut self, underlays: impl IntoIterator<Item = (Hop, Underlay)>) {
        let Some(routes) = &self.routes else { return };
        if self.running.is_some() {
            // What has changed meanwhile is asked next time.
            return;
        }
        let now: Underlays = underlays.into_iter().collect();
        let due = self.again.is_some_and(|again| again <= Instant::now());
        if now != self.asked || due || self.stale {
            (self.stale, self.again) = (false, None);
            self.asked.clone_from(&now);
            self.running = Some(Running::Asking(tokio::spawn(routes.clone().of(now))));
        }
    }

    /// Waits for the answer to [`ask`](Self::ask), and then for the programs to follow it: to be called again and again; cancel
    /// safe.
    pub async fn follow(&mut self) {
        match &mut self.running {
            None => std::future::pending().await,
            Some(Running::Asking(asking)) => {
                let answer = asking.await;
                self.running = None;
                self.take_answer(answer);
            }
            Some(Running::Attaching(attaching)) => {
                let done = attaching.await;
                self.running = None;
                self.take_back(done);
            }
        }
    }

    /// What the probes measured since the last time; nothing while they are being attached, and the next time tells that too.
    pub fn samples(&mut self, now: Timestamp) -> Vec<(Hop, LinkSample)> {
        match &mut self.probes {
            Ok(Some(probes)) => probes.samples(now),
            Ok(None) | Err(_) => Vec::new(),
        }
    }

    /// The interface that a link crosses, where that is known.
    pub fn interface(&self, hop: &Hop) -> Option<&Interface> {
        self.crossed.get(hop)
    }

    /// Whether a probe measures a link.
    pub fn measures(&self, hop: &Hop) -> ProbeState {
        match self.crossed.get(hop).is_some_and(|interface| self.attached.contains(interface)) {
            true => ProbeState::Attached,
            false => ProbeState::None,
        }
    }

    /// Where they are, or why not.
    pub fn status(&self) -> ProbesStatus {
        let none =
            |reason: Option<&String>| ProbesStatus { reason: reason.cloned(), ..ProbesStatus::default() };
        let hook = match &self.probes {
            Ok(_) if self.attached.is_empty() => return none(self.refused.first()),
            Ok(_) => &self.hook,
            Err(reason) => return none(Some(reason)),
        };
        let interface = |one: &Interface| {
            let (interface, hook) = (one.name.clone(), hook.clone());
            ProbedInterface { interface, index: one.index, hook }
        };
        let interfaces = self.attached.iter().map(interface).collect();
        ProbesStatus { state: ProbeState::Attached, reason: self.refused.first().cloned(), interfaces }
    }

    fn take_answer(&mut self, answer: Result<Crossings, JoinError>) {
        let crossings = match answer {
            Ok(crossings) => crossings,
            Err(error) => {
                warn!(%error, "the interfaces of links are not known");
                return self.is_done(false);
            }
        };
        self.crossed = crossings.iter().map(|(hop, _, interface)| (*hop, interface.clone())).collect();
        let Some(probes) = self.probes.as_mut().ok().and_then(Option::take) else {
            return self.is_done(true);
        };
        let attaching = tokio::task::spawn_blocking(move || probes.attach(&crossings));
        self.running = Some(Running::Attaching(attaching));
    }

    fn take_back(&mut self, done: Result<(P, Attached), JoinError>) {
        match done {
            Ok((probes, Attached { interfaces, refused })) => {
                self.probes = Ok(Some(probes));
                self.attached = interfaces;
                if refused != self.refused {
                    for error in &refused {
                        warn!(error, "the probes do not measure all links");
                    }
                    self.refused = refused;
                }
                self.is_done(self.refused.is_empty());
            }
            Err(error) => {
                warn!(%error, "the probes are gone");
                self.probes = Err(error.to_string());
                self.attached.clear();
                self.is_done(true);
            }
        }
    }

    /// `followed` says whether the programs follow everything that is known.
    fn is_done(&mut self, followed: bool) {
        let complete = followed && self.crossed.len() == self.asked.len();
        self.again = (!complete).then(|| Instant::now() + TRY_AGAIN);
    }
}

impl<P> Drop for Running<P> {
    fn drop(&mut self) {
        // What a thread does goes on to its end, and the programs are dropped there.
        match self {
            Self::Asking(asking) => asking.abort(),
            Self::Attaching(_) => {}
        }
    }
}

/// Asks the kernel for routes.
#[derive(Clone, Debug)]
struct Routes {
    netlink: Handle,
    mark: u32,
    _connection: std::sync::Arc<Connection>,
}

/// Ends the netlink socket when dropped.
#[derive(Debug)]
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Routes {
    fn open(mark: u32) -> Result<Self, NetlinkError> {
        let (connection, netlink, _) = rtnetlink::new_connection().map_err(NetlinkError::Socket)?;
        let connection = Connection(tokio::spawn(connection).abort_handle()).into();
        Ok(Self { netlink, mark, _connection: connection })
    }

    /// Links whose interface the kernel does not tell are left out.
    async fn of(self, underlays: Underlays) -> Crossings {
        let mut crossings = Crossings::with_capacity(underlays.len());
        for (hop, underlay) in underlays {
            match interface_of(&self.netlink, underlay.local, underlay.remote, self.mark).await {
                Ok(interface) => crossings.push((hop, underlay, interface)),
                Err(error) => debug!(%error, link = %hop.link, "not known which interface a link crosses"),
            }
        }
        crossings
    }
}

#[cfg(test)]
mod tests {
    use netmod_api::IpProtocol;
    use ratman_types::{LinkId, RouterId};

    use super::*;

    fn link(number: u32, ends: [&str; 2]) -> (Hop, Underlay) {
        let [local, remote] = ends.map(|end| end.parse().unwrap());
        let hop = Hop { link: LinkId(number), neighbour: RouterId::from_bytes([8; 32]) };
        (hop, Underlay { local, remote, protocol: IpProtocol(6) })
    }

    /// Programs that are attached only when they are let go on.
    #[derive(Debug)]
    struct Slow {
        go_on: std::sync::mpsc::Receiver<()>,
        samples: usize,
    }

    impl Programs for Slow {
        fn hook(&self) -> String {
            "slow".to_owned()
        }

        fn watch(&mut self, _: &[Interface]) -> Vec<(String, String)> {
            self.go_on.recv().unwrap();
            Vec::new()
        }

        fn follow(&mut self, conversations: &[(Hop, ebpf_loader::Conversation)]) -> Option<String> {
            self.samples = conversations.len();
            None
        }

        fn samples(&mut self, now: Timestamp) -> Vec<(Hop, LinkSample)> {
            let hop = link(1, ["127.0.0.1:1", "127.0.0.1:2"]).0;
            vec![(hop, LinkSample::new(now, ratman_types::SampleSource::Kernel)); self.samples]
        }
    }

    #[tokio::test]
    async fn the_control_loop_goes_on_while_programs_are_attached() {
        let (go_on, waiting) = std::sync::mpsc::channel();
        let slow = Slow { go_on: waiting, samples: 0 };
        let mut probing = Probing::with(Ok(slow), Some(Routes::open(0).unwrap()));
        let (hop, underlay) = link(1, ["127.0.0.1:1", "127.0.0.1:2"]);
        probing.ask([(hop, underlay)]);
        probing.follow().await;
        assert!(probing.interface(&hop).is_some(), "known before the programs follow");
        assert_eq!(probing.measures(&hop), ProbeState::None);
        // The thread waits for us: whoever waited for it would wait for ever.
        let waits = tokio::time::timeout(Duration::from_millis(50), probing.follow()).await;
        assert!(waits.is_err(), "and cancelled it loses nothing");
        assert!(probing.samples(Timestamp::default()).is_empty());
        probing.ask([]);
        assert_eq!(probing.status().state, ProbeState::None);

        go_on.send(()).unwrap();
        probing.follow().await;
        assert_eq!(probing.measures(&hop), ProbeState::Attached);
        assert_eq!(probing.status().interfaces[0].hook, "slow");
        assert_eq!(probing.samples(Timestamp::default()).len(), 1);
        // What changed meanwhile is asked now.
        probing.ask([]);
        go_on.send(()).unwrap();
        probing.follow().await;
        probing.follow().await;
        assert_eq!(
            (probing.measures(&hop), probing.samples(Timestamp::default()).len()),
            (ProbeState::None, 0)
        );
    }

    #[tokio::test]
    async fn programs_that_are_lost_with_their_thread_are_told() {
        let (go_on, waiting) = std::sync::mpsc::channel();
        let mut probing =
            Probing::with(Ok(Slow { go_on: waiting, samples: 0 }), Some(Routes::open(0).unwrap()));
        drop(go_on);
        probing.ask([link(1, ["127.0.0.1:1", "127.0.0.1:2"])]);
        probing.follow().await;
        probing.follow().await;
        assert!(probing.status().reason.is_some_and(|reason| reason.contains("panicked")));
        assert!(probing.samples(Timestamp::default()).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_kernel_does_not_tell_is_asked_again_after_a_while() {
        let mut probing =
            Probing::<Probes>::with(Err("not needed here".to_owned()), Some(Routes::open(0).unwrap()));
        let known = link(1, ["127.0.0.1:1", "127.0.0.1:2"]);
        // No packet can come from a multicast address.
        let unknown = link(2, ["224.0.0.1:1", "127.0.0.1:2"]);
        probing.ask([known, unknown]);
        probing.follow().await;
        assert!(probing.interface(&known.0).is_some() && probing.interface(&unknown.0).is_none());
        probing.ask([known, unknown]);
        assert!(probing.running.is_none(), "not at once");
        tokio::time::advance(TRY_AGAIN).await;
        probing.ask([known, unknown]);
        assert!(probing.running.is_some(), "after a while");
        probing.follow().await;

        probing.ask([known]);
        probing.follow().await;
        tokio::time::advance(TRY_AGAIN).await;
        probing.ask([known]);
        assert!(probing.running.is_none(), "nothing failed");
    }
}
