// SPDX-License-Identifier: AGPL-3.0-or-later
//! From the underlay to the TUN device.

use std::sync::Arc;

use anyhow::{Context, Result};
use gateway_tun::{IoError, Tun, VirtioNetHeader};

use crate::join::{Join, Segment};
use crate::seal::Opener;
use crate::udp::UdpLink;

/// The longest that the kernel gathers, rounded up.
const BUFFER: usize = 1 << 16;

/// The direction, with its buffers.
pub(crate) struct Inbound {
    tun: Arc<Tun>,
    link: Arc<UdpLink>,
    opener: Opener,
}

impl Inbound {
    pub(crate) fn new(tun: Arc<Tun>, link: Arc<UdpLink>, opener: Opener) -> Self {
        Self { tun, link, opener }
    }

    /// Goes on until the device is gone or the link fails.
    pub(crate) fn run(self) -> Result<()> {
        let mut buffer = vec![0; BUFFER];
        let mut join = Join::default();
        loop {
            let received = self.link.receive(&mut buffer).context("receiving")?;
            for datagram in buffer[..received.len].chunks_mut(received.segment) {
                if let Some(packet) = self.opener.open(datagram) {
                    self.take(packet, &mut join)?;
                }
            }
            self.flush(&mut join)?;
        }
    }

    fn take(&self, packet: &[u8], join: &mut Join) -> Result<()> {
        match Segment::of(packet) {
            Some(segment) => {
                if !join.fits(&segment) {
                    self.flush(join)?;
                }
                join.push(&segment);
                Ok(())
            }
            None => {
                self.flush(join)?;
                self.write(&VirtioNetHeader::NONE, packet)
            }
        }
    }

    fn flush(&self, join: &mut Join) -> Result<()> {
        match join.finish() {
            Some((header, packet)) => self.write(&header, packet),
            None => Ok(()),
        }
    }

    /// What the device does not take now is lost, as on any link.
    fn write(&self, header: &VirtioNetHeader, packet: &[u8]) -> Result<()> {
        match self.tun.try_send(0, header, packet) {
            Err(error @ IoError::Gone) => Err(error).context("writing to the TUN device"),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
