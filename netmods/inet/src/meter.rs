// SPDX-License-Identifier: AGPL-3.0-or-later
//! What one connection tells about its link: its capacity while it is full, what crossed it, what was lost.
//!
//! Whoever sends less than the link carries learns what is sent and not what would fit. So a rate counts only while
//! something waited for the socket practically all the time, the peer's window was not in the way, and either a queue stood
//! at the bottleneck (round trips well above the shortest), or a congestion control that measures the path itself, and
//! avoids that queue, lets no more leave. `tcpi_delivery_rate` is not used: the kernel keeps the last
//! figure it accepted however old, and takes a shaper's burst for the rate. Knows no socket and no clock: readings
//! come in, samples come out.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use ratman_types::{Bandwidth, ByteCount, Capacity, LinkSample, Loss, SampleSource, Timestamp, Traffic};

use crate::tcp_info::TcpInfo;

/// The least time over which a rate is taken.
const WINDOW: Duration = Duration::from_millis(100);
/// The same in round trips, so that the burstiness of acknowledgements evens out,
const WINDOW_TRIPS: u32 = 4;
/// and in full segments: one more or less is then below 2 %.
const WINDOW_SEGMENTS: u64 = 64;
/// Between readings further apart the link was idle for some time.
const LONGEST_STEP: Duration = Duration::from_millis(250);
/// Rates of which the median is told: single ones are up to 5 % off.
const ENOUGH: usize = 5;
/// Rates kept, the newest: more than fit between two reports.
const RATES: usize = 32;
/// How long a rate says something about the link; a slow one takes seconds for each.
const RATE_LIFE: Duration = Duration::from_secs(60);
/// How much faster than the rate, in percent, a path is tried that is believed to be full: a quarter more now and then (BBR,
/// draft-ietf-ccwg-bbr), and what rounding adds. Before it is believed full, nearly three times as fast.
const TRIED: u64 = 135;
/// The shortest path on which that pace is believed. On a shorter one a busy processor delays acknowledgements by more than the
/// path is long, so that it takes its own bound for the link's (measured: 145 of 200 Mbit/s); and there a queue shows.
const LONG: Duration = Duration::from_millis(5);
/// What Ethernet adds to every IP packet, in bytes; lines without it are a hundredth better than told.
const ETHERNET: u64 = 14;

/// What the kernel said at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) at: Timestamp,
    /// How long something has waited for the socket so far, in all.
    pub(crate) waited: Duration,
    pub(crate) info: TcpInfo,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Bytes of the headers of IP and what is below.
    below: u64,
    /// Whether the congestion control measures the path and sends at what it found (BBR).
    measures: bool,
    /// Whether there was a queue at the bottleneck at every reading since `begin`.
    queued: bool,
    /// Where the rate that is being taken began.
    begin: Option<Reading>,
    /// The latest reading of a full link.
    latest: Option<Reading>,
    /// Whether the link has been full since before `begin`: what a shaper's bucket lets pass at first is over.
    settled: bool,
    /// Rates of payload in bytes per second, and when each was complete.
    rates: VecDeque<(Timestamp, u64)>,
    reported: Option<(Timestamp, TcpInfo)>,
    /// When a capacity was told last.
    told: Option<Timestamp>,
}

impl Meter {
    /// `measures` says whether the connection's congestion control does ([`crate::socket::measures_path`]).
    pub(crate) fn new(remote: IpAddr, measures: bool) -> Self {
        let (begin, latest, rates, reported, told) = Default::default();
        let below = below_ip(remote);
        Self { below, measures, queued: true, begin, latest, settled: false, rates, reported, told }
    }

    /// Learns from a reading that was taken while something waited for the socket.
    pub(crate) fn full(&mut self, reading: Reading) {
        let goes_on = self.latest.replace(reading).is_some_and(|latest| goes_on(&latest, &reading));
        self.queued &= is_queued(&reading);
        let measures = self.measures && reading.info.min_rtt >= LONG;
        if !goes_on || !(self.queued || measures) {
            (self.settled, self.queued) = (false, true);
            self.begin = Some(reading);
            return;
        }
        let Some(begin) = self.begin else { return self.begin = Some(reading) };
        let elapsed = reading.at.since(begin.at);
        let bytes = reading.info.acked.saturating_sub(begin.info.acked);
        if elapsed < WINDOW.max(WINDOW_TRIPS * reading.info.rtt)
            || bytes < WINDOW_SEGMENTS * u64::from(reading.info.segment)
        {
            return;
        }
        self.begin = Some(reading);
        let rate = ByteCount(bytes).per_second(elapsed).expect("INVARIANT: a window has passed");
        let queued = std::mem::replace(&mut self.queued, true);
        let full = is_full(&begin, &reading, elapsed) && (queued || measures && is_tried(&reading, rate));
        if full && self.settled {
            if self.rates.len() == RATES {
                self.rates.pop_front();
            }
            self.rates.push_back((reading.at, rate));
        }
        self.settled = full;
    }

