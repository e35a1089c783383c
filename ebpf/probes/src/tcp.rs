// SPDX-License-Identifier: AGPL-3.0-or-later
//! The header of TCP, and the time stamps in its options.

use core::hint::black_box;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::TcContext;

use crate::ip::Ip;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// The header without options.
pub(crate) const HEADER: u32 = 20;
/// As many bytes as options have together at most.
const MAX_OPTIONS: usize = 40;
/// How many are looked at; hosts send no more than seven, those that fill up included. The kernel's verifier tries each
/// number of them with each place that they may lead to.
const MOST_OPTIONS: usize = 12;
/// The power of two that they fit into.
const ROOM: usize = 64;

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const TIME_STAMPS: u8 = 8;
/// Kind, length, and two stamps (source: RFC 7323, section 3.2).
const TIME_STAMPS_LEN: usize = 10;

/// What a header of TCP says.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    flags: u8,
    /// Where the options begin.
    options: u32,
    /// Where the payload begins, which is where the options end.
    pub(crate) payload: u32,
    /// Where the packet ends.
    end: u32,
    /// Both time stamps as one number, where they were seen already; else 0.
    stamps: u64,
}

/// The time stamps of a segment.
#[derive(Clone, Copy)]
pub(crate) struct TimeStamps {
    /// TSval, the sender's clock.
    pub(crate) value: u32,
    /// TSecr, the stamp of the peer that it echoes.
    pub(crate) echo: u32,
}

impl Segment {
    /// No segment: it wants no answer and is none.
    pub(crate) const NONE: Self =
        Self { source_port: 0, destination_port: 0, flags: 0, options: 0, payload: 0, end: 0, stamps: 0 };

    /// Reads a header; nothing where it is cut off or says so.
    #[inline(always)]
    pub(crate) fn read(context: &TcContext, ip: &Ip) -> Option<Self> {
        Self::with_time_stamps(ip.load(context, ip.payload)?, 0, ip)
    }

    /// The same of a header that was read already, with the time stamps in its options, or 0.
    #[inline(always)]
    pub(crate) fn with_time_stamps(header: [u8; 20], stamps: u64, ip: &Ip) -> Option<Self> {
        let len = u32::from(header[12] >> 4) * 4;
        let payload = ip.payload + len;
        if len < HEADER || payload > ip.end {
            return None;
        }
        Some(Self {
            source_port: u16::from_be_bytes([header[0], header[1]]),
            destination_port: u16::from_be_bytes([header[2], header[3]]),
            flags: header[13],
            options: ip.payload + HEADER,
            payload,
            end: ip.end,
            stamps,
        })
    }

    /// Whether there are any that time stamps may be among.
    #[inline(always)]
    pub(crate) fn has_options(&self) -> bool {
        self.payload > self.options
    }

    /// Whether the peer has to answer it: it carries data, or opens or closes.
    ///
    /// Of a bare acknowledgement the stamp is echoed as well, but only when the peer next has something to say.
    #[inline(always)]
    pub(crate) fn wants_answer(&self) -> bool {
        self.end > self.payload || self.flags & (SYN | FIN) != 0
    }

    /// Whether its echo says anything (source: RFC 7323, section 3.2).
    #[inline(always)]
    pub(crate) fn is_answer(&self) -> bool {
        self.flags & ACK != 0
    }

    /// The time stamps, wherever they are among the options.
    #[inline(always)]
    pub(crate) fn time_stamps(&self, context: &TcContext) -> Option<TimeStamps> {
        let both = match self.stamps {
            0 => irdest_time_stamps(context.skb.skb, self.options, self.payload - self.options),
            seen => seen,
        };
        #[allow(clippy::as_conversions, reason = "the halves of the number")]
        let (value, echo) = ((both >> 32) as u32, both as u32);
        if both == 0 { None } else { Some(TimeStamps { value, echo }) }
    }
}

/// Both time stamps as one number, TSval above; 0 where there are none.
///
/// A function of its own, with a name that others see: the kernel verifies it once, and not again for every way in which
/// a packet may have come to here.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn irdest_time_stamps(skb: *mut __sk_buff, at: u32, len: u32) -> u64 {
    let mut options = [0; ROOM];
    // Options have at most 40 bytes, so the mask changes nothing; the kernel takes it for the proof.
    #[allow(clippy::as_conversions, reason = "widening, which has no conversion trait")]
    let len = len as usize & (ROOM - 1);
    if len < TIME_STAMPS_LEN {
        return 0;
    }
    #[allow(clippy::as_conversions, reason = "the signature of the kernel's function; it is below 64")]
    // SAFETY: the context is the kernel's, and the buffer has room for as many bytes as are asked for.
    let done = unsafe { bpf_skb_load_bytes(skb.cast(), at, options.as_mut_ptr().cast(), len as u32) };
    if done != 0 {
        return 0;
    }
    find(&options, len)
}

/// Finds the time stamps among the first options; one that says a wrong length ends the search.
#[inline(always)]
fn find(options: &[u8; ROOM], len: usize) -> u64 {
    let mut at = 0;
    // What lies beyond the end is zero.
    for _ in 0..MOST_OPTIONS {
        // Without this the compiler proves the bound from what was added, which the kernel's verifier cannot follow.
        at = black_box(at);
        if at > MAX_OPTIONS - TIME_STAMPS_LEN {
            return 0;
        }
        let Some(option) = options[at..].first_chunk::<TIME_STAMPS_LEN>() else { return 0 };
        match (option[0], usize::from(option[1])) {
            (END_OF_OPTIONS, _) => return 0,
            (NO_OPERATION, _) => at += 1,
            (TIME_STAMPS, TIME_STAMPS_LEN) => {
                if at + TIME_STAMPS_LEN > len {
                    return 0;
                }
                let [_, _, stamps @ ..] = option;
                return u64::from_be_bytes(*stamps);
            }
            (TIME_STAMPS, _) | (_, 0 | 1) => return 0,
            (_, len) => at += len,
        }
    }
    0
}
