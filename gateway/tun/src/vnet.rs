// SPDX-License-Identifier: AGPL-3.0-or-later
//! The offloading backend: `/dev/net/tun` with virtio-net headers.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::AsFd;

use gateway_core::offload::VirtioNetHeader;
use nix::libc::c_uint;
use tokio::io::unix::AsyncFd;

use crate::found::Queues;
use crate::sys::{self, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TUN, IFF_VNET_HDR};
use crate::{DeviceName, TunError};

/// What we can read, in falling order: a set of TUNSETOFFLOAD (source: linux/if_tun.h), and whether USO is in it.
///
/// CSUM 0x01, TSO4 0x02, TSO6 0x04, TSO_ECN 0x08, USO4 0x20 and USO6 0x40; USO since Linux 6.2.
const OFFLOADS: [(c_uint, bool); 2] = [(0x6f, true), (0x0f, false)];

/// One queue of an interface that moves super-packets.
#[derive(Debug)]
pub(crate) struct VnetQueue {
    file: AsyncFd<File>,
}

/// How the kernel answered the wish for offload.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It moves super-packets; of UDP too if `udp`.
    Granted { queues: Vec<VnetQueue>, udp: bool },
    /// It does not, for this reason.
    Refused(io::Error),
}

impl VnetQueue {
    pub(crate) fn open_all(name: &DeviceName, queues: Queues) -> Result<Answer, TunError> {
        Self::open_with(name, queues, &OFFLOADS)
    }

    fn open_with(name: &DeviceName, queues: Queues, offloads: &[(c_uint, bool)]) -> Result<Answer, TunError> {
        let first = sys::open_driver().map_err(|source| TunError::from_driver(name, source))?;
        match sys::has_vnet_header(&first) {
            Ok(true) => {}
            Ok(false) => return Ok(Answer::Refused(io::ErrorKind::Unsupported.into())),
            Err(source) => return Ok(Answer::Refused(source)),
        }
        let flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | if queues.multi { IFF_MULTI_QUEUE } else { 0 };
        sys::attach(&first, name, flags).map_err(|source| TunError::from_attach(name, source))?;
        // Both belong to the device, not to the queue.
        let udp = match set_offload(&first, offloads) {
            Ok(udp) => udp,
            Err(source) => return Ok(Answer::Refused(source)),
        };
        let mut files = vec![first];
        for _ in 1..queues.count {
            let file = sys::open_driver().map_err(|source| TunError::from_driver(name, source))?;
            sys::attach(&file, name, flags).map_err(|source| TunError::from_attach(name, source))?;
            files.push(file);
        }
        let watch = |file| sys::watch(file).map(|file| Self { file });
        let queues = files.into_iter().map(watch).collect::<io::Result<_>>();
        Ok(Answer::Granted { queues: queues.map_err(|source| TunError::from_kernel(name, source))?, udp })
    }

    pub(crate) fn file(&self) -> &AsyncFd<File> {
        &self.file
    }

    /// One packet into `buf`, its header apart.
    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<(VirtioNetHeader, usize)> {
        let mut header = [0; VirtioNetHeader::LEN];
        let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(buf)];
        let len = self.file.get_ref().read_vectored(&mut parts)?;
        let len = len.checked_sub(VirtioNetHeader::LEN).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((VirtioNetHeader::from_device(header), len))
    }

    /// One packet, in two parts so that neither is copied; the driver takes all or nothing.
    pub(crate) fn write(&self, header: &VirtioNetHeader, first: &[u8], second: &[u8]) -> io::Result<()> {
        let header = header.to_device();
        let parts = [IoSlice::new(&header), IoSlice::new(first), IoSlice::new(second)];
        self.file.get_ref().write_vectored(&parts).map(drop)
    }
}

/// Asks for each set until one is taken, and returns whether USO is in it.
fn set_offload(file: &File, offloads: &[(c_uint, bool)]) -> io::Result<bool> {
    let len = i32::try_from(VirtioNetHeader::LEN).expect("ten fits");
    sys::set_header_len(file, len)?;
    let mut refusal = io::Error::from(io::ErrorKind::Unsupported);
    for (flags, udp) in offloads {
        match sys::set_offload(file.as_fd(), *flags) {
            Ok(()) => return Ok(*udp),
            Err(source) => refusal = source,
        }
    }
    Err(refusal)
}
