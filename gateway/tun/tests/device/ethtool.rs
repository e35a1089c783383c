// SPDX-License-Identifier: AGPL-3.0-or-later
//! Interfaces without offloads, as `ethtool -K` makes them; that program is not on every machine.
#![allow(unsafe_code, reason = "SIOCETHTOOL has no safe wrapper")]

use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// The argument of the older ethtool commands (source: linux/ethtool.h).
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

mod ioctl {
    use nix::libc;
    nix::ioctl_readwrite_bad!(ethtool, 0x8946, libc::ifreq);
}

/// Switches receive and transmit checksums, TSO, GSO and GRO off, as `ethtool -K` would.
pub(crate) fn without_offloads(interface: &str) {
    let (stso, sgso, sgro, srxcsum, stxcsum) = (0x1f, 0x24, 0x2c, 0x15, 0x17);
    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
    for command in [stso, sgso, sgro, srxcsum, stxcsum] {
        let mut value = EthtoolValue { command, data: 0 };
        // SAFETY: ifreq is plain data of C, for which all zeros is a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, byte) in request.ifr_name.iter_mut().zip(interface.bytes().take(15)) {
            *to = libc::c_char::from_ne_bytes([byte]);
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the descriptor is open; request and the value it points to outlive the call.
        unsafe { ioctl::ethtool(any.as_raw_fd(), &raw mut request) }.unwrap();
    }
}
