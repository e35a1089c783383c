// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is measured about the links: collected every second for the router, and shown by `irdest-gateway links`.

use netmod_api::SAMPLES_EVERY;
use ratman_types::Now;
use router_core::LinkEvent;

use super::{Attachment, Driver};
use crate::links::{
    CapacityFigure, Links, LossFigure, MeasuredLink, ProbeState, ProbesStatus, RoundTrip, rates,
};

impl Driver {
    /// Hands on what the netmods measured since the last time.
    pub(super) fn measure(&mut self, now: Now) {
        for netmod in &self.parts.netmods {
            for (hop, sample) in netmod.samples(now.at) {
                self.parts.router.handle_link(LinkEvent::Sample { hop, sample }, now);
            }
        }
        self.next_measure = now.at + SAMPLES_EVERY;
    }

    pub(super) fn measured_links(&self) -> Links {
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
                interface: None,
                probes: ProbeState::None,
                sent,
                received,
                latency: link.latency.map(RoundTrip::from),
                loaded_latency: link.loaded_latency.map(RoundTrip::from),
                capacity: link.capacity.map(CapacityFigure::from).unwrap_or_default(),
                loss: link.loss.as_ref().and_then(LossFigure::of),
                cost: Some(link.cost.as_duration()).filter(|cost| !cost.is_zero()).map(super::report::micros),
            })
        });
        Links { probes: ProbesStatus::default(), links: links.collect() }
    }
}
