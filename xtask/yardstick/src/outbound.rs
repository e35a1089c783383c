// SPDX-License-Identifier: AGPL-3.0-or-later
//! From the TUN device to the underlay.

use std::sync::Arc;

use anyhow::{Context, Result};
use gateway_core::offload::{Segments, VirtioNetHeader};
use gateway_tun::{IoError, RECV_BUFFER, Tun};

use crate::seal::{OVERHEAD, Sealer};
use crate::udp::{MAX_BYTES, MAX_DATAGRAMS, UdpLink};

/// The direction, with its buffers.
pub(crate) struct Outbound {
    tun: Arc<Tun>,
    link: Arc<UdpLink>,
    sealer: Sealer,
    batch: Batch,
}

/// Datagrams that leave with one call: all of one size but the last.
struct Batch {
    bytes: Vec<u8>,
    segment: usize,
    count: usize,
}

impl Outbound {
    pub(crate) fn new(tun: Arc<Tun>, link: Arc<UdpLink>, sealer: Sealer) -> Self {
        let batch = Batch { bytes: Vec::with_capacity(MAX_BYTES), segment: 0, count: 0 };
        Self { tun, link, sealer, batch }
    }

    /// Goes on until the device is gone or the link fails.
    pub(crate) async fn run(mut self) -> Result<()> {
        let tun = Arc::clone(&self.tun);
        let mut buffer = vec![0; RECV_BUFFER];
        loop {
            tun.readable(0).await?;
            loop {
                match tun.try_recv(0, &mut buffer) {
                    Ok(received) => self.forward(&received.header, &buffer[..received.len])?,
                    Err(IoError::WouldBlock) => break,
                    Err(error) => return Err(error).context("reading from the TUN device"),
                }
            }
        }
    }

    fn forward(&mut self, header: &VirtioNetHeader, packet: &[u8]) -> Result<()> {
        // Our own kernel's packets are well formed; one that were not would be lost.
        let Ok(mut segments) = Segments::new(header, packet) else { return Ok(()) };
        while let Some(segment) = segments.next_segment() {
            let len = segment.headers.len() + segment.payload.len() + OVERHEAD;
            if !self.batch.takes(len) {
                self.batch.send(&self.link)?;
            }
            self.sealer.seal(segment.headers, segment.payload, self.batch.room(len));
        }
        self.batch.send(&self.link)
    }
}

impl Batch {
    fn takes(&self, len: usize) -> bool {
        self.count < MAX_DATAGRAMS && self.bytes.len() + len <= MAX_BYTES
    }

    /// Where the next datagram is to be written.
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.count == 0 {
            self.segment = len;
        }
        self.count += 1;
        let start = self.bytes.len();
        self.bytes.resize(start + len, 0);
        &mut self.bytes[start..]
    }

    fn send(&mut self, link: &UdpLink) -> Result<()> {
        let sent = link.send(&self.bytes, self.segment).context("sending");
        self.bytes.clear();
        self.count = 0;
        sent
    }
}
