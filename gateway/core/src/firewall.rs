// SPDX-License-Identifier: AGPL-3.0-or-later
//! The firewall: who may open a flow. Rules are asked in their order, the first that matches decides; without one, our
//! side may open any flow, and from outside only ICMP echo requests to our own addresses come in. Packets of open flows
//! are the flow table's matter and ask nobody here.

mod rule;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ratman_types::{Address, Timestamp};

use crate::drop_reason::GatewayDrop;
use crate::packet::{Direction, PacketInfo, Transport};
use crate::token_bucket::{Fill, TokenBucket};
use rule::Opening;

pub use rule::{Action, Carrying, FlowRate, Rule, To, Whom};

/// Rules that a configuration may have: a scan of all of them per new flow stays below some microseconds.
pub const MAX_RULES: usize = 256;

/// Lines that the log takes per second from all rules together: enough to see what happens, and a flood cannot fill
/// the journal.
pub const LOG_LINES_PER_SECOND: u32 = 10;

/// Lines at once, for the start of whatever goes on.
const LOG_BURST: u32 = 50;

/// The place of a rule in its set.
///
/// Another set may have another rule there: ask [`Firewall::name`] before the rules are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(u16);

/// What a rule has decided since the start; kept under its name when the rules are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Flows opened, and connections that used the ports of an open flow again.
    pub accepted: u64,
    /// Packets denied that would have opened a flow.
    pub denied: u64,
    /// Packets that would have opened a flow, denied because of the rule's rate.
    pub limited: u64,
}

/// A rule as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStatus {
    /// Its name.
    pub name: Arc<str>,
    /// What it does.
    pub action: Action,
    /// About flows that are opened which way.
    pub direction: Direction,
    /// What it has decided.
    pub counts: RuleCounts,
}

/// Why a flow may not be opened, and by which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Denied {
    /// The reason to count.
    pub reason: GatewayDrop,
    /// The rule that denied it; none if it was nobody's.
    pub rule: Option<RuleId>,
    /// Whether to write a line about it: the rule asks for one and [`LOG_LINES_PER_SECOND`] allows it.
    pub log: bool,
}

impl From<GatewayDrop> for Denied {
    fn from(reason: GatewayDrop) -> Self {
        Self { reason, rule: None, log: false }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    rule: Rule,
    /// How the rule's rate fills its bucket, all remotes together.
    rate: Option<(Fill, TokenBucket)>,
    counts: RuleCounts,
}

/// The rules and their state; without any, only the defaults.
#[derive(Clone, Debug)]
pub struct Firewall {
    // INVARIANT: at most MAX_RULES.
    entries: Vec<Entry>,
    configured: BTreeSet<Address>,
    log: TokenBucket,
    unlogged: u64,
}

impl Firewall {
    /// Takes the rules, of which only the first [`MAX_RULES`] count, and the remotes of the configured routes. Two
    /// rules of the same name would share the counts of one after a reload; the configuration refuses them.
    pub fn new(rules: Vec<Rule>, configured: BTreeSet<Address>) -> Self {
        let entry = |rule: Rule| {
            let rate = rule.rate.map(FlowRate::fill).map(|fill| (fill, TokenBucket::full(&fill)));
            Entry { rule, rate, counts: RuleCounts::default() }
        };
        let entries = rules.into_iter().take(MAX_RULES).map(entry).collect();
        Self { entries, configured, log: TokenBucket::full(&log_fill()), unlogged: 0 }
    }

    /// The name of a rule of this set.
    pub fn name(&self, id: RuleId) -> Option<&Arc<str>> {
        self.entries.get(usize::from(id.0)).map(|entry| &entry.rule.name)
    }

    /// Every rule in its order, for status.
    pub fn status(&self) -> impl Iterator<Item = RuleStatus> + '_ {
        self.entries.iter().map(|Entry { rule, counts, .. }| RuleStatus {
            name: Arc::clone(&rule.name),
            action: rule.action,
            direction: rule.direction,
            counts: *counts,
        })
    }

    /// Lines that rules asked for and the log's rate did not allow, since the start.
    pub fn unlogged(&self) -> u64 {
        self.unlogged
    }

