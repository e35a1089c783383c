// SPDX-License-Identifier: AGPL-3.0-or-later
//! The device as the data path sees it.

use std::fmt;
use std::fs::File;
use std::io;

use gateway_core::offload::{GsoType, Segments, VirtioNetHeader};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use crate::counters::Counting;
use crate::plain::PlainDevice;
use crate::vnet::{Answer, VnetDevice};
use crate::{DeviceName, InnerMtu, IoError, TunConfig, TunCounters, TunError, sys};

/// The least length of a buffer to read into, in bytes: the longest packet and its virtio-net header, rounded up.
///
/// The kernel cuts a packet that does not fit without a word, so a shorter buffer is refused.
pub const RECV_BUFFER: usize = 65_550;

/// The most datagrams of a UDP super-packet that every kernel with USO takes in one write (128 since Linux 6.9).
const USO_DATAGRAMS: usize = 64;

/// A TUN device, removed when dropped unless it was persistent before.
///
/// All methods take `&self` and may be used by several threads: the kernel takes and gives whole packets.
pub struct Tun {
    name: DeviceName,
    backend: Backend,
    offload: Offload,
    counting: Counting,
}

enum Backend {
    Vnet(VnetDevice),
    Plain(PlainDevice),
}

/// How much segmentation the kernel leaves to us, and why.
#[derive(Debug)]
#[non_exhaustive]
pub enum Offload {
    /// TCP and UDP super-packets pass whole.
    TcpAndUdp,
    /// TCP super-packets pass whole; those of UDP are cut in software (kernels before 6.2).
    Tcp,
    /// Packets pass one by one, as configured.
    Disabled,
    /// Packets pass one by one: the kernel refuses virtio-net headers or their offloads.
    Refused(io::Error),
}

impl Offload {
    /// Whether any super-packets pass whole.
    pub const fn is_on(&self) -> bool {
        matches!(self, Self::TcpAndUdp | Self::Tcp)
    }
}

