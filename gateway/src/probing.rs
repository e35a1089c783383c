// SPDX-License-Identifier: AGPL-3.0-or-later
//! Probes in the kernel beside the links: which interfaces the links cross is found out anew whenever links or the host's
//! network change, and the probes follow. Nothing depends on them: where there are none, it is said once why.

use std::collections::{BTreeMap, BTreeSet};

use ebpf_loader::{AttachError, Conversation, Interface, Probes, interface_of};
use netmod_api::Underlay;
use ratman_types::{Hop, LinkSample, Timestamp};
use rtnetlink::Handle;
use tokio::task::{AbortHandle, JoinHandle};
use tracing::{debug, info, warn};

use crate::links::{ProbeState, ProbedInterface, ProbesStatus};
use crate::netlink::NetlinkError;

/// The links and what is below them, in the order of the links.
type Underlays = Vec<(Hop, Underlay)>;

/// Which interface each link crosses, as far as the kernel tells.
type Crossings = Vec<(Hop, Underlay, Interface)>;

/// The programs, before anything is known of links; or why there are none.
#[derive(Debug)]
pub struct Loaded(Result<Probes, String>);

impl Loaded {
    /// Loads the programs if they are `enabled`. To be called before capabilities are given up.
    pub fn load(enabled: bool) -> Self {
        if !enabled {
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
pub struct Probing {
    probes: Result<Probes, String>,
    routes: Option<Routes>,
    /// What was asked about last.
    asked: Underlays,
    running: Option<JoinHandle<Crossings>>,
    /// Whether the host's network changed since.
    stale: bool,
    crossed: BTreeMap<Hop, Interface>,
    attached: BTreeSet<Interface>,
    /// Why the last interfaces were not attached to, so that it is said once.
    refused: Vec<String>,
}

impl Probing {
    /// Follows no link yet. `mark` is that of the netmods' sockets, 0 for none. To be called in a tokio runtime.
    pub fn new(loaded: Loaded, mark: u32) -> Self {
        let (probes, routes) = match (loaded.0, Routes::open(mark)) {
            (Ok(probes), Ok(routes)) => (Ok(probes), Some(routes)),
            (Ok(_), Err(error)) => (Err(error.to_string()), None),
            (Err(reason), _) => (Err(reason), None),
        };
        Self {
            probes,
            routes,
            asked: Underlays::new(),
            running: None,
            stale: false,
            crossed: BTreeMap::new(),
            attached: BTreeSet::new(),
            refused: Vec::new(),
        }
    }

    /// The host's network changed: any conversation may cross another interface.
    pub fn network_changed(&mut self) {
        self.stale = true;
    }

    /// Asks the kernel for the interfaces of these links, if anything changed; [`follow`](Self::follow) has the answer.
    pub fn ask(&mut self, underlays: impl IntoIterator<Item = (Hop, Underlay)>) {
        let Some(routes) = &self.routes else { return };
        if self.running.is_some() {
            // What has changed meanwhile is asked next time.
            return;
        }
        let now: Underlays = underlays.into_iter().collect();
        if now != self.asked || std::mem::take(&mut self.stale) {
            self.asked.clone_from(&now);
            self.running = Some(tokio::spawn(routes.clone().of(now)));
        }
    }

    /// Waits for the answer to [`ask`](Self::ask), and follows it; cancel safe.
    pub async fn follow(&mut self) {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let answer = running.await;
        self.running = None;
        match answer {
            Ok(crossings) => self.attach(&crossings),
            Err(error) => warn!(%error, "the interfaces of links are not known"),
        }
    }

    /// What the probes measured since the last time.
    pub fn samples(&mut self, now: Timestamp) -> Vec<(Hop, LinkSample)> {
        self.probes.as_mut().map(|probes| probes.samples(now)).unwrap_or_default()
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
            Ok(probes) => probes.hook().to_string(),
            Err(reason) => return none(Some(reason)),
        };
        let interface = |one: &Interface| {
            let (interface, hook) = (one.name.clone(), hook.clone());
            ProbedInterface { interface, index: one.index, hook }
        };
        let interfaces = self.attached.iter().map(interface).collect();
        ProbesStatus { state: ProbeState::Attached, reason: self.refused.first().cloned(), interfaces }
    }

    fn attach(&mut self, crossings: &Crossings) {
        let Ok(probes) = &mut self.probes else { return };
        self.crossed = crossings.iter().map(|(hop, _, interface)| (*hop, interface.clone())).collect();
        let wanted: BTreeSet<Interface> = self.crossed.values().cloned().collect();
        let refused = probes.watch(&wanted.iter().cloned().collect::<Vec<_>>());
        let is_refused =
            |interface: &Interface| refused.iter().any(|error| error.interface() == interface.name);
        self.attached = wanted.into_iter().filter(|interface| !is_refused(interface)).collect();
        let conversations: Vec<_> = crossings
            .iter()
            .map(|(hop, underlay, interface)| (*hop, conversation(underlay, interface)))
            .collect();
        if let Err(error) = probes.follow(&conversations) {
            warn!(%error, "the probes do not measure all links");
        }
        let refused = refused.iter().map(AttachError::to_string).collect();
        if refused != self.refused {
            for error in &refused {
                warn!(error, "the probes do not measure on an interface");
            }
            self.refused = refused;
        }
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

fn conversation(underlay: &Underlay, interface: &Interface) -> Conversation {
    let Underlay { local, remote, protocol } = *underlay;
    Conversation { interface: interface.index, local, remote, protocol: protocol.0 }
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
