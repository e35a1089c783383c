// SPDX-License-Identifier: AGPL-3.0-or-later
//! Probes in the kernel beside the links: which interfaces the links cross is found out anew whenever links or the host's
//! network change, and the probes follow. Nothing depends on them: where there are none, it is said once why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ebpf_loader::{AttachError, Conversation, Interface, Probes, interface_of};
use netmod_api::Underlay;
use ratman_types::{Hop, LinkSample, Timestamp};
use rtnetlink::Handle;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::links::{ProbeState, ProbedInterface, ProbesStatus};
use crate::netlink::NetlinkError;

/// What failed is tried again after this time: soon enough for who waits for figures, seldom enough for what fails always.
const TRY_AGAIN: Duration = Duration::from_secs(30);

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
pub struct Probing {
    probes: Result<Probes, String>,
    routes: Option<Routes>,
    /// What was asked about last.
    asked: Underlays,
    running: Option<JoinHandle<Crossings>>,
    /// Whether the host's network changed since.
    stale: bool,
    /// When to ask again although nothing changed, if not all of the last answer could be had or followed.
    again: Option<Instant>,
    crossed: BTreeMap<Hop, Interface>,
    attached: BTreeSet<Interface>,
    /// Why the last interfaces were not attached to, or links not followed, so that it is said once.
    refused: Vec<String>,
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

    fn with(probes: Result<Probes, String>, routes: Option<Routes>) -> Self {
        Self {
            probes,
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
            self.running = Some(tokio::spawn(routes.clone().of(now)));
        }
    }

    /// Waits for the answer to [`ask`](Self::ask), and follows it; cancel safe.
    pub async fn follow(&mut self) {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let answer = running.await;
        self.running = None;
        let complete = match answer {
            Ok(crossings) => self.attach(&crossings) && crossings.len() == self.asked.len(),
            Err(error) => {
                warn!(%error, "the interfaces of links are not known");
                false
            }
        };
        self.again = (!complete).then(|| Instant::now() + TRY_AGAIN);
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

    /// Whether all of it could be done.
    fn attach(&mut self, crossings: &Crossings) -> bool {
        self.crossed = crossings.iter().map(|(hop, _, interface)| (*hop, interface.clone())).collect();
        let Ok(probes) = &mut self.probes else { return true };
        let wanted: BTreeSet<Interface> = self.crossed.values().cloned().collect();
        let refused = probes.watch(&wanted.iter().cloned().collect::<Vec<_>>());
        let is_refused =
            |interface: &Interface| refused.iter().any(|error| error.interface() == interface.name);
        self.attached = wanted.into_iter().filter(|interface| !is_refused(interface)).collect();
        let conversations: Vec<_> = crossings
            .iter()
            .map(|(hop, underlay, interface)| (*hop, conversation(underlay, interface)))
            .collect();
        let left_out = probes.follow(&conversations).err().map(|error| error.to_string());
        let refused: Vec<_> = refused.iter().map(AttachError::to_string).chain(left_out).collect();
        if refused != self.refused {
            for error in &refused {
                warn!(error, "the probes do not measure all links");
            }
            self.refused = refused;
        }
        self.refused.is_empty()
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

    #[tokio::test(start_paused = true)]
    async fn what_the_kernel_does_not_tell_is_asked_again_after_a_while() {
        let mut probing = Probing::with(Err("not needed here".to_owned()), Some(Routes::open(0).unwrap()));
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
