// SPDX-License-Identifier: AGPL-3.0-or-later
//! The calls of the TUN driver that have no safe wrapper; all unsafe code of this package is here.
#![allow(unsafe_code, reason = "ioctl(2) and borrowing a raw descriptor")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc::{self, c_int, c_short, c_uint};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::{DeviceName, InnerMtu};

/// Flags of TUNSETIFF (source: linux/if_tun.h).
pub(crate) const IFF_TUN: c_short = 0x0001;
pub(crate) const IFF_MULTI_QUEUE: c_short = 0x0100;
pub(crate) const IFF_NO_PI: c_short = 0x1000;
pub(crate) const IFF_VNET_HDR: c_short = 0x4000;

mod ioctl {
    use nix::libc::{SIOCGIFTXQLEN, SIOCSIFMTU, SIOCSIFTXQLEN, c_int, c_uint, ifreq};

    nix::ioctl_write_ptr_bad!(set_interface, nix::request_code_write!(b'T', 202, size_of::<c_int>()), ifreq);
    nix::ioctl_read!(features, b'T', 207, c_uint);
    nix::ioctl_read_bad!(interface, nix::request_code_read!(b'T', 210, size_of::<c_uint>()), ifreq);
    nix::ioctl_write_int!(set_offload, b'T', 208);
    nix::ioctl_write_ptr!(set_header_len, b'T', 216, c_int);
    nix::ioctl_write_ptr_bad!(set_mtu, SIOCSIFMTU, ifreq);
    nix::ioctl_read_bad!(tx_queue_len, SIOCGIFTXQLEN, ifreq);
    nix::ioctl_write_ptr_bad!(set_tx_queue_len, SIOCSIFTXQLEN, ifreq);
}

/// Opens the driver, non-blocking and closed on exec, attached to nothing yet.
pub(crate) fn open_driver() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")
}

/// Whether this kernel can put virtio-net headers before packets.
pub(crate) fn has_vnet_header(driver: &File) -> io::Result<bool> {
    let mut features: c_uint = 0;
    // SAFETY: the descriptor is open, and the pointer is to a c_uint that outlives the call.
    unsafe { ioctl::features(driver.as_raw_fd(), &raw mut features) }?;
    Ok(features & c_uint::from(IFF_VNET_HDR.unsigned_abs()) != 0)
}

/// Attaches to the interface, made if it is not there, with these flags of TUNSETIFF.
pub(crate) fn attach(driver: &File, name: &DeviceName, flags: c_short) -> io::Result<()> {
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: the descriptor is open, and the pointer is to an ifreq that outlives the call; its name is terminated.
    unsafe { ioctl::set_interface(driver.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// The flags that an attached interface has; those asked for, unless another reader was there first.
pub(crate) fn flags(device: &File) -> io::Result<c_short> {
    // SAFETY: ifreq is plain data of C, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, and the pointer is to an ifreq that outlives the call.
    unsafe { ioctl::interface(device.as_raw_fd(), &raw mut request) }?;
    // SAFETY: the call succeeded, so that the kernel wrote this member; any bits are a value of it.
    Ok(unsafe { request.ifr_ifru.ifru_flags })
}

/// Says which offloads this reader understands; they belong to the device and outlive this descriptor.
pub(crate) fn set_offload(device: BorrowedFd<'_>, flags: c_uint) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the argument is an integer.
    unsafe { ioctl::set_offload(device.as_raw_fd(), flags.into()) }?;
    Ok(())
}

/// Sets the length of the virtio-net header, which a persistent device keeps from its last user.
pub(crate) fn set_header_len(device: &File, len: c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the pointer is to a c_int that outlives the call.
    unsafe { ioctl::set_header_len(device.as_raw_fd(), &raw const len) }?;
    Ok(())
}

/// Sets the MTU of an interface in the network namespace of this thread.
pub(crate) fn set_mtu(name: &DeviceName, mtu: InnerMtu) -> io::Result<()> {
    let mut request = request(name);
    request.ifr_ifru.ifru_mtu = c_int::from(mtu.get());
    let control = control()?;
    // SAFETY: the descriptor is open, and the pointer is to an ifreq that outlives the call; its name is terminated.
    unsafe { ioctl::set_mtu(control.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// A socket whose only use is to set up interfaces, in the network namespace of this thread, for as long as it lives.
pub(crate) fn control() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

/// How many packets wait at most in each queue of an interface.
pub(crate) fn tx_queue_len(control: &OwnedFd, name: &DeviceName) -> io::Result<u32> {
    let mut request = request(name);
    // SAFETY: the descriptor is open, and the pointer is to an ifreq that outlives the call; its name is terminated.
    unsafe { ioctl::tx_queue_len(control.as_raw_fd(), &raw mut request) }?;
    // SAFETY: the call succeeded, so that the kernel wrote this integer, ifr_qlen; any bits are a value of it.
    let len = unsafe { request.ifr_ifru.ifru_metric };
    u32::try_from(len).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Sets how many packets wait at most in each queue of an interface.
pub(crate) fn set_tx_queue_len(control: &OwnedFd, name: &DeviceName, len: u32) -> io::Result<()> {
    let mut request = request(name);
    // ifr_qlen is the same integer, for which the binding has no name.
    request.ifr_ifru.ifru_metric = c_int::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open, and the pointer is to an ifreq that outlives the call; its name is terminated.
    unsafe { ioctl::set_tx_queue_len(control.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// Lets the runtime of this thread report when a device has something to read; there must be one, with IO.
///
/// EPOLLERR alone tells that an interface was deleted, hence the second interest.
pub(crate) fn watch(device: File) -> io::Result<AsyncFd<File>> {
    let interest = Interest::READABLE | Interest::ERROR;
    // SAFETY: a File owns its descriptor, always shows the same one, and closes it only when dropped.
    let watched = unsafe { AsyncFd::register_with_interest(device, interest) };
    Ok(watched?)
}

/// A second descriptor for an open file whose owner shows only a number.
pub(crate) fn duplicate(owner: &impl AsRawFd) -> io::Result<File> {
    let raw: RawFd = owner.as_raw_fd();
    // SAFETY: the owner is borrowed for the whole of this function, so its descriptor stays open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
    Ok(File::from(borrowed.as_fd().try_clone_to_owned()?))
}

fn request(name: &DeviceName) -> libc::ifreq {
    // SAFETY: ifreq is plain data of C, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The name has at most 15 bytes, so at least one zero remains to terminate it.
    for (to, byte) in request.ifr_name.iter_mut().zip(name.as_str().bytes()) {
        *to = libc::c_char::from_ne_bytes([byte]);
    }
    request
}
