// SPDX-License-Identifier: AGPL-3.0-or-later
//! The header of TCP, and the time stamps in its options.

use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::programs::TcContext;

use crate::ip::Ip;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// The header without options.
const HEADER: u32 = 20;
/// As long as options can be together.
const MAX_OPTIONS: usize = 40;

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
        Self { source_port: 0, destination_port: 0, flags: 0, options: 0, payload: 0, end: 0 };

    /// Reads a header; nothing where it is cut off or says so.
    #[inline(always)]
    pub(crate) fn read(context: &TcContext, ip: &Ip) -> Option<Self> {
        let header: [u8; 20] = ip.load(context, ip.payload)?;
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
        })
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
        let mut options = [0u8; MAX_OPTIONS];
        #[allow(clippy::as_conversions, reason = "widening, which has no conversion trait")]
        let len = (self.payload - self.options) as usize;
        if len < TIME_STAMPS_LEN || len > MAX_OPTIONS {
            return None;
        }
        #[allow(clippy::as_conversions, reason = "the signature of the kernel's function")]
        // SAFETY: the context is the kernel's, and the buffer has room for as many bytes as are asked for.
        let done = unsafe {
            bpf_skb_load_bytes(context.skb.skb.cast(), self.options, options.as_mut_ptr().cast(), len as u32)
        };
        if done != 0 {
            return None;
        }
        find(&options, len)
    }
}

/// Finds the time stamps; an option that says a wrong length ends the search.
#[inline(always)]
fn find(options: &[u8; MAX_OPTIONS], len: usize) -> Option<TimeStamps> {
    let mut at = 0;
    // Each option has at least one byte, and what is found begins before the last ten.
    for _ in 0..=MAX_OPTIONS - TIME_STAMPS_LEN {
        // The kernel compares with constants only, hence both.
        if at > MAX_OPTIONS - TIME_STAMPS_LEN || at + TIME_STAMPS_LEN > len {
            return None;
        }
        let option = &options[at..at + TIME_STAMPS_LEN];
        match (option[0], usize::from(option[1])) {
            (END_OF_OPTIONS, _) => return None,
            (NO_OPERATION, _) => at += 1,
            (TIME_STAMPS, TIME_STAMPS_LEN) => {
                return Some(TimeStamps {
                    value: u32::from_be_bytes([option[2], option[3], option[4], option[5]]),
                    echo: u32::from_be_bytes([option[6], option[7], option[8], option[9]]),
                });
            }
            (TIME_STAMPS, _) | (_, 0 | 1) => return None,
            (_, len) => at += len,
        }
    }
    None
}
