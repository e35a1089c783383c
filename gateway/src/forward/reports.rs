// SPDX-License-Identifier: AGPL-3.0-or-later
//! A relay tells the sender of a session's data why it went no further (mode 0x8005; source: wire page, gateway sessions).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use gateway_core::session::ReportLimiter;
use netmod_api::FrameParts;
use ratman_types::{Recipient, Timestamp};
use ratman_wire::Frame;
use ratman_wire::session::PathReason;
use router_core::{DropReason, Lookup};

use crate::egress::{OURS, Seal};
use crate::ways::Snapshot;

/// The reports of one router; touched only by frames that are dropped.
#[derive(Debug)]
pub(super) struct Reports {
    limiter: Mutex<ReportLimiter>,
    sent: AtomicU64,
}

impl Reports {
    pub(super) fn new(seed: [u8; 16]) -> Self {
        Self { limiter: Mutex::new(ReportLimiter::new(seed)), sent: AtomicU64::new(0) }
    }

    /// Reports, if the frame carries data of a session and nobody was told about that session just now.
    pub(super) fn about(
        &self,
        frame: &[u8],
        dropped: DropReason,
        ways: &Snapshot,
        sealer: Option<&dyn Seal>,
        now: Timestamp,
    ) {
        let Ok(Frame { header, .. }) = Frame::decode(frame) else { return };
        let Some(Recipient::Address(recipient)) = header.recipient else { return };
        let reason = if matches!(dropped, DropReason::NoRoute | DropReason::OnlyWayBack) {
            PathReason::NoRoute
        } else if dropped == DropReason::HopLimit {
            PathReason::HopLimit
        } else if dropped == DropReason::FrameTooBig
            && let Lookup::Via(via) = ways.fib().lookup(&recipient, None)
        {
            PathReason::TooBig { mtu: via.mtu }
        } else {
            return;
        };
        let Some((egress, _)) = ways.to(&header.sender_address()) else { return };
        let report = self.limiter.lock().unwrap_or_else(PoisonError::into_inner).report(frame, reason, now);
        if let Some(report) = report {
            egress.send_frames(OURS, &[FrameParts::whole(&report)], sealer, now);
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many were sent, and how many were not because of their rate.
    pub(super) fn counts(&self) -> (u64, u64) {
        let limited = self.limiter.lock().unwrap_or_else(PoisonError::into_inner).limited();
        (self.sent.load(Ordering::Relaxed), limited)
    }
}
