// SPDX-License-Identifier: AGPL-3.0-or-later
//! Round trips: from the first segment with a TSval, if that one has to be answered, to the first that echoes it.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::programs::TcContext;
use aya_log_ebpf::trace;
use ebpf_abi::{PATIENCE, STAMPS, Stamp, bucket};

use crate::maps::{ROUND_TRIPS, WAITING};
use crate::packet::{Direction, Packet};

/// What stands for the time of a stamp that was answered, or needs no answer. Its value stays, as more segments of the same tick of the sender's
/// clock may follow, and the echo of an earlier one must not be taken for theirs.
const ANSWERED: u64 = 0;

/// Nanoseconds since the machine was started.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the function takes nothing and reads a clock.
    unsafe { bpf_ktime_get_ns() }
}

/// The time stamp of a segment that says something: the one that it sends, or the one that it echoes.
#[inline(always)]
pub(crate) fn stamp(context: &TcContext, packet: &Packet, direction: Direction) -> Option<u32> {
    let segment = &packet.segment;
    let relevant = match direction {
        Direction::Out => true,
        Direction::In => segment.is_answer(),
    };
    if !relevant || !segment.has_options() {
        return None;
    }
    let stamps = segment.time_stamps(context)?;
    Some(match direction {
        Direction::Out => stamps.value,
        Direction::In => stamps.echo,
    })
}

/// Notes when a stamp was sent, or takes the time to its echo, for the conversation at this place.
#[inline(always)]
pub(crate) fn time(
    context: &TcContext,
    packet: &Packet,
    direction: Direction,
    (place, value): (u32, u32),
    now: u64,
) {
    let Some(waiting) = WAITING.get_ptr_mut(place) else { return };
    #[allow(clippy::as_conversions, reason = "widening, which has no conversion trait")]
    let index = value as usize % STAMPS;
    // SAFETY: the kernel gave the address of a value that is there as long as the array. Other processors may write to it
    // at the same time; then one round trip is counted twice or not at all.
    let Some(stamp) = (unsafe { (*waiting).places.get_mut(index) }) else { return };
    match direction {
        Direction::Out => send(stamp, value, packet.segment.wants_answer(), now),
        Direction::In => answer(context, stamp, value, place, now),
    }
}

/// Notes when a stamp was sent first, unless its place is taken by one that still waits.
///
/// One that the peer was first given without being asked for an answer is not timed: when data follow in the same tick, an
/// echo of it may be on its way already.
#[inline(always)]
fn send(stamp: &mut Stamp, value: u32, wants_answer: bool, now: u64) {
    let waits = stamp.sent != ANSWERED && now.saturating_sub(stamp.sent) < PATIENCE;
    if stamp.value != value && !waits {
        stamp.value = value;
        stamp.sent = if wants_answer { now } else { ANSWERED };
    }
}

/// Takes the time from a stamp to its first echo.
#[inline(always)]
fn answer(context: &TcContext, stamp: &mut Stamp, value: u32, place: u32, now: u64) {
    let sent = stamp.sent;
    if stamp.value != value || sent == ANSWERED {
        return;
    }
    stamp.sent = ANSWERED;
    let micros = u32::try_from(now.saturating_sub(sent) / 1000).unwrap_or(u32::MAX);
    let Some(histogram) = ROUND_TRIPS.get_ptr_mut(place) else { return };
    // SAFETY: the kernel gave the address of a value that is there as long as the array.
    if let Some(count) = unsafe { (*histogram).counts.get_mut(bucket(micros)) } {
        *count = count.wrapping_add(1);
        trace!(context, "round trip {} us", micros);
    }
}
