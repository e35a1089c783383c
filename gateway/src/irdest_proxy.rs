// SPDX-License-Identifier: AGPL-3.0-or-later
//! irdest-proxy, as the manual calls it: what maps the IP flows of unmodified applications into sessions.
//!
//! [`DataHalf`] is what the threads of the data path share. It holds snapshots (session keys, remotes, ways out) that
//! only [`ControlHalf`] replaces, and the flow table. Whoever reads from the TUN device also seals and sends;
//! whoever reads from a link also opens and writes to the device. What cannot go at once, because a route or a
//! session is missing, is handed to the control half, which lets it wait.

mod control;
mod inbound;
mod outbound;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use gateway_core::drop_reason::{Counters, GatewayDrop, Reason};
use gateway_core::firewall::RuleStatus;
use gateway_core::flow::{Denied, Flow, FlowStats, FlowTable, Passed};
use gateway_core::icmp::{IcmpAnswers, MAX_ANSWER, Unreachable};
use gateway_core::limits::RemoteLimits;
use gateway_core::offload::VirtioNetHeader;
use gateway_core::packet::{Direction, PacketInfo};
use gateway_core::pending::Awaited;
use gateway_core::remotes::Remotes;
use gateway_core::session::SessionTable;
use gateway_tun::{Tun, TunCounters};
use ratman_types::{Address, Timestamp};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::ways::Ways;

pub use control::{ControlHalf, Outgoing, ProxyConfig};

/// The log target of everything that this part says.
pub(crate) const TARGET: &str = "irdest_proxy";

/// Packets on their way to the control half; as many as may wait there for one remote, several times over.
const WAITING_QUEUE: usize = 256;

/// A packet that cannot go yet.
#[derive(Debug)]
pub struct Wait {
    awaited: Awaited,
    header: VirtioNetHeader,
    packet: Vec<u8>,
}

/// Remotes whose new key was just confirmed; more at the same instant are noticed a little later.
const CONFIRMED_QUEUE: usize = 64;

/// What the data half asks of the control half.
#[derive(Debug)]
pub struct Asks {
    /// Packets whose route or session is not there yet; when the queue is full, they are dropped and counted.
    pub waits: mpsc::Receiver<Wait>,
    /// Remotes under whose new key the first frame has arrived; the sessions notice by themselves within a second
    /// what does not fit here.
    pub confirmed: mpsc::Receiver<Address>,
}

/// What the data path shares.
pub struct DataHalf {
    clock: Clock,
    tun: Tun,
    ways: Arc<Ways>,
    sessions: ArcSwap<SessionTable>,
    remotes: ArcSwap<Remotes>,
    flows: Mutex<FlowTable>,
    limits: Option<Mutex<RemoteLimits>>,
    answers: Mutex<IcmpAnswers>,
    drops: Counters<GatewayDrop>,
    read_failures: AtomicU64,
    waits: mpsc::Sender<Wait>,
    confirmed: mpsc::Sender<Address>,
}

impl DataHalf {
    /// Ties the device to the tables; nothing moves before [`run`](Self::run).
    pub fn new(
        clock: Clock,
        tun: Tun,
        ways: Arc<Ways>,
        (sessions, remotes): (Arc<SessionTable>, Remotes),
        (flows, limits, answers): (FlowTable, Option<RemoteLimits>, IcmpAnswers),
    ) -> (Arc<Self>, Asks) {
        let (waits, waits_out) = mpsc::channel(WAITING_QUEUE);
        let (confirmed, confirmed_out) = mpsc::channel(CONFIRMED_QUEUE);
        let half = Self {
            clock,
            tun,
            ways,
            sessions: ArcSwap::new(sessions),
            remotes: ArcSwap::from_pointee(remotes),
            flows: Mutex::new(flows),
            limits: limits.map(Mutex::new),
            answers: Mutex::new(answers),
            drops: Counters::new(),
            read_failures: AtomicU64::new(0),
            waits,
            confirmed,
        };
        (Arc::new(half), Asks { waits: waits_out, confirmed: confirmed_out })
    }

