// SPDX-License-Identifier: AGPL-3.0-or-later
//! The headers of IPv4 and IPv6.

use aya_ebpf::programs::TcContext;
use ebpf_abi::mapped;

use crate::packet::load;

/// How many extension headers are passed over: as many as RFC 8200, section 4.1, has kinds of them. Hosts send none or one.
const MAX_EXTENSIONS: u32 = 6;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

/// What a header of IP says.
pub(crate) struct Ip {
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    /// The number after all extension headers.
    pub(crate) protocol: u8,
    /// Whether this is the first fragment of several.
    pub(crate) fragment: bool,
    /// Where the header of that protocol begins.
    pub(crate) payload: u32,
    /// Where the packet ends.
    pub(crate) end: u32,
}

/// Whether a header of IPv4 is that of a fragment, the first included.
#[inline(always)]
pub(crate) fn is_fragment(header: [u8; 20]) -> bool {
    u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0
}

/// Reads a header of IPv4 that was found at this place; nothing for later fragments, which no port tells whose they are.
#[inline(always)]
pub(crate) fn v4(context: &TcContext, at: u32, header: [u8; 20]) -> Option<Ip> {
    let header_len = u32::from(header[0] & 0x0f) * 4;
    let place = u16::from_be_bytes([header[6], header[7]]);
    if header[0] >> 4 != 4 || header_len < 20 || place & 0x1fff != 0 {
        return None;
    }
    let len = u32::from(u16::from_be_bytes([header[2], header[3]]));
    let end = end(context, at, len)?;
    if at + header_len > end {
        return None;
    }
    Some(Ip {
        source: mapped([header[12], header[13], header[14], header[15]]),
        destination: mapped([header[16], header[17], header[18], header[19]]),
        protocol: header[9],
        fragment: is_fragment(header),
        payload: at + header_len,
        end,
    })
}

/// Reads a header of IPv6 and passes over the extension headers; nothing for later fragments and for more of those headers
/// than [`MAX_EXTENSIONS`].
#[inline(always)]
pub(crate) fn v6(context: &TcContext, at: u32) -> Option<Ip> {
    let header: [u8; 40] = load(context, at)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let len = u32::from(u16::from_be_bytes([header[4], header[5]]));
    let mut ip = Ip {
        source: [0; 16],
        destination: [0; 16],
        protocol: header[6],
        fragment: false,
        payload: at + 40,
        end: end(context, at + 40, len)?,
    };
    ip.source.copy_from_slice(&header[8..24]);
    ip.destination.copy_from_slice(&header[24..40]);
    for _ in 0..MAX_EXTENSIONS {
        if !ip.is_extension() {
            return Some(ip);
        }
        ip.pass_over_extension(context)?;
    }
    if ip.is_extension() { None } else { Some(ip) }
}

impl Ip {
    #[inline(always)]
    fn is_extension(&self) -> bool {
        matches!(self.protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION)
    }

    #[inline(always)]
    fn pass_over_extension(&mut self, context: &TcContext) -> Option<()> {
        // Each of them has at least eight bytes.
        let header: [u8; 8] = self.load(context, self.payload)?;
        let len = u32::from(header[1]);
        self.payload += match self.protocol {
            FRAGMENT => {
                let place = u16::from_be_bytes([header[2], header[3]]);
                if place & 0xfff8 != 0 {
                    return None;
                }
                self.fragment = place & 1 != 0;
                8
            }
            AUTHENTICATION => (len + 2) * 4,
            _ => (len + 1) * 8,
        };
        self.protocol = header[0];
        Some(())
    }
}

/// Where a packet ends whose header says this length; nothing where that is beyond what is there.
///
/// The kernel writes 0 into super-packets that are too long for the field.
#[inline(always)]
fn end(context: &TcContext, from: u32, len: u32) -> Option<u32> {
    let all = context.skb.len();
    let end = if len == 0 { all } else { from + len };
    if end > all { None } else { Some(end) }
}
