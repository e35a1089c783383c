// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is measured about the links: collected every second for the router, and shown by `irdest-gateway links`.

use std::net::SocketAddr;

use netmod_api::{LinkUp, SAMPLES_EVERY};
use ratman_types::Now;
use router_core::{LinkCost, LinkEvent};

use super::report::micros;
use super::{Attachment, Driver, Parts};
use crate::config::LinkRule;
use crate::links::{CapacityFigure, Links, LossFigure, MeasuredLink, RoundTrip, rates};

impl Driver {
    /// Hands on what netmods and probes measured since the last time, lets the probes follow the links, and as many threads work
    /// as these keep busy.
    pub(super) fn measure(&mut self, now: Now) {
        let Parts { netmods, probing, router, duty, .. } = &mut self.parts;
        duty.look(now.at);
        let samples = netmods.iter().flat_map(|netmod| netmod.samples(now.at)).chain(probing.samples(now.at));
        for (hop, sample) in samples {
            router.handle_link(LinkEvent::Sample { hop, sample }, now);
        }
        probing.ask(netmods.iter().flat_map(|netmod| netmod.underlay()));
        self.next_measure = now.at + SAMPLES_EVERY;
    }

    /// What the configuration adds to the ping of routes over a link, if it says anything.
    pub(super) fn cost_of(&self, link: &LinkUp) -> Option<LinkCost> {
        let remote = link.remote.parse::<SocketAddr>().ok().map(|remote| remote.ip());
        let rule = self.parts.link_rules.iter().find(|rule| rule.is_about(&link.hop.neighbour, remote));
        rule.map(|rule| rule.cost)
    }

    /// Takes what another configuration says about links.
    pub(super) fn set_link_rules(&mut self, rules: Vec<LinkRule>, now: Now) {
        self.parts.link_rules = rules;
        for (hop, Attachment { link, .. }) in &self.links {
            let cost = self.cost_of(link).unwrap_or_default();
            self.parts.router.handle_link(LinkEvent::Cost { hop: *hop, cost }, now);
        }
    }

    pub(super) fn measured_links(&self) -> Links {
        let probing = &self.parts.probing;
        let links = self.parts.router.links().filter_map(|link| {
            let Attachment { link: up, .. } = self.links.get(&link.hop)?;
            let (sent, received) = link.traffic.and_then(rates).unzip();
            Some(MeasuredLink {
                link: link.hop.link.0,
                netmod: up.netmod.to_owned(),
                neighbour: link.hop.neighbour,
                local: up.local.clone(),
                remote: up.remote.clone(),
                state: link.state.into(),
                interface: probing.interface(&link.hop).map(|interface| interface.name.clone()),
                probes: probing.measures(&link.hop),
                sent,
                received,
                latency: link.latency.map(RoundTrip::from),
                loaded_latency: link.loaded_latency.map(RoundTrip::from),
                capacity: link.capacity.map(CapacityFigure::from).unwrap_or_default(),
                loss: link.loss.as_ref().and_then(LossFigure::of),
                cost: Some(link.cost).filter(|cost| !cost.is_none()).map(|cost| micros(cost.as_duration())),
            })
        });
        Links { probes: probing.status(), links: links.collect() }
    }
}
