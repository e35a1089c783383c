// SPDX-License-Identifier: AGPL-3.0-or-later
//! irdest-proxy, as the manual calls it: what maps the IP flows of unmodified applications into sessions.
//!
//! [`DataHalf`] is what the threads of the data path share. It holds snapshots (session keys, remotes, ways out) that
//! only [`ControlHalf`] replaces, and the flow table. Whoever reads from the TUN device also seals and sends;
//! whoever reads from a link also opens and writes to the device. What cannot go at once, because a route or a
//! session is missing, waits in a room that both share until the control half lets it go.

mod batch;
mod control;
mod gate;
mod inbound;
mod outbound;
mod rule_log;
mod small_path;
mod waiting_room;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use gateway_core::drop_reason::{Counters, GatewayDrop, Reason};
use gateway_core::firewall::{Firewall, RuleStatus};
use gateway_core::flow::{Flow, FlowStats, FlowTable};
use gateway_core::icmp::{IcmpAnswers, MAX_ANSWER, Unreachable};
use gateway_core::limits::RemoteLimits;
use gateway_core::offload::VirtioNetHeader;
use gateway_core::remotes::Remotes;
use gateway_core::session::SessionTable;
use gateway_tun::{Tun, TunCounters};
use ratman_types::{Address, Timestamp};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::ways::Ways;

use gate::Gate;

pub use control::{ControlHalf, Outgoing, ProxyConfig};
pub use waiting_room::WaitingRoom;

/// The log target of everything that this part says.
pub(crate) const TARGET: &str = "irdest_proxy";

/// What is kept beside a packet that waits.
#[derive(Clone, Copy, Debug)]
struct Held {
    header: VirtioNetHeader,
    /// The queue of the device that it was read from.
    queue: u8,
}

/// Remotes whose new key was just confirmed; more at the same instant are noticed a little later.
const CONFIRMED_QUEUE: usize = 64;

/// What the data half asks of the control half.
#[derive(Debug)]
pub struct Asks {
    /// Where packets arrive whose route or session is not there yet.
    pub waiting: Arc<WaitingRoom>,
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
    gate: Mutex<Gate>,
    tun_mtu: u16,
    answers: Mutex<IcmpAnswers>,
    drops: Counters<GatewayDrop>,
    read_failures: AtomicU64,
    waiting: Arc<WaitingRoom>,
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
        tun_mtu: u16,
    ) -> (Arc<Self>, Asks) {
        let waiting = Arc::new(WaitingRoom::default());
        let (confirmed, confirmed_out) = mpsc::channel(CONFIRMED_QUEUE);
        let half = Self {
            clock,
            tun,
            ways,
            sessions: ArcSwap::new(sessions),
            remotes: ArcSwap::from_pointee(remotes),
            gate: Mutex::new(Gate { flows, limits }),
            tun_mtu,
            answers: Mutex::new(answers),
            drops: Counters::new(),
            read_failures: AtomicU64::new(0),
            waiting: Arc::clone(&waiting),
            confirmed,
        };
        (Arc::new(half), Asks { waiting, confirmed: confirmed_out })
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
        let Gate { flows, .. } = &*self.gate();
        (flows.stats(), flows.iter().take(limit).map(row).collect())
    }

    /// The rules of the firewall and what they have decided, and how many lines the log did not take; for status.
    pub fn rules(&self) -> (Vec<RuleStatus>, u64) {
        let gate = self.gate();
        let firewall = gate.flows.firewall();
        (firewall.status().collect(), firewall.unlogged())
    }

    /// Replaces the rules and the bandwidth limits; open flows go on.
    pub fn set_rules(&self, firewall: Firewall, limits: Option<RemoteLimits>) {
        let mut gate = self.gate();
        gate.flows.set_firewall(firewall);
        gate.limits = limits;
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, Gate> {
        // A thread that panicked while it held the lock left valid tables: their methods keep them so at every step.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the application that its packet went nowhere.
    fn answer_unreachable(&self, packet: &[u8], why: Unreachable, queue: u8, now: Timestamp) {
        self.answer(queue, |answers, room| answers.unreachable(packet, why, now, room));
    }

    /// Tells the application how large its packets may be.
    fn answer_too_big(&self, header: &VirtioNetHeader, packet: &[u8], mtu: u16, queue: u8, now: Timestamp) {
        self.answer(queue, |answers, room| answers.too_big(header, packet, mtu, now, room));
    }

    fn answer(
        &self,
        queue: u8,
        build: impl FnOnce(&mut IcmpAnswers, &mut [u8; MAX_ANSWER]) -> Result<usize, GatewayDrop>,
    ) {
        let mut room = [0; MAX_ANSWER];
        let built = build(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner), &mut room);
        match built {
            Ok(length) => {
                // The device counts what it does not take.
                let _ = self.tun.try_send(queue, &VirtioNetHeader::NONE, &room[..length]);
            }
            Err(reason) => self.drops.count(reason),
        }
    }
}

impl fmt::Debug for DataHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataHalf").field("tun", self.tun.name()).finish_non_exhaustive()
    }
}