    /// The device.
    pub fn tun(&self) -> &Tun {
        &self.tun
    }

    /// What happened at the device.
    pub fn tun_counters(&self) -> TunCounters {
        self.tun.counters()
    }

    /// Packets dropped, by reason.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let reading = [("tun_read_failed", self.read_failures.load(Ordering::Relaxed))];
        self.drops.iter().map(|(reason, count)| (reason.name(), count)).chain(reading)
    }

    /// Reads the flow table, at most `limit` flows of it; for status.
    pub fn flows<T>(&self, limit: usize, row: impl Fn(&Flow) -> T) -> (FlowStats, Vec<T>) {
        let flows = self.flow_table();
        (flows.stats(), flows.iter().take(limit).map(row).collect())
    }

    /// Asks the flow table and the remote's limit about one packet, and writes the line that a rule asks for.
    fn ask_flows(
        &self,
        info: &PacketInfo,
        packet: &[u8],
        (remote, direction): (Address, Direction),
        now: Timestamp,
    ) -> Result<Passed, GatewayDrop> {
        let mut flows = self.flow_table();
        let asked = match direction {
            Direction::Outbound => flows.outbound(info, packet, remote, 0, now),
            Direction::Inbound => flows.inbound(info, packet, remote, now),
        };
        let (Ok(Passed { rule, log, .. }) | Err(Denied { rule, log, .. })) = asked;
        let name = rule.filter(|_| log).and_then(|id| flows.firewall().name(id).map(Arc::clone));
        drop(flows);
        if let Some(name) = name {
            log_decision(&name, info, (remote, direction), asked.err().map(|denied| denied.reason));
        }
        let passed = asked.map_err(|denied| denied.reason)?;
        if let Some(limits) = &self.limits {
            let mut limits = limits.lock().unwrap_or_else(PoisonError::into_inner);
            limits.admit(&remote, direction, packet.len(), now)?;
        }
        Ok(passed)
    }

    /// The rules of the firewall and what they have decided, and how many lines the log did not take; for status.
    pub fn rules(&self) -> (Vec<RuleStatus>, u64) {
        let flows = self.flow_table();
        (flows.firewall().status().collect(), flows.firewall().unlogged())
    }

    fn flow_table(&self) -> std::sync::MutexGuard<'_, FlowTable> {
        // A thread that panicked while it held the lock left a valid table: its methods keep it so at every step.
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the application that its packet went nowhere.
    fn answer_unreachable(&self, packet: &[u8], why: Unreachable, now: Timestamp) {
        let mut answer = [0; MAX_ANSWER];
        let built = self.answers.lock().unwrap_or_else(PoisonError::into_inner).unreachable(
            packet,
            why,
            now,
            &mut answer,
        );
        match built {
            Ok(length) => {
                // The device counts what it does not take.
                let _ = self.tun.try_send(0, &VirtioNetHeader::NONE, &answer[..length]);
            }
            Err(reason) => self.drops.count(reason),
        }
    }
}

/// The line about a decision of a rule with `log = true`.
fn log_decision(
    rule: &str,
    info: &PacketInfo,
    (remote, direction): (Address, Direction),
    denied: Option<GatewayDrop>,
) {
    let (source, destination, protocol) = (info.source, info.destination, info.protocol);
    let port = info.tuple().map_or(0, |tuple| tuple.destination.1);
    let verdict = denied.map_or("accepted", |reason| reason.name());
    tracing::info!(
        target: TARGET,
        rule, verdict, ?direction, remote = %remote.short(), %source, %destination, protocol, port,
        "firewall"
    );
}

impl fmt::Debug for DataHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataHalf").field("tun", self.tun.name()).finish_non_exhaustive()
    }
}