    /// What was learnt since the last report.
    pub(crate) fn report(&mut self, at: Timestamp, info: TcpInfo) -> LinkSample {
        let mut sample = LinkSample::new(at, SampleSource::Socket);
        sample.capacity = self.capacity(at, &info);
        self.told = sample.capacity.and(Some(at)).or(self.told);
        if let Some((since, before)) = self.reported.replace((at, info)) {
            sample.traffic = Some(self.traffic(at.since(since), &before, &info));
            sample.loss = loss(&before, &info);
        }
        sample
    }

    /// When a capacity was told last.
    pub(crate) fn told(&self) -> Option<Timestamp> {
        self.told
    }

    /// The median of the rates, as bytes on the underlay's wire.
    fn capacity(&mut self, at: Timestamp, info: &TcpInfo) -> Option<Capacity> {
        self.rates.retain(|(taken, _)| at.since(*taken) < RATE_LIFE);
        if self.rates.len() < ENOUGH {
            return None;
        }
        let mut rates: Vec<_> = self.rates.drain(..).map(|(_, rate)| rate).collect();
        rates.sort_unstable();
        let segment = u64::from(info.segment.max(1));
        let rate = rates[rates.len() / 2].saturating_mul(segment + self.headers(info)) / segment;
        Some(Capacity::Measured(Bandwidth::from_bytes_per_second(u32::try_from(rate).unwrap_or(u32::MAX))))
    }

    fn traffic(&self, over: Duration, before: &TcpInfo, now: &TcpInfo) -> Traffic {
        let headers = self.headers(now);
        let sum = |bytes: u64, segments: u32| ByteCount(bytes.saturating_add(u64::from(segments) * headers));
        Traffic {
            over,
            sent: sum(
                now.sent.saturating_sub(before.sent),
                now.segments_out.wrapping_sub(before.segments_out),
            ),
            received: sum(
                now.received.saturating_sub(before.received),
                now.segments_in.wrapping_sub(before.segments_in),
            ),
        }
    }

    /// Bytes of all headers of one segment.
    fn headers(&self, info: &TcpInfo) -> u64 {
        self.below + u64::from(tcp_header(info))
    }
}

/// Bytes of the headers of Ethernet and IP on the way to an address.
pub(crate) fn below_ip(remote: IpAddr) -> u64 {
    ETHERNET + u64::from(ip_header(remote))
}

/// Bytes of the header of IP in packets to an address.
pub(crate) fn ip_header(remote: IpAddr) -> u32 {
    if remote.to_canonical().is_ipv4() { 20 } else { 40 }
}

/// Bytes of the header of TCP in every segment.
pub(crate) fn tcp_header(info: &TcpInfo) -> u32 {
    if info.timestamps { 32 } else { 20 }
}

/// Whether something waited between two readings, and no timeout says that the path has gone silent.
fn goes_on(before: &Reading, now: &Reading) -> bool {
    now.at.since(before.at) <= LONGEST_STEP && now.info.timeouts == 0
}

/// Whether a queue stands at the bottleneck: what is sent takes longer than the path alone would.
fn is_queued(now: &Reading) -> bool {
    2 * now.info.rtt >= 3 * now.info.min_rtt
}

/// Whether no more was let leave than a full path is tried with.
fn is_tried(now: &Reading, rate: u64) -> bool {
    now.info.pacing.saturating_mul(100) <= rate.saturating_mul(TRIED)
}

/// Whether the link was full all the time but for a tenth, which the wake-ups of the sender take.
fn is_full(begin: &Reading, now: &Reading, elapsed: Duration) -> bool {
    let by_peer = now.info.receiver_limited.saturating_sub(begin.info.receiver_limited);
    let waited = now.waited.saturating_sub(begin.waited);
    waited >= elapsed / 10 * 9 && by_peer <= elapsed / 10
}

fn loss(before: &TcpInfo, now: &TcpInfo) -> Option<Loss> {
    let sent = u64::from(now.data_segments.wrapping_sub(before.data_segments));
    let lost = u64::from(now.resent.wrapping_sub(before.resent));
    let reordered = now.reorderings != before.reorderings;
    (sent > 0).then_some(Loss { sent, lost, reordered })
}

#[cfg(test)]
mod tests;
