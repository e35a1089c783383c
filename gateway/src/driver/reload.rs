// SPDX-License-Identifier: AGPL-3.0-or-later
//! Other remotes and rules for a control plane that runs: sessions and flows go on.

use std::collections::BTreeSet;

use gateway_core::firewall::Firewall;
use gateway_core::limits::RemoteLimits;
use gateway_core::remotes::{Remotes, RouteError};
use gateway_core::session::{Accept, ConfiguredRemote, SessionState};
use ipnet::IpNet;
use ratman_types::Address;
use router_core::streams::StreamFilter;

use super::Driver;
use crate::config::LinkRule;
use crate::irdest_proxy::ControlHalf;
use crate::state::State;

/// What the configuration says about remotes and links.
#[derive(Debug)]
pub struct RemotesConfig {
    /// The remotes of its routes, which stay pinned.
    pub configured: BTreeSet<Address>,
    /// Who may open a session.
    pub accept: Accept,
    /// The rules of the firewall.
    pub firewall: Firewall,
    /// Bandwidth limits.
    pub limits: Option<RemoteLimits>,
    /// What is said about links.
    pub links: Vec<LinkRule>,
    /// Which streams are taken.
    pub streams: StreamFilter,
}

/// Each of `configured` with the times that were stored for it.
pub fn with_times(configured: &BTreeSet<Address>, state: &State) -> Vec<ConfiguredRemote> {
    let remote = |address: &Address| {
        let times = state.session_times(address);
        ConfiguredRemote {
            address: *address,
            last_sent: times.sent.unwrap_or_default(),
            last_received: times.received.unwrap_or_default(),
        }
    };
    configured.iter().map(remote).collect()
}

impl Driver {
    /// Prefixes and remotes for [`reload`](Self::reload), which has no errors then; nothing without irdest-proxy.
    ///
    /// # Errors
    /// As [`Remotes::new`].
    pub fn plan_remotes(
        &self,
        routes: impl IntoIterator<Item = (IpNet, Address)>,
    ) -> Result<Option<Remotes>, RouteError> {
        self.parts.proxy.as_ref().map(|proxy| proxy.remotes().with_routes(routes)).transpose()
    }

    /// Takes other prefixes, remotes and rules.
    pub fn reload(&mut self, remotes: Option<Remotes>, config: RemotesConfig) {
        let now = self.clock.now();
        let RemotesConfig { configured, accept, firewall, limits, links, streams } = config;
        let in_use: BTreeSet<Address> = self.remotes_in_use().collect();
        let router = &mut self.parts.router;
        configured.difference(&self.parts.configured).for_each(|address| router.pin(*address));
        for address in self.parts.configured.difference(&configured) {
            // One with a session is unpinned when the session ends.
            if !in_use.contains(address) {
                router.unpin(address);
            }
        }
        if let (Some(proxy), Some(remotes)) = (&mut self.parts.proxy, remotes) {
            proxy.data().set_rules(firewall, limits);
            let sessions = with_times(&configured, &self.parts.state);
            proxy.reload(remotes, (accept, &sessions), &router.known_addresses().collect(), now);
        }
        self.parts.configured = configured;
        self.set_link_rules(links, now);
        if let Some(plane) = &self.parts.streams {
            plane.inlet().filter(streams);
        }
        self.refused = None;
        self.settle(now);
    }

    /// Shows why a reload was refused, until one is taken.
    pub fn set_refused(&mut self, why: String) {
        self.refused = Some(why);
    }

    /// The remotes of open sessions.
    pub(super) fn remotes_in_use(&self) -> impl Iterator<Item = Address> + '_ {
        let sessions = self.parts.proxy.iter().flat_map(ControlHalf::sessions);
        sessions.filter(|session| session.state == SessionState::Established).map(|session| session.remote)
    }
}
