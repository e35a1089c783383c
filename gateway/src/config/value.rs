// SPDX-License-Identifier: AGPL-3.0-or-later
//! The types that configuration values are parsed into: having one means that it is valid.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use gateway_core::remotes::{check_prefix, is_overlay};
use gateway_core::session::Accept;
use gateway_tun::DeviceName;
use ipnet::IpNet;
use netmod_inet::{LEAST_MTU, MOST_MTU, Percent};
use ratman_types::{Address, ByteCount, Mtu, RouterId};
use tracing_subscriber::EnvFilter;

use super::layer::Value;
use super::section::Form;

/// Where a peer listens, as in `inet:HOST:PORT`; names are resolved at each dial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerTarget {
    host: String,
    port: u16,
}

impl PeerTarget {
    /// A name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.strip_prefix("inet:")?.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            // A zone belongs to link-local addresses and is the resolver's to read.
            Some(v6) => v6.split('%').next()?.parse::<std::net::Ipv6Addr>().ok().map(|_| v6)?,
            None => Some(host).filter(|host| is_host_name(host))?,
        };
        Some(Self { host: host.to_owned(), port })
    }
}

/// Letters, digits, hyphens and underscores between dots, 253 characters at most (RFC 1123); IPv4 addresses fit.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

impl fmt::Display for PeerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "inet:[{host}]:{port}") } else { write!(f, "inet:{host}:{port}") }
    }
}

/// Directives that the log filter has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The directives.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Integer(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    }
}

