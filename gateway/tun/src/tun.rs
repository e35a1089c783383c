// SPDX-License-Identifier: AGPL-3.0-or-later
//! The device as the data path sees it.

use std::fmt;
use std::io;

use gateway_core::offload::VirtioNetHeader;
use tokio::runtime::Handle;

use crate::found::Found;
use crate::queue::{self, Queue};
use crate::tx_queue_len::{self, Before};
use crate::{DeviceName, InnerMtu, IoError, Offload, TunConfig, TunCounters, TunError, sys};

/// The least length of a buffer to read into, in bytes: the longest packet and its virtio-net header, rounded up.
///
/// The kernel cuts a packet that does not fit without a word, so a shorter buffer is refused.
pub const RECV_BUFFER: usize = 65_550;

/// A TUN device, removed when dropped unless it was persistent before.
///
/// All methods take `&self` and may be used by several threads: the kernel takes and gives whole packets.
///
/// With several queues, a flow is read from the queue on which its packets were last written, and one of which none was
/// written yet, from any (the kernel hashes it). So whoever writes a flow always on the queue from which it is read
/// keeps it in order, and with one thread.
pub struct Tun {
    name: DeviceName,
    /// Given back first, while the device is certainly there.
    _tx_queue_len: Option<Before>,
    queues: Box<[Queue]>,
    offload: Offload,
}

/// A packet that was read: `header`, and the first `len` bytes of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// What the kernel left undone; [`VirtioNetHeader::NONE`] from a device without offload.
    pub header: VirtioNetHeader,
    /// Bytes of the packet, which starts with the buffer.
    pub len: usize,
}

impl Tun {
    /// Opens or makes the interface, sets its offloads, its MTU and the length of its queues; it is not brought up and
    /// gets no address.
    ///
    /// A persistent interface keeps the number of queues that it was made for: one made for a single queue is opened
    /// with one, whatever was asked, with a warning ([`queues`](Self::queues) says how many there are).
    ///
    /// # Errors
    ///
    /// [`TunError`], with what the operator can do about it.
    ///
    /// # Panics
    ///
    /// In a tokio runtime that was built without IO.
    pub fn open(config: &TunConfig) -> Result<Self, TunError> {
        config.check()?;
        Handle::try_current().map_err(|_| TunError::NoRuntime)?;
        let found = Found::under(&config.name)?;
        let (queues, offload) = queue::open_all(config, found)?;
        let before = match config.tx_queue_len {
            Some(len) => tx_queue_len::set(&config.name, len, found)?,
            None => None,
        };
        let tun = Self { name: config.name.clone(), _tx_queue_len: before, queues, offload };
        tun.set_mtu(config.mtu)?;
        tracing::info!(
            device = %tun.name,
            mtu = %config.mtu,
            queues = tun.queues(),
            offload = %tun.offload,
            "TUN device is open"
        );
        Ok(tun)
    }

    /// The name of the interface.
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// How many queues there are: as many as configured, or one where the interface was made for one. Queues are numbered
    /// from 0.
    pub fn queues(&self) -> u8 {
        u8::try_from(self.queues.len()).expect("at most MAX_QUEUES were opened")
    }

    /// Whether super-packets pass whole, and why not.
    pub fn offload(&self) -> &Offload {
        &self.offload
    }

    /// Totals since the device was opened, of all queues.
    pub fn counters(&self) -> TunCounters {
        let mut totals = TunCounters::default();
        for queue in &self.queues {
            queue.counting().add_to(&mut totals);
        }
        totals
    }

    /// Sets the MTU, in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// [`TunError::Permission`] without CAP_NET_ADMIN, [`TunError::Mtu`] where the kernel does not take it,
    /// [`TunError::Io`] if the interface is not there.
    pub fn set_mtu(&self, mtu: InnerMtu) -> Result<(), TunError> {
        sys::set_mtu(&self.name, mtu).map_err(|source| TunError::from_mtu(&self.name, mtu, source))
    }

    /// Waits until [`try_recv`](Self::try_recv) has something to say about this queue: a packet, or an error.
    ///
    /// Cancel safe. Call `try_recv` until [`IoError::WouldBlock`] before waiting again. The runtime in which the device was
    /// opened does the watching; it may be awaited in any.
    ///
    /// # Errors
    ///
    /// If the runtime is shutting down.
    ///
    /// # Panics
    ///
    /// Without a queue of this number.
    pub async fn readable(&self, queue: u8) -> io::Result<()> {
        self.queue(queue).readable().await
    }

    /// Reads one packet of this queue into the start of `buf`, which has at least [`RECV_BUFFER`] bytes.
    ///
    /// # Errors
    ///
    /// [`IoError::WouldBlock`] when no packet is there, and [`readable`](Self::readable) is to be awaited;
    /// [`IoError::BufferTooShort`]; [`IoError::Gone`] once the interface was deleted.
    ///
    /// # Panics
    ///
    /// Without a queue of this number.
    pub fn try_recv(&self, queue: u8, buf: &mut [u8]) -> Result<Received, IoError> {
        if buf.len() < RECV_BUFFER {
            return Err(IoError::BufferTooShort { len: buf.len(), expected: RECV_BUFFER });
        }
        let (header, len) = self.queue(queue).try_recv(buf)?;
        Ok(Received { header, len })
    }

    /// Writes one packet or super-packet on this queue, cut in software where the device cannot take it whole.
    ///
    /// The header is one that [`check`](gateway_core::offload::check) returned for this packet. Where software cuts, it
    /// stops at the first segment that fails.
    ///
    /// # Errors
    ///
    /// [`IoError`]; the packet, or the rest of it, is lost and counted. Only [`IoError::Gone`] lasts.
    ///
    /// # Panics
    ///
    /// Without a queue of this number.
    pub fn try_send(&self, queue: u8, header: &VirtioNetHeader, packet: &[u8]) -> Result<(), IoError> {
        let queue = self.queue(queue);
        if self.offload.takes_whole(header, packet) {
            queue.write_whole(header, packet)
        } else {
            queue.write_segments(header, packet)
        }
    }

    fn queue(&self, number: u8) -> &Queue {
        &self.queues[usize::from(number)]
    }
}

impl fmt::Debug for Tun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tun")
            .field("name", &self.name)
            .field("queues", &self.queues())
            .field("offload", &self.offload)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}
