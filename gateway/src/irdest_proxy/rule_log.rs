// SPDX-License-Identifier: AGPL-3.0-or-later
//! The lines that rules of the firewall ask for, written after the flow table was let go. How many there are is limited
//! by the firewall.

use std::sync::Arc;

use gateway_core::drop_reason::{GatewayDrop, Reason};
use gateway_core::firewall::{Denied, Firewall, RuleId};
use gateway_core::flow::Passed;
use gateway_core::packet::{Direction, PacketInfo};
use ratman_types::Address;

use super::TARGET;

/// What is to be written.
#[derive(Debug)]
struct Line {
    rule: Option<Arc<str>>,
    remote: Address,
    info: PacketInfo,
    denied: Option<GatewayDrop>,
}

/// The lines of one batch; allocates only when there is one.
#[derive(Debug)]
pub(super) struct RuleLog {
    direction: Direction,
    lines: Vec<Line>,
}

impl RuleLog {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, lines: Vec::new() }
    }

    /// Takes note of a verdict if its rule asks for a line.
    pub(super) fn note(
        &mut self,
        verdict: &Result<Passed, Denied>,
        firewall: &Firewall,
        remote: Address,
        info: &PacketInfo,
    ) {
        let (log, rule, denied) = match verdict {
            Ok(passed) => (passed.log, passed.rule, None),
            Err(denied) => (denied.log, denied.rule, Some(denied.reason)),
        };
        if log {
            let name = |rule: RuleId| firewall.name(rule).cloned();
            self.lines.push(Line { rule: rule.and_then(name), remote, info: *info, denied });
        }
    }

    /// Writes what was noted.
    pub(super) fn write(self) {
        for Line { rule, remote, info, denied } in self.lines {
            let PacketInfo { source, destination, protocol, .. } = info;
            let port = info.tuple().map(|tuple| tuple.destination.1).filter(|port| *port != 0);
            let (rule, remote, direction) = (rule.as_deref(), remote.short(), self.direction);
            let verdict = denied.map_or("accepted", |reason| reason.name());
            tracing::info!(
                target: TARGET, rule, verdict, ?direction, remote, %source, %destination, protocol, port, "firewall"
            );
        }
    }
}