impl fmt::Display for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TcpAndUdp => f.write_str("TCP and UDP"),
            Self::Tcp => f.write_str("TCP only: the kernel has no UDP segmentation offload"),
            Self::Disabled => f.write_str("off: disabled by configuration"),
            Self::Refused(source) => write!(f, "off: refused by the kernel ({source})"),
        }
    }
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
    /// Opens or makes the interface, sets its offloads and its MTU; it is not brought up and gets no address.
    ///
    /// # Errors
    ///
    /// [`TunError`], with what the operator can do about it.
    ///
    /// # Panics
    ///
    /// In a tokio runtime that was built without IO.
    pub fn open(config: &TunConfig) -> Result<Self, TunError> {
        Handle::try_current().map_err(|_| TunError::NoRuntime)?;
        let (backend, offload) = Self::open_backend(config)?;
        let tun = Self { name: config.name.clone(), backend, offload, counting: Counting::default() };
        tun.set_mtu(config.mtu)?;
        tracing::info!(device = %tun.name, mtu = %config.mtu, offload = %tun.offload, "TUN device is open");
        Ok(tun)
    }

    fn open_backend(config: &TunConfig) -> Result<(Backend, Offload), TunError> {
        let name = &config.name;
        if !config.offload {
            return Ok((Backend::Plain(PlainDevice::open(name)?), Offload::Disabled));
        }
        match VnetDevice::open(name)? {
            Answer::Granted { device, udp } => {
                let offload = if udp { Offload::TcpAndUdp } else { Offload::Tcp };
                Ok((Backend::Vnet(device), offload))
            }
            Answer::Refused(source) => {
                tracing::warn!(device = %name, %source, "no segmentation offload: throughput will be low");
                Ok((Backend::Plain(PlainDevice::open(name)?), Offload::Refused(source)))
            }
        }
    }

    /// The name of the interface.
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// Whether super-packets pass whole, and why not.
    pub fn offload(&self) -> &Offload {
        &self.offload
    }

    /// Totals since the device was opened.
    pub fn counters(&self) -> TunCounters {
        self.counting.snapshot()
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

    /// Waits until [`try_recv`](Self::try_recv) has something to say: a packet, or an error.
    ///
    /// Cancel safe. Call `try_recv` until [`IoError::WouldBlock`] before waiting again.
    ///
    /// # Errors
    ///
    /// If the runtime is shutting down.
    pub async fn readable(&self) -> io::Result<()> {
        self.file().ready(Interest::READABLE | Interest::ERROR).await.map(drop)
    }

    /// Reads one packet into the start of `buf`, which has at least [`RECV_BUFFER`] bytes.
    ///
    /// # Errors
    ///
    /// [`IoError::WouldBlock`] when no packet is there or [`readable`](Self::readable) was not awaited since;
    /// [`IoError::BufferTooShort`]; [`IoError::Gone`] once the interface was deleted.
    pub fn try_recv(&self, buf: &mut [u8]) -> Result<Received, IoError> {
        if buf.len() < RECV_BUFFER {
            return Err(IoError::BufferTooShort { len: buf.len(), expected: RECV_BUFFER });
        }
        // Two calls, since tokio clears one readiness at a time; a deleted interface has only the second.
        let (header, len) = match self.file().try_io(Interest::READABLE, |_| self.read(buf)) {
            Err(source) if source.kind() == io::ErrorKind::WouldBlock => {
                self.file().try_io(Interest::ERROR, |_| self.read(buf))
            }
            result => result,
        }?;
        self.counting.received();
        Ok(Received { header, len })
    }

    /// Writes one packet or super-packet, cut in software where the device cannot take it whole.
    ///
    /// The header is one that [`check`](gateway_core::offload::check) returned for this packet. Where software cuts, it
    /// stops at the first segment that fails.
    ///
    /// # Errors
    ///
    /// [`IoError`]; the packet, or the rest of it, is lost and counted.
    pub fn try_send(&self, header: &VirtioNetHeader, packet: &[u8]) -> Result<(), IoError> {
        if self.takes_whole(header, packet) {
            return self.write(header, packet, &[]);
        }
        let mut segments = Segments::new(header, packet).map_err(IoError::from).inspect_err(|_| {
            self.counting.refused();
        })?;
        self.counting.segmented();
        while let Some(segment) = segments.next_segment() {
            self.write(&VirtioNetHeader::NONE, segment.headers, segment.payload)?;
        }
        Ok(())
    }

    fn takes_whole(&self, header: &VirtioNetHeader, packet: &[u8]) -> bool {
        let udp = header.gso_type == GsoType::UdpL4.to_raw();
        match self.offload {
            Offload::TcpAndUdp => !udp || datagrams(header, packet) <= USO_DATAGRAMS,
            Offload::Tcp => !udp,
            Offload::Disabled | Offload::Refused(_) => {
                header.flags & VirtioNetHeader::NEEDS_CSUM == 0 && header.gso_type == GsoType::None.to_raw()
            }
        }
    }

    fn read(&self, buf: &mut [u8]) -> io::Result<(VirtioNetHeader, usize)> {
        match &self.backend {
            Backend::Vnet(device) => device.read(buf),
            Backend::Plain(device) => Ok((VirtioNetHeader::NONE, device.read(buf)?)),
        }
    }

    fn write(&self, header: &VirtioNetHeader, first: &[u8], second: &[u8]) -> Result<(), IoError> {
        let result = match &self.backend {
            Backend::Vnet(device) => device.write(header, first, second),
            Backend::Plain(device) => device.write(first, second),
        };
        let result = result.map_err(IoError::from);
        self.counting.written(&result);
        result
    }

    fn file(&self) -> &AsyncFd<File> {
        match &self.backend {
            Backend::Vnet(device) => device.file(),
            Backend::Plain(device) => device.file(),
        }
    }
}

impl fmt::Debug for Tun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tun")
            .field("name", &self.name)
            .field("offload", &self.offload)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// How many datagrams a UDP super-packet stands for; a header that was not checked may get any answer.
fn datagrams(header: &VirtioNetHeader, packet: &[u8]) -> usize {
    let payload = packet.len().saturating_sub(usize::from(header.hdr_len));
    payload.div_ceil(usize::from(header.gso_size.max(1)))
}
