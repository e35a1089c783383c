// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the kernel tells of one connection (`TCP_INFO`, tcp(7); linux/tcp.h), as far as we use it. Knows no socket.

use std::time::Duration;

/// `struct tcp_info` up to and with `tcpi_reord_seen` (Linux 4.19), a part that never changes; what follows grows with
/// the kernel.
pub(crate) const TCP_INFO_LEN: usize = 224;
/// `TCP_CLOSE` of `tcpi_state` (linux/tcp_states.h).
const CLOSE: u8 = 7;
/// The bit of `tcpi_options` that says that segments carry timestamps (`TCPI_OPT_TIMESTAMPS`).
const TIMESTAMPS: u8 = 1;

/// Totals since the connection began, and its present round trips. Counters of segments wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpInfo {
    /// Whether there is no connection any more (`tcpi_state`): one that we have not closed was reset, or given up.
    pub(crate) closed: bool,
    /// Timeouts in a row without an acknowledgement (`tcpi_retransmits`).
    pub(crate) timeouts: u8,
    /// Whether every segment carries timestamps (`tcpi_options`).
    pub(crate) timestamps: bool,
    /// The payload of a full segment, in bytes (`tcpi_snd_mss`).
    pub(crate) segment: u32,
    /// Segments sent and not acknowledged (`tcpi_unacked`).
    pub(crate) in_flight: u32,
    /// Bytes that wait to be sent (`tcpi_notsent_bytes`).
    pub(crate) unsent: u32,
    /// The smoothed round trip (`tcpi_rtt`).
    pub(crate) rtt: Duration,
    /// The shortest round trip of the last minutes (`tcpi_min_rtt`).
    pub(crate) min_rtt: Duration,
    /// How fast the kernel lets segments leave, in bytes per second with headers (`tcpi_pacing_rate`).
    pub(crate) pacing: u64,
    /// Segments sent again (`tcpi_total_retrans`).
    pub(crate) resent: u32,
    /// Bytes that the peer's end acknowledged (`tcpi_bytes_acked`).
    pub(crate) acked: u64,
    /// Bytes that arrived in order (`tcpi_bytes_received`).
    pub(crate) received: u64,
    /// Segments out (`tcpi_segs_out`) and in (`tcpi_segs_in`), acknowledgements included.
    pub(crate) segments_out: u32,
    pub(crate) segments_in: u32,
    /// Segments out that had data, those sent again included (`tcpi_data_segs_out`).
    pub(crate) data_segments: u32,
    /// How long there was something to send (`tcpi_busy_time`).
    pub(crate) busy: Duration,
    /// How much of that the peer's receive window was in the way (`tcpi_rwnd_limited`).
    pub(crate) receiver_limited: Duration,
    /// Bytes out, those sent again included (`tcpi_bytes_sent`).
    pub(crate) sent: u64,
    /// How often segments were seen to overtake each other (`tcpi_reord_seen`).
    pub(crate) reorderings: u32,
}

impl TcpInfo {
    /// Reads the structure as the kernel wrote it.
    pub(crate) fn parse(bytes: &[u8; TCP_INFO_LEN]) -> Self {
        let narrow = |offset| u32::from_ne_bytes(at(bytes, offset));
        let wide = |offset| u64::from_ne_bytes(at(bytes, offset));
        let micros = |offset| Duration::from_micros(narrow(offset).into());
        Self {
            closed: bytes[0] == CLOSE,
            timeouts: bytes[2],
            timestamps: bytes[5] & TIMESTAMPS != 0,
            segment: narrow(16),
            in_flight: narrow(24),
            unsent: narrow(144),
            rtt: micros(68),
            min_rtt: micros(148),
            resent: narrow(100),
            pacing: wide(104),
            acked: wide(120),
            received: wide(128),
            segments_out: narrow(136),
            segments_in: narrow(140),
            data_segments: narrow(156),
            busy: Duration::from_micros(wide(168)),
            receiver_limited: Duration::from_micros(wide(176)),
            sent: wide(200),
            reorderings: narrow(220),
        }
    }
}

fn at<const N: usize>(bytes: &[u8; TCP_INFO_LEN], offset: usize) -> [u8; N] {
    *bytes[offset..].first_chunk().expect("INVARIANT: every offset lies within the structure")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every field from bytes that say where they lie.
    #[test]
    fn fields_lie_where_linux_has_them() {
        let mut bytes = [0; TCP_INFO_LEN];
        for offset in (8..TCP_INFO_LEN).step_by(4) {
            bytes[offset..offset + 4].copy_from_slice(&u32::try_from(offset).unwrap().to_ne_bytes());
        }
        (bytes[0], bytes[2], bytes[5]) = (7, 3, 0x0f);
        let info = TcpInfo::parse(&bytes);
        let wide = |offset: u64| {
            if cfg!(target_endian = "little") {
                offset | (offset + 4) << 32
            } else {
                offset << 32 | (offset + 4)
            }
        };
        let micros = Duration::from_micros;
        let expected = TcpInfo {
            closed: true,
            timeouts: 3,
            timestamps: true,
            segment: 16,
            in_flight: 24,
            unsent: 144,
            rtt: micros(68),
            min_rtt: micros(148),
            resent: 100,
            pacing: wide(104),
            acked: wide(120),
            received: wide(128),
            segments_out: 136,
            segments_in: 140,
            data_segments: 156,
            busy: micros(wide(168)),
            receiver_limited: micros(wide(176)),
            sent: wide(200),
            reorderings: 220,
        };
        assert_eq!(info, expected);
        (bytes[0], bytes[5]) = (1, 0x0e);
        assert!(!TcpInfo::parse(&bytes).timestamps && !TcpInfo::parse(&bytes).closed);
    }
}
