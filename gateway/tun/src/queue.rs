// SPDX-License-Identifier: AGPL-3.0-or-later
//! One queue of the device, over either backend: whole packets in and out, each counted.

use std::cell::Cell;
use std::fs::File;
use std::io;

use gateway_core::offload::{Segments, VirtioNetHeader};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::counters::Counting;
use crate::found::{Found, Queues};
use crate::plain::PlainQueue;
use crate::vnet::{Answer, VnetQueue};
use crate::{IoError, Offload, TunConfig, TunError};

/// One queue, and what happened there.
pub(crate) struct Queue {
    backend: Backend,
    counting: Counting,
}

enum Backend {
    Vnet(VnetQueue),
    Plain(PlainQueue),
}

/// Opens the queues of an interface, as many of those wanted as it can have, with the best offload that is allowed.
pub(crate) fn open_all(config: &TunConfig, found: Found) -> Result<(Box<[Queue]>, Offload), TunError> {
    let name = &config.name;
    let wanted = found.queues(name, config.queues);
    if !config.offload {
        return Ok((open_plain(config, wanted)?, Offload::Disabled));
    }
    match VnetQueue::open_all(name, wanted)? {
        Answer::Granted { queues, udp } => {
            let offload = if udp { Offload::TcpAndUdp } else { Offload::Tcp };
            Ok((queues.into_iter().map(|queue| Queue::new(Backend::Vnet(queue))).collect(), offload))
        }
        Answer::Refused(source) => {
            tracing::warn!(device = %name, %source, "no segmentation offload: throughput will be low");
            Ok((open_plain(config, wanted)?, Offload::Refused(source)))
        }
    }
}

fn open_plain(config: &TunConfig, wanted: Queues) -> Result<Box<[Queue]>, TunError> {
    let queues = PlainQueue::open_all(&config.name, wanted)?;
    Ok(queues.into_iter().map(|queue| Queue::new(Backend::Plain(queue))).collect())
}

impl Queue {
    fn new(backend: Backend) -> Self {
        Self { backend, counting: Counting::default() }
    }

    pub(crate) fn counting(&self) -> &Counting {
        &self.counting
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.file().ready(Interest::READABLE | Interest::ERROR).await.map(drop)
    }

    /// Reads whatever is there, also while the runtime has not noticed it yet.
    pub(crate) fn try_recv(&self, buf: &mut [u8]) -> Result<(VirtioNetHeader, usize), IoError> {
        // One after the other, since tokio clears one readiness at a time, and a deleted interface has only the second.
        // Where it knows of neither, something may have come since it looked.
        let asked = Cell::new(false);
        let read = |buf: &mut [u8]| {
            asked.set(true);
            self.read(buf)
        };
        let mut received = self.file().try_io(Interest::READABLE, |_| read(buf));
        if would_block(&received) {
            received = self.file().try_io(Interest::ERROR, |_| read(buf));
        }
        if would_block(&received) && !asked.get() {
            received = self.read(buf);
        }
        let received = received?;
        self.counting.received();
        Ok(received)
    }

    /// Writes one packet that the device takes whole.
    pub(crate) fn write_whole(&self, header: &VirtioNetHeader, packet: &[u8]) -> Result<(), IoError> {
        self.write(header, packet, &[])
    }

    /// Writes a packet in segments with complete checksums.
    pub(crate) fn write_segments(&self, header: &VirtioNetHeader, packet: &[u8]) -> Result<(), IoError> {
        let mut segments = Segments::new(header, packet).map_err(IoError::from).inspect_err(|_| {
            self.counting.refused();
        })?;
        self.counting.segmented();
        while let Some(segment) = segments.next_segment() {
            self.write(&VirtioNetHeader::NONE, segment.headers, segment.payload)?;
        }
        Ok(())
    }

    fn read(&self, buf: &mut [u8]) -> io::Result<(VirtioNetHeader, usize)> {
        match &self.backend {
            Backend::Vnet(queue) => queue.read(buf),
            Backend::Plain(queue) => Ok((VirtioNetHeader::NONE, queue.read(buf)?)),
        }
    }

    fn write(&self, header: &VirtioNetHeader, first: &[u8], second: &[u8]) -> Result<(), IoError> {
        let result = match &self.backend {
            Backend::Vnet(queue) => queue.write(header, first, second),
            Backend::Plain(queue) => queue.write(first, second),
        };
        let result = result.map_err(IoError::from);
        self.counting.written(&result);
        result
    }

    fn file(&self) -> &AsyncFd<File> {
        match &self.backend {
            Backend::Vnet(queue) => queue.file(),
            Backend::Plain(queue) => queue.file(),
        }
    }
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}
