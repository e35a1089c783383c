// SPDX-License-Identifier: AGPL-3.0-or-later
//! What `irdest-gateway links` shows: what is measured about every link, and by whom, as data and as a table for people.

use ratman_types::{ByteCount, Capacity, Loss, RouterId, SampleSource, Traffic};
use router_core::Estimate;
use serde::{Deserialize, Serialize};

use crate::status::LinkState;

mod text;

/// The links of a running gateway at one moment. What nobody measured is absent, never guessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// Whether probes in the kernel measure, and where.
    pub probes: ProbesStatus,
    /// One per attachment to a neighbour.
    pub links: Vec<MeasuredLink>,
}

/// The probes in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbesStatus {
    /// Whether they measure on any interface.
    pub state: ProbeState,
    /// Why they do not.
    pub reason: Option<String>,
    /// Where they do.
    pub interfaces: Vec<ProbedInterface>,
}

/// Whether probes measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeState {
    /// They do.
    Attached,
    /// They do not.
    #[default]
    None,
}

/// An interface on which the probes measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbedInterface {
    /// Its name.
    pub interface: String,
    /// The kernel's number of it.
    pub index: u32,
    /// How they are attached: `tcx` or `clsact`.
    pub hook: String,
}

/// One link and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredLink {
    /// Its number, as `status` shows it.
    pub link: u32,
    /// The netmod that drives it.
    pub netmod: String,
    /// The router at its other end.
    pub neighbour: RouterId,
    /// Our end of the underlay.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// Whether it carries frames.
    pub state: LinkState,
    /// The interface that it crosses, where that was asked for.
    pub interface: Option<String>,
    /// Whether a probe measures it.
    pub probes: ProbeState,
    /// What leaves for the neighbour, underlay headers included.
    pub sent: Option<Rate>,
    /// What comes from the neighbour, alike.
    pub received: Option<Rate>,
    /// The round trip without a queue: what routes are chosen by.
    pub latency: Option<RoundTrip>,
    /// The round trip with the queues of the last 30 s.
    pub loaded_latency: Option<RoundTrip>,
    /// What the link carries towards the neighbour.
    pub capacity: CapacityFigure,
    /// What gets lost towards the neighbour.
    pub loss: Option<LossFigure>,
    /// What the configuration adds to the ping of routes over the link, in microseconds.
    pub cost: Option<u64>,
}

/// Bytes on the wire in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The rate.
    pub bytes_per_second: u64,
    /// Who counted.
    pub source: SampleSource,
}

/// A round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrip {
    /// In microseconds.
    pub us: u64,
    /// Who measured.
    pub source: SampleSource,
}

/// What a link carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapacityFigure {
    /// How much the figure says.
    pub kind: CapacityKind,
    /// The figure.
    pub bytes_per_second: Option<u32>,
    /// Who measured.
    pub source: Option<SampleSource>,
}

/// How much a capacity says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapacityKind {
    /// It is the capacity.
    Measured,
    /// It may be more.
    AtLeast,
    /// Nobody found out.
    #[default]
    Unknown,
}

/// What gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossFigure {
    /// Packets of a million, at most all of them.
    pub per_million: u64,
    /// Whether packets overtake each other: then some of these were only late.
    pub reordered: bool,
    /// Who counted.
    pub source: SampleSource,
}

impl From<Estimate<std::time::Duration>> for RoundTrip {
    fn from(estimate: Estimate<std::time::Duration>) -> Self {
        let us = u64::try_from(estimate.value.as_micros()).unwrap_or(u64::MAX);
        Self { us, source: estimate.source }
    }
}

impl From<Estimate<Capacity>> for CapacityFigure {
    fn from(estimate: Estimate<Capacity>) -> Self {
        let (kind, bandwidth) = match estimate.value {
            Capacity::Measured(bandwidth) => (CapacityKind::Measured, bandwidth),
            Capacity::AtLeast(bandwidth) => (CapacityKind::AtLeast, bandwidth),
        };
        let source = Some(estimate.source);
        Self { kind, bytes_per_second: Some(bandwidth.as_bytes_per_second()), source }
    }
}

impl LossFigure {
    /// Nothing where nothing was sent.
    pub(crate) fn of(estimate: &Estimate<Loss>) -> Option<Self> {
        let Loss { sent, lost, reordered } = estimate.value;
        let per_million = (u128::from(lost.min(sent)) * 1_000_000).checked_div(sent.into())?;
        let per_million = u64::try_from(per_million).expect("at most a million");
        Some(Self { per_million, reordered, source: estimate.source })
    }
}

/// What was sent and received.
pub(crate) fn rates(estimate: Estimate<Traffic>) -> Option<(Rate, Rate)> {
    let Traffic { over, sent, received } = estimate.value;
    let rate =
        |bytes: ByteCount| Some(Rate { bytes_per_second: bytes.per_second(over)?, source: estimate.source });
    Some((rate(sent)?, rate(received)?))
}

#[cfg(test)]
pub(crate) mod tests;
