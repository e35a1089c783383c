// SPDX-License-Identifier: AGPL-3.0-or-later
//! Round trips: from the first segment with a TSval to the first that echoes it.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::TcContext;
use aya_log_ebpf::{debug, trace};
use ebpf_abi::{Stamp, bucket};

use crate::maps::{ROUND_TRIPS, STAMPS};
use crate::packet::{Direction, Packet};

/// What stands for a stamp that was answered. It stays, as more segments of the same tick of the sender's clock may follow,
/// and the echo of an earlier one must not be taken for theirs.
const ANSWERED: u64 = 0;

/// Nanoseconds since the machine was started.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the function takes nothing and reads a clock.
    unsafe { bpf_ktime_get_ns() }
}

/// Notes when a stamp was sent, or takes the time to its echo.
#[inline(always)]
pub(crate) fn time(context: &TcContext, packet: &Packet, direction: Direction) {
    let segment = &packet.segment;
    let relevant = match direction {
        Direction::Out => segment.wants_answer(),
        Direction::In => segment.is_answer(),
    };
    if !relevant {
        return;
    }
    let Some(stamps) = segment.time_stamps(context) else { return };
    let conversation = packet.conversation;
    match direction {
        Direction::Out => {
            let stamp = Stamp { conversation, value: stamps.value };
            // One that is there already was sent earlier, and keeps its time.
            #[allow(clippy::as_conversions, reason = "the signature of the kernel's function")]
            let _ = STAMPS.insert(stamp, now(), BPF_NOEXIST as u64);
        }
        Direction::In => answer(context, &Stamp { conversation, value: stamps.echo }),
    }
}

/// Takes the time from a stamp to its first echo.
#[inline(always)]
fn answer(context: &TcContext, stamp: &Stamp) {
    let Some(sent) = STAMPS.get_ptr_mut(stamp) else { return };
    // SAFETY: the kernel gave the address of a value, which stays one while this program runs. If another processor
    // answers at the same time, or gives the place to another stamp, one round trip is counted twice or not at all.
    let at = unsafe { core::ptr::replace(sent, ANSWERED) };
    if at == ANSWERED {
        return;
    }
    let micros = u32::try_from(now().saturating_sub(at) / 1000).unwrap_or(u32::MAX);
    let Some(histogram) = ROUND_TRIPS.get_ptr_mut(stamp.conversation) else {
        debug!(context, "a conversation is counted but not timed");
        return;
    };
    // SAFETY: the kernel gave the address of a value, and removes none under a running program.
    let counts = unsafe { &mut (*histogram).counts };
    if let Some(count) = counts.get_mut(bucket(micros)) {
        *count = count.wrapping_add(1);
        trace!(context, "round trip {} us", micros);
    }
}