    /// Goes on with the counts of the rules that have the same names in `before`, with their buckets where the rate
    /// is the same too, and with the log's rate.
    pub(crate) fn inherit(&mut self, before: &Self) {
        (self.log, self.unlogged) = (before.log, before.unlogged);
        let named: BTreeMap<_, _> = before.entries.iter().map(|entry| (&entry.rule.name, entry)).collect();
        for entry in &mut self.entries {
            let Some(old) = named.get(&entry.rule.name) else { continue };
            entry.counts = old.counts;
            if entry.rule.rate == old.rule.rate {
                entry.rate = old.rate;
            }
        }
    }

    /// Which rule lets the packet open a flow, none if it is the default; `local` are our own addresses. A denial is
    /// counted.
    pub(crate) fn judge(
        &mut self,
        info: &PacketInfo,
        direction: Direction,
        remote: &Address,
        local: &[IpAddr],
        now: Timestamp,
    ) -> Result<Option<RuleId>, Denied> {
        if direction == Direction::Inbound && !opens(info.transport) {
            return Err(GatewayDrop::NoFlow.into());
        }
        let ours = local.contains(&info.destination);
        let opening = Opening::new(info, direction, (remote, self.configured.contains(remote)), ours);
        let Some(at) = self.entries.iter().position(|entry| entry.rule.matches(&opening)) else {
            return by_default(info.transport, direction, ours).map_or(Ok(None), |reason| Err(reason.into()));
        };
        let id = RuleId(u16::try_from(at).expect("invariant: at most MAX_RULES"));
        match self.entries[at].rule.action {
            Action::Accept => Ok(Some(id)),
            Action::Deny => {
                self.entries[at].counts.denied += 1;
                Err(self.denied(GatewayDrop::RuleDenied, id, now))
            }
        }
    }

    /// Whether the rate of the rule that accepted a flow allows it too; counts either way. Returns whether to log.
    pub(crate) fn admit(&mut self, id: RuleId, now: Timestamp) -> Result<bool, Denied> {
        let entry = &mut self.entries[usize::from(id.0)];
        if entry.rate.as_mut().is_none_or(|(fill, bucket)| bucket.take(fill, 1, now)) {
            entry.counts.accepted += 1;
            return Ok(self.logs(id, now));
        }
        entry.counts.limited += 1;
        Err(self.denied(GatewayDrop::RuleRate, id, now))
    }

    fn denied(&mut self, reason: GatewayDrop, id: RuleId, now: Timestamp) -> Denied {
        Denied { reason, rule: Some(id), log: self.logs(id, now) }
    }

    fn logs(&mut self, id: RuleId, now: Timestamp) -> bool {
        if !self.entries[usize::from(id.0)].rule.log {
            return false;
        }
        let allowed = self.log.take(&log_fill(), 1, now);
        self.unlogged += u64::from(!allowed);
        allowed
    }
}

impl Default for Firewall {
    fn default() -> Self {
        Self::new(Vec::new(), BTreeSet::new())
    }
}

fn log_fill() -> Fill {
    Fill::new(LOG_LINES_PER_SECOND, Duration::from_secs(1), LOG_BURST)
}

/// Whether a packet from outside can be the first of a flow: not a segment from the middle of a connection, nor an
/// answer. What our own side sends can, so that its connections survive a restart of the gateway.
fn opens(transport: Transport) -> bool {
    match transport {
        Transport::Tcp { flags, .. } => flags.opens(),
        Transport::Udp { .. } | Transport::EchoRequest { .. } | Transport::Other => true,
        Transport::EchoReply { .. }
        | Transport::IcmpError
        | Transport::OtherIcmp(_)
        | Transport::LaterFragment => false,
    }
}

/// Why a packet that no rule is about may not open a flow.
fn by_default(transport: Transport, direction: Direction, ours: bool) -> Option<GatewayDrop> {
    match (direction, transport) {
        (Direction::Outbound, _) => None,
        (Direction::Inbound, Transport::EchoRequest { .. }) if ours => None,
        (Direction::Inbound, Transport::Tcp { .. }) => Some(GatewayDrop::InboundConnection),
        (Direction::Inbound, _) => Some(GatewayDrop::NoFlow),
    }
}

#[cfg(test)]
mod tests;