pub(super) const FLAG: Form<bool> = Form {
    expected: "true or false",
    parse: |value| match value {
        Value::Flag(flag) => Some(*flag),
        Value::Text(_) | Value::Integer(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

pub(super) const TUN_MTU: Form<u16> = Form {
    expected: "an integer from 1280 to 65535",
    parse: |value| match value {
        Value::Integer(number) => u16::try_from(*number).ok().filter(|mtu| *mtu >= 1280),
        Value::Text(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

pub(super) const LINK_MTU: Form<Mtu> = Form {
    expected: "an integer from 576 to 33004",
    parse: |value| match value {
        Value::Integer(number) => {
            u32::try_from(*number).ok().map(Mtu).filter(|mtu| (LEAST_MTU..=MOST_MTU).contains(mtu))
        }
        Value::Text(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

/// From a few frames up to more than any path holds; the kernel has a limit of its own.
pub(super) const SOCKET_BUFFER: Form<ByteCount> = Form {
    expected: "an integer from 65536 to 1073741824",
    parse: |value| match value {
        Value::Integer(number) => {
            u64::try_from(*number).ok().filter(|bytes| (1 << 16..=1 << 30).contains(bytes)).map(ByteCount)
        }
        Value::Text(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

/// From what some streams have on the way, up to a disk.
pub(super) const STREAM_QUOTA: Form<ByteCount> = Form {
    expected: "an integer from 16777216 to 1099511627776",
    parse: |value| match value {
        Value::Integer(number) => {
            u64::try_from(*number).ok().filter(|bytes| (1 << 24..=1 << 40).contains(bytes)).map(ByteCount)
        }
        Value::Text(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

/// Nothing at 0.
pub(super) const TRAIN_SHARE: Form<Option<Percent>> = Form {
    expected: "an integer from 0 to 100",
    parse: |value| match value {
        Value::Integer(number) => {
            let percent = u8::try_from(*number).ok().filter(|percent| *percent <= 100)?;
            Some(Some(Percent(percent)).filter(|percent| percent.0 > 0))
        }
        Value::Text(_) | Value::Flag(_) | Value::List(_) | Value::Table(_) | Value::Other(_) => None,
    },
};

pub(super) const ABSOLUTE_PATH: Form<PathBuf> = Form {
    expected: "an absolute path",
    parse: |value| text(value).map(PathBuf::from).filter(|path| path.is_absolute()),
};

/// The kernel's limit: `sun_path` holds 108 bytes with the zero at its end (unix(7)).
pub(super) const SOCKET_PATH: Form<PathBuf> = Form {
    expected: "an absolute path of at most 107 bytes",
    parse: |value| {
        let path = text(value).filter(|text| text.len() <= 107).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    },
};

pub(super) const PEER_TARGET: Form<PeerTarget> = Form {
    expected: "\"inet:HOST:PORT\" with an IPv6 address in brackets",
    parse: |value| text(value).and_then(PeerTarget::parse),
};

pub(super) const ROUTER_KEY: Form<RouterId> = Form {
    expected: "a router id, 16 groups of 4 hexadecimal digits joined by '-'",
    parse: |value| {
        text(value)?.parse().ok().filter(|id: &RouterId| ratman_types::is_valid_key(id.as_bytes()))
    },
};

pub(super) const REMOTE: Form<Address> = Form {
    expected: "the address of a remote, 16 groups of 4 hexadecimal digits joined by '-'",
    parse: |value| text(value)?.parse().ok().filter(|id: &Address| ratman_types::is_valid_key(id.as_bytes())),
};

pub(super) const DEVICE_NAME: Form<DeviceName> = Form {
    expected: "a device name of 1 to 15 visible characters without '/', ':' and '%'",
    parse: |value| text(value)?.parse().ok(),
};

pub(super) const DEVICE_ADDRESS: Form<IpNet> = Form {
    expected: "a unicast IP address with prefix length, neither loopback nor within fd69:7264::/32, such as \"10.77.0.1/24\"",
    parse: |value| text(value)?.parse().ok().filter(|net: &IpNet| is_device_address(net.addr())),
};

/// What the kernel takes for a device, less the overlay: its addresses are derived from keys, and ours is set anyway.
fn is_device_address(address: IpAddr) -> bool {
    let in_overlay = match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => is_overlay(address),
    };
    !(address.is_multicast() || address.is_unspecified() || address.is_loopback() || in_overlay)
}

pub(super) const NETWORK: Form<IpNet> = Form {
    expected: "a unicast IP prefix without host bits and outside of fd69:7264::/32, such as \"10.78.0.0/24\"",
    parse: |value| text(value)?.parse().ok().filter(|net: &IpNet| check_prefix(*net).is_ok()),
};

pub(super) const LISTEN: Form<SocketAddr> = Form {
    expected: "\"ADDRESS:PORT\", such as \"[::]:5860\" or \"192.0.2.1:5860\"",
    parse: |value| text(value)?.parse().ok().filter(|address: &SocketAddr| address.port() != 0),
};

pub(super) const ACCEPT: Form<Accept> = Form {
    expected: "\"any\" or \"configured\"",
    parse: |value| match text(value)? {
        "any" => Some(Accept::Any),
        "configured" => Some(Accept::Configured),
        _ => None,
    },
};

pub(super) const LOG_FILTER: Form<LogFilter> = Form {
    expected: "a level (error, warn, info, debug, trace) or directives like \"info,irdest_proxy=debug\"",
    parse: |value| {
        // Blanks in front of a directive shift its names in EnvFilter, and some make it panic.
        let directives: Vec<_> = text(value)?.split(',').map(str::trim).collect();
        // EnvFilter takes any lone word for a target's name, so that a mistyped level would silence everything.
        let lone_words_are_levels = directives.iter().all(|directive| {
            directive.contains(['=', '[']) || directive.parse::<tracing::level_filters::LevelFilter>().is_ok()
        });
        let filter = directives.join(",");
        (lone_words_are_levels && EnvFilter::try_new(&filter).is_ok()).then_some(LogFilter(filter))
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn peers_are_names_and_addresses_with_a_port() {
        for good in
            ["inet:a.example:1", "inet:192.0.2.1:5860", "inet:[2001:db8::1]:65535", "inet:[fe80::1%eth0]:5"]
        {
            assert_eq!(PeerTarget::parse(good).map(|peer| peer.to_string()).as_deref(), Some(good));
        }
        for bad in [
            "",
            "inet:",
            "inet:a",
            "inet:a:0",
            "inet:a:65536",
            "inet::1",
            "inet:2001:db8::1:5860",
            "inet:[a]:1",
            "inet:a b:1",
            "lan:eth0",
            "a:1",
            "inet:a..b:1",
        ] {
            assert_eq!(PeerTarget::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_the_device_or_the_routes_would_refuse_is_refused() {
        let value = |text: &str| Value::Text(text.into());
        for (text, usable) in [
            ("10.77.0.1/24", true),
            ("fd00::1/64", true),
            ("192.0.2.1/32", true),
            ("224.0.0.1/24", false),
            ("ff02::1/64", false),
            ("0.0.0.0/0", false),
            ("::/64", false),
            ("127.0.0.1/8", false),
            ("::1/128", false),
            ("fd69:7264::1/128", false),
            ("fd69:7265::1/128", true),
        ] {
            assert_eq!((DEVICE_ADDRESS.parse)(&value(text)).is_some(), usable, "address {text}");
        }
        for (text, usable) in [
            ("224.0.0.0/4", false),
            ("239.1.2.3/32", false),
            ("ff00::/8", false),
            ("fd69:7264::/32", false),
            ("fd69:7264:1::/48", false),
            ("fd00::/8", true),
        ] {
            assert_eq!((NETWORK.parse)(&value(text)).is_some(), usable, "prefix {text}");
        }
    }

    #[test]
    fn host_bits_are_noticed() {
        for (text, network) in [
            ("10.78.0.0/24", true),
            ("10.78.0.1/24", false),
            ("0.0.0.0/0", true),
            ("1.0.0.0/0", false),
            ("10.0.0.1/32", true),
            ("fd00::/8", true),
            ("fd00::1/127", false),
            ("::/0", true),
            ("8000::/0", false),
            ("10.0.0.0", false),
            ("10.0.0.0/33", false),
            ("::/129", false),
            ("10.0.0.0/+8", false),
            ("a/8", false),
        ] {
            assert_eq!((NETWORK.parse)(&Value::Text(text.into())).is_some(), network, "{text}");
        }
    }

    #[test]
    fn blanks_around_directives_mean_nothing() {
        let filter = |text: &str| (LOG_FILTER.parse)(&Value::Text(text.into()));
        assert_eq!(filter(" info , irdest_proxy=debug "), filter("info,irdest_proxy=debug"));
        assert_eq!(filter(" ಎ="), filter("ಎ="), "no panic");
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text: String) {
            let value = Value::Text(text);
            let _ = ((PEER_TARGET.parse)(&value), (NETWORK.parse)(&value), (DEVICE_NAME.parse)(&value));
            let _ = ((LISTEN.parse)(&value), (LOG_FILTER.parse)(&value), (REMOTE.parse)(&value));
        }
    }
}
