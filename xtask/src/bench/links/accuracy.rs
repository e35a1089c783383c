// SPDX-License-Identifier: AGPL-3.0-or-later
//! One link under one load: what the gateway says of it, and the truth.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use irdest_lab::traffic::{Load, Ping};
use irdest_lab::{
    CapacityFigure, CapacityKind, LinkTraits, MeasuredLink, Neighbours, Probes, Rate, TimeLimit, interrupted,
};
use serde::Serialize;

/// There and back on the line.
const ROUND_TRIP: Duration = Duration::from_millis(10);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long is looked at least: the gateway looks back 30 s for a latency, and a capacity may become wrong later.
const WINDOW: Duration = Duration::from_secs(30);

/// How long probes may take until they follow a link.
const PROBES_WITHIN: Duration = Duration::from_secs(10);

/// Time between two looks, and between two pings.
const LOOK: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(200);

/// Largest deviation of a capacity, in percent.
const CAPACITY_PERCENT: u64 = 10;

/// A bucket that is larger than a train.
const LARGE_BUCKET: u32 = 256;

/// Who measures besides the router's own echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    /// Probes in the kernel.
    Kernel,
    /// Sockets and trains alone.
    Fallback,
}

/// What the link has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    /// Nothing.
    Idle,
    /// 1 Mbit/s.
    Light,
    /// A conversation with delayed acknowledgements.
    Talker,
    /// A stream as fast as it goes.
    Saturated,
    /// A fifth of its rate.
    Limited,
    /// Nothing, behind a bucket that is larger than a train.
    LargeBucket,
}

/// What is measured at once.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Case {
    pub(super) mbit: u32,
    pub(super) task: Task,
    pub(super) source: Source,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) case: Case,
    /// What the gateway says in the end; none where that could not be found out.
    pub(super) figures: Option<Figures>,
    /// Why there are none.
    pub(super) failure: Option<String>,
}

/// Figures of one row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    /// The median of `ping`, where it is compared.
    pub(super) ping_us: Option<u64>,
    pub(super) latency_us: Option<u64>,
    pub(super) latency_source: Option<String>,
    pub(super) loaded_latency_us: Option<u64>,
    pub(super) capacity_kind: &'static str,
    pub(super) capacity_bytes_per_second: Option<u64>,
    pub(super) capacity_source: Option<String>,
    pub(super) true_bytes_per_second: u64,
    /// When a capacity was told for the first time.
    pub(super) answered_after_s: Option<f64>,
    /// A figure, of any time, that was not true.
    pub(super) wrong_bytes_per_second: Option<u64>,
}

impl Task {
    pub(super) const ALL: [Self; 6] =
        [Self::Idle, Self::Light, Self::Talker, Self::Saturated, Self::Limited, Self::LargeBucket];

    fn load(self, mbit: u32) -> Load {
        match self {
            Self::Idle | Self::LargeBucket => Load::None,
            Self::Light => Load::Mbit(1),
            Self::Talker => Load::Talker,
            Self::Saturated => Load::Full,
            Self::Limited => Load::Mbit((mbit / 5).max(1)),
        }
    }

    /// Whether the gateway has to find the capacity.
    pub(super) fn wants_capacity(self) -> bool {
        matches!(self, Self::Idle | Self::Saturated)
    }

    /// Whether its latency has to be that of `ping`.
    pub(super) fn wants_latency(self) -> bool {
        matches!(self, Self::Idle | Self::Light | Self::Talker)
    }
}

impl Case {
    /// Tasks of a link of this rate, each with all sources one after the other.
    pub(super) fn all(mbit: u32, tasks: &[Task], sources: [Source; 2]) -> impl Iterator<Item = Self> {
        let of_task = move |task: &Task| sources.map(|source| Self { mbit, task: *task, source });
        tasks.iter().flat_map(of_task)
    }

    /// Measures it in a lab of its own.
    ///
    /// # Errors
    /// Only where somebody interrupts: a gateway that fails is a result.
    pub(super) fn measure(self) -> Result<Row> {
        let outcome = self.figures();
        ensure!(!interrupted(), "interrupted");
        let failure = outcome.as_ref().err().map(|error| format!("{error:#}"));
        Ok(Row { case: self, figures: outcome.ok(), failure })
    }

    fn rate(self) -> Rate {
        let bucket_kib = if self.task == Task::LargeBucket { LARGE_BUCKET } else { 32 };
        Rate { mbit_per_second: self.mbit, bucket_kib }
    }

