// SPDX-License-Identifier: AGPL-3.0-or-later
//! The programs that the kernel runs for every packet of an interface (TC, direct action): they credit the packet to its
//! conversation and time the echo of its TCP time stamp. They never change a packet, nor decide about it.
//!
//! Four entries for two questions that are settled when a program is loaded: whether packets begin with an Ethernet header,
//! and which way they go. What most packets are is read where it lies; others are read by `bpf_skb_load_bytes`, which also finds
//! headers outside of the linear part of a packet, and checks every offset itself.
#![no_std]
#![no_main]

mod ip;
mod maps;
mod packet;
mod round_trip;
mod tcp;

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

use packet::{Direction, Layer, Packet};

#[classifier]
pub(crate) fn irdest_eth_in(context: TcContext) -> i32 {
    pass(&context, Layer::Ethernet, Direction::In)
}

#[classifier]
pub(crate) fn irdest_eth_out(context: TcContext) -> i32 {
    pass(&context, Layer::Ethernet, Direction::Out)
}

#[classifier]
pub(crate) fn irdest_ip_in(context: TcContext) -> i32 {
    pass(&context, Layer::Ip, Direction::In)
}

#[classifier]
pub(crate) fn irdest_ip_out(context: TcContext) -> i32 {
    pass(&context, Layer::Ip, Direction::Out)
}

/// Counts a packet, and leaves what happens to it to whoever comes next.
#[inline(always)]
fn pass(context: &TcContext, layer: Layer, direction: Direction) -> i32 {
    if let Some(packet) = Packet::read(context, layer, direction) {
        count(context, &packet, direction);
    }
    TC_ACT_UNSPEC
}

/// Credits a packet to its conversation, if that one is followed.
#[inline(always)]
fn count(context: &TcContext, packet: &Packet, direction: Direction) {
    // SAFETY: a number of four bytes, which the loader writes once, before the key can be found.
    let Some(&place) = (unsafe { maps::FOLLOWED.get(packet.conversation) }) else { return };
    let Some(counters) = maps::COUNTERS.get_ptr_mut(place) else { return };
    let (packets, bytes) = packet.on_the_wire(context);
    // SAFETY: the kernel gave the address of this processor's own value, which is there as long as the array.
    let counters = unsafe { &mut *counters };
    match direction {
        Direction::In => {
            counters.received_bytes += bytes;
            counters.received_packets += packets;
        }
        Direction::Out => {
            counters.sent_bytes += bytes;
            counters.sent_packets += packets;
        }
    }
    let stamp = round_trip::stamp(context, packet, direction);
    if let Some(stamp) = stamp {
        let last = match direction {
            Direction::In => &mut counters.last_echo,
            Direction::Out => &mut counters.last_value,
        };
        // Another packet of the same tick of a clock says nothing new.
        if core::mem::replace(last, stamp) == stamp {
            return;
        }
    }
    let now = round_trip::now();
    if direction == Direction::In {
        counters.last_seen = now;
    }
    if let Some(stamp) = stamp {
        round_trip::time(context, packet, direction, (place, stamp), now);
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing in these programs panics; the kernel would refuse an endless loop that could be reached.
    loop {}
}

/// What the kernel asks of programs that call its GPL-only functions; the code itself is under the licence above, which
/// GPL version 3, section 13, lets be combined.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
