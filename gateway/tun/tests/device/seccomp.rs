// SPDX-License-Identifier: AGPL-3.0-or-later
//! A kernel that refuses: a seccomp filter answers chosen calls of one thread, and of nobody else, with an error.
#![allow(unsafe_code, reason = "seccomp(2) has no safe wrapper")]

use std::mem::offset_of;

use nix::errno::Errno;
use nix::libc::{self, c_long, seccomp_data, sock_filter, sock_fprog};

/// TUNGETFEATURES and TUNSETOFFLOAD (source: linux/if_tun.h).
pub(crate) const FEATURES: u32 = 0x8004_54cf;
const SET_OFFLOAD: u32 = 0x4004_54d0;

/// Every ioctl of this request fails.
pub(crate) fn refuse_ioctl(request: u32, errno: Errno) {
    let [call, only] = load_call(libc::SYS_ioctl, 3);
    let [argument, equal] = unless_equal(1, request, 1);
    install(&[call, only, argument, equal, fail(errno)]);
}

/// Offloads with any of these bits are refused, as by a kernel that does not know them.
pub(crate) fn refuse_offloads(bits: u32) {
    let [call, only] = load_call(libc::SYS_ioctl, 5);
    let [request, equal] = unless_equal(1, SET_OFFLOAD, 3);
    let any = filter(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits, 0, 1);
    install(&[call, only, request, equal, load(argument(2)), any, fail(Errno::EINVAL)]);
}

/// Every gathered write fails, which is how packets are written.
pub(crate) fn refuse_writes(errno: Errno) {
    let [call, only] = load_call(libc::SYS_writev, 1);
    install(&[call, only, fail(errno)]);
}

/// Goes over the next `skip` instructions unless it is this call.
fn load_call(call: c_long, skip: u8) -> [sock_filter; 2] {
    [load(offset_of!(seccomp_data, nr)), unless(u32::try_from(call).unwrap(), skip)]
}

fn unless_equal(number: usize, value: u32, skip: u8) -> [sock_filter; 2] {
    [load(argument(number)), unless(value, skip)]
}

fn unless(value: u32, skip: u8) -> sock_filter {
    filter(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, skip)
}

fn fail(errno: Errno) -> sock_filter {
    let errno = std::io::Error::from(errno).raw_os_error().unwrap();
    answer(libc::SECCOMP_RET_ERRNO | u32::try_from(errno).unwrap())
}

fn answer(action: u32) -> sock_filter {
    filter(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

fn load(offset: usize) -> sock_filter {
    filter(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, u32::try_from(offset).unwrap(), 0, 0)
}

/// Where the low half of an argument lies.
fn argument(number: usize) -> usize {
    let low = if cfg!(target_endian = "big") { 4 } else { 0 };
    offset_of!(seccomp_data, args) + 8 * number + low
}

fn filter(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k }
}

/// For this thread and what it starts, for as long as it lives; needs CAP_SYS_ADMIN.
fn install(refusal: &[sock_filter]) {
    let mut program = [refusal, &[answer(libc::SECCOMP_RET_ALLOW)]].concat();
    let program = sock_fprog { len: u16::try_from(program.len()).unwrap(), filter: program.as_mut_ptr() };
    // SAFETY: the program and its instructions outlive the call, which copies them; the kernel checks them.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    assert_eq!(Errno::result(result), Ok(0));
}