    fn figures(self) -> Result<Figures> {
        let limit = TimeLimit::within(PATIENCE * 3);
        let traits = [LinkTraits { round_trip: ROUND_TRIP, rate: Some(self.rate()) }];
        let extra = if self.source == Source::Kernel { "" } else { Neighbours::WITHOUT_PROBES };
        let lab = Neighbours::start(limit, &traits, extra)?;
        self.wait_for_probes(&lab)?;
        let began = Instant::now();
        let _load = self.task.load(self.mbit).start(lab.a.node(), lab.b.node(), limit)?;
        let since = SystemTime::now();
        let on_link: IpAddr = Neighbours::B_ON_LINKS[0].parse()?;
        let ping =
            self.task.wants_latency().then(|| Ping::start(lab.a.node(), on_link, PAUSE)).transpose()?;
        let mut seen = Seen::new(self.rate());
        while !self.has_seen_enough(&seen, began.elapsed()) {
            limit.pass(LOOK)?;
            seen.note(link(&lab)?.capacity, began.elapsed());
        }
        let link = link(&lab)?;
        let micros = |time: Duration| u64::try_from(time.as_micros()).context("a round trip of ages");
        Ok(Figures {
            ping_us: ping.map(|ping| micros(ping.replies().after(since).median())).transpose()?,
            latency_us: link.latency.as_ref().map(|latency| latency.us),
            latency_source: link.latency.map(|latency| latency.source),
            loaded_latency_us: link.loaded_latency.map(|latency| latency.us),
            capacity_kind: match link.capacity.kind {
                CapacityKind::Measured => "measured",
                CapacityKind::AtLeast => "at_least",
                CapacityKind::Unknown => "unknown",
            },
            capacity_bytes_per_second: link.capacity.bytes_per_second,
            capacity_source: link.capacity.source,
            true_bytes_per_second: seen.truth,
            answered_after_s: seen.answered.map(|after| after.as_secs_f64()),
            wrong_bytes_per_second: seen.wrong,
        })
    }

    fn has_seen_enough(self, seen: &Seen, elapsed: Duration) -> bool {
        let answered = !self.task.wants_capacity() || seen.answered.is_some();
        (answered && elapsed >= WINDOW) || elapsed >= PATIENCE
    }

    /// Waits until the source that is to be measured is at work: probes follow a link once it is up.
    fn wait_for_probes(self, lab: &Neighbours) -> Result<()> {
        let wanted = self.source == Source::Kernel;
        lab.limit().at_most(PROBES_WITHIN).wait_for("the probes", || {
            let Probes { state, reason } = lab.a.links()?.probes;
            if (state == "attached") == wanted {
                return Ok(Some(()));
            }
            ensure!(reason.is_none(), "no probes: {}", reason.unwrap_or_default());
            Ok(None)
        })
    }
}

/// What A says of its only link.
fn link(lab: &Neighbours) -> Result<MeasuredLink> {
    lab.a.links()?.links.into_iter().next().context("the gateway has no link")
}

/// What was told of a capacity over time.
struct Seen {
    truth: u64,
    answered: Option<Duration>,
    wrong: Option<u64>,
}

impl Seen {
    fn new(rate: Rate) -> Self {
        Self { truth: rate.bytes_per_second().into(), answered: None, wrong: None }
    }

    fn note(&mut self, told: CapacityFigure, at: Duration) {
        let deviation = self.truth * CAPACITY_PERCENT / 100;
        let Some(figure) = told.bytes_per_second else { return };
        let right = match told.kind {
            CapacityKind::Measured => figure.abs_diff(self.truth) <= deviation,
            CapacityKind::AtLeast => figure <= self.truth + deviation,
            CapacityKind::Unknown => true,
        };
        if told.kind == CapacityKind::Measured {
            self.answered.get_or_insert(at);
        }
        if !right {
            self.wrong = Some(figure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: CapacityKind, bytes_per_second: u64) -> CapacityFigure {
        CapacityFigure { kind, bytes_per_second: Some(bytes_per_second), source: None }
    }

    #[test]
    fn a_wrong_figure_is_remembered_and_a_low_bound_is_none() {
        let mut seen = Seen::new(Rate::mbit(8));
        seen.note(told(CapacityKind::AtLeast, 1_000), Duration::from_secs(1));
        seen.note(told(CapacityKind::AtLeast, 1_090_000), Duration::from_secs(2));
        assert_eq!((seen.answered, seen.wrong), (None, None));
        seen.note(told(CapacityKind::Measured, 910_000), Duration::from_secs(3));
        assert_eq!((seen.answered, seen.wrong), (Some(Duration::from_secs(3)), None));
        seen.note(told(CapacityKind::Measured, 890_000), Duration::from_secs(4));
        seen.note(told(CapacityKind::Measured, 1_000_000), Duration::from_secs(5));
        assert_eq!((seen.answered, seen.wrong), (Some(Duration::from_secs(3)), Some(890_000)));
        let mut seen = Seen::new(Rate::mbit(8));
        seen.note(told(CapacityKind::AtLeast, 1_200_000), Duration::from_secs(1));
        assert_eq!(seen.wrong, Some(1_200_000));
    }

    #[test]
    fn sources_are_compared_task_by_task() {
        let cases: Vec<Case> = Case::all(10, &Task::ALL, [Source::Kernel, Source::Fallback]).collect();
        assert_eq!(cases.len(), 12);
        assert!(cases.chunks(2).all(|pair| pair[0].task == pair[1].task && pair[0].source != pair[1].source));
    }
}
