// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the operator says about the device, checked before anything is opened.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The most queues of one device.
///
/// A queue is for a thread that moves data, and costs a read buffer of 64 KiB in it and a ring of
/// [`tx_queue_len`](TunConfig::tx_queue_len) packets in the kernel. With 16 threads the links are the limit long before
/// the device; the kernel itself ends at 256 (`MAX_TAP_QUEUES`).
pub const MAX_QUEUES: u8 = 16;

/// The default length of each queue in packets, where the kernel's own is 500 and drops the newest when full.
///
/// Whoever sends into a TUN is not slowed by it, so the ring takes every burst whole: ten senders with 64 super-packets
/// each go over 500, before the reader of a busy machine gets its turn. 1000 is the least that others settled on
/// (1000 to 10 000); the full ring is at most 64 MiB, and at 5 Gbit/s 0.1 s long. Queues that may be longer are ours,
/// which drop from the longest flow.
pub const DEFAULT_TX_QUEUE_LEN: u32 = 1_000;

/// The greatest length of a queue in packets: the most that others use, and 640 MiB of the kernel's memory if they are
/// super-packets.
pub const MAX_TX_QUEUE_LEN: u32 = 10_000;

/// How to open the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunConfig {
    /// Name of the interface.
    pub name: DeviceName,
    /// Largest inner packet; default [`InnerMtu::DEFAULT`].
    pub mtu: InnerMtu,
    /// Whether to ask the kernel for super-packets; default true.
    pub offload: bool,
    /// How many threads can read at the same time: 1 to [`MAX_QUEUES`], default 1.
    pub queues: u8,
    /// How many packets each queue holds: 1 to [`MAX_TX_QUEUE_LEN`], default [`DEFAULT_TX_QUEUE_LEN`]; `None` leaves it
    /// as it is. A persistent device gets its own length back when it is closed.
    pub tx_queue_len: Option<u32>,
}

impl TunConfig {
    /// The defaults under this name.
    pub fn new(name: DeviceName) -> Self {
        Self {
            name,
            mtu: InnerMtu::DEFAULT,
            offload: true,
            queues: 1,
            tx_queue_len: Some(DEFAULT_TX_QUEUE_LEN),
        }
    }

    /// Checks the numbers that have a range and no type of their own.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=MAX_QUEUES).contains(&self.queues) {
            return Err(ConfigError::Queues(self.queues));
        }
        match self.tx_queue_len {
            Some(len) if !(1..=MAX_TX_QUEUE_LEN).contains(&len) => Err(ConfigError::TxQueueLen(len)),
            Some(_) | None => Ok(()),
        }
    }
}

/// The name of a network interface: 1 to 15 bytes of printable ASCII without `/`, `:` and `%`, neither `.` nor `..`.
///
/// Stricter than the kernel's own rule, which takes any byte but `/`, `:` and white space, and to which `%d` is a
/// template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceName(String);

impl DeviceName {
    /// The most bytes of a name (source: `IFNAMSIZ` of netdevice(7), less the terminator).
    pub const MAX_LEN: usize = 15;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceName {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%');
        let valid = (1..=Self::MAX_LEN).contains(&name.len())
            && name.bytes().all(allowed)
            && name != "."
            && name != "..";
        if valid { Ok(Self(name.to_owned())) } else { Err(ConfigError::Name(name.to_owned())) }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The largest IP packet that the interface takes, in bytes: 576 to 65 535, default 1420.
///
/// IPv6 works from 1280 upwards (RFC 8200, section 5); below, the kernel switches it off on this interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InnerMtu(u16);

impl InnerMtu {
    /// The least that every IPv4 host takes (RFC 791, section 3.1).
    pub const MIN: u32 = 576;
    /// The largest IPv4 packet.
    pub const MAX: u32 = 65_535;
    /// Fits a path of 1500 bytes with room for all our headers.
    pub const DEFAULT: Self = Self(1_420);

    /// Checks the range.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Mtu`] outside of it.
    pub fn new(bytes: u32) -> Result<Self, ConfigError> {
        match u16::try_from(bytes) {
            Ok(checked) if bytes >= Self::MIN => Ok(Self(checked)),
            Ok(_) | Err(_) => Err(ConfigError::Mtu(bytes)),
        }
    }

    /// In bytes.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for InnerMtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B", self.0)
    }
}

/// What is wrong with a configured value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No name that an interface can have.
    #[error(
        "interface name {0:?}: expected 1 to {max} printable ASCII characters without '/', ':' and '%'",
        max = DeviceName::MAX_LEN
    )]
    Name(String),
    /// An MTU out of range.
    #[error("MTU {0}: expected {min} to {max} bytes", min = InnerMtu::MIN, max = InnerMtu::MAX)]
    Mtu(u32),
    /// A number of queues out of range.
    #[error("{0} queues: expected 1 to {MAX_QUEUES}")]
    Queues(u8),
    /// A length of the queues out of range; a queue of none would pass nothing.
    #[error("queues of {0} packets: expected 1 to {MAX_TX_QUEUE_LEN}")]
    TxQueueLen(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_an_interface_can_have() {
        for name in ["irdest0", "t", "a.b-c_d@1", "123456789012345"] {
            assert_eq!(name.parse::<DeviceName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_are_refused() {
        for name in
            ["", ".", "..", "a b", "a/b", "a:1", "tun%d", "1234567890123456", "ü", "a\n", "a\0", "\u{7f}"]
        {
            assert_eq!(name.parse::<DeviceName>(), Err(ConfigError::Name(name.to_owned())), "{name:?}");
        }
    }

    #[test]
    fn mtus_have_a_range() {
        for bytes in [576, 1_280, 65_535] {
            assert_eq!(u32::from(InnerMtu::new(bytes).unwrap().get()), bytes);
        }
        for bytes in [0, 575, 65_536, u32::MAX] {
            assert_eq!(InnerMtu::new(bytes), Err(ConfigError::Mtu(bytes)));
        }
    }

    #[test]
    fn queues_and_their_length_have_a_range() {
        let config = TunConfig::new("irdest0".parse().unwrap());
        assert_eq!(config.check(), Ok(()));
        for queues in [1, MAX_QUEUES] {
            assert_eq!(TunConfig { queues, ..config.clone() }.check(), Ok(()));
        }
        for queues in [0, MAX_QUEUES + 1, u8::MAX] {
            assert_eq!(TunConfig { queues, ..config.clone() }.check(), Err(ConfigError::Queues(queues)));
        }
        for len in [None, Some(1), Some(MAX_TX_QUEUE_LEN)] {
            assert_eq!(TunConfig { tx_queue_len: len, ..config.clone() }.check(), Ok(()));
        }
        for len in [0, MAX_TX_QUEUE_LEN + 1, u32::MAX] {
            let answer = TunConfig { tx_queue_len: Some(len), ..config.clone() }.check();
            assert_eq!(answer, Err(ConfigError::TxQueueLen(len)));
        }
    }

    #[test]
    fn errors_say_what_was_expected() {
        let error = InnerMtu::new(9).unwrap_err().to_string();
        assert_eq!(error, "MTU 9: expected 576 to 65535 bytes");
        let error = "a/b".parse::<DeviceName>().unwrap_err().to_string();
        assert!(error.contains("\"a/b\"") && error.contains("1 to 15"), "{error}");
    }
}
