// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who listens, as `/proc` has it: the tables of TCP sockets, and the files that processes have open (proc_pid_net(5),
//! proc_pid_fd(5)).

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::doctor::judge::port::{Holder, Listener, Ports};

/// The default of `net.ipv4.ip_unprivileged_port_start`.
const FIRST_FREE: u16 = 1024;
/// `TCP_LISTEN`.
const LISTEN: &str = "0A";

/// Sockets that listen on one of these ports, with the processes that have them open.
pub(super) fn look(wanted: &[u16]) -> Ports {
    let first_free = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first_free = first_free.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(FIRST_FREE);
    let read = |name: &str| fs::read_to_string(format!("/proc/self/net/{name}"));
    // A kernel without IPv6 has one table only.
    let tables = read("tcp").map(|v4| v4 + &read("tcp6").unwrap_or_default());
    let listeners = tables.map_err(|error| format!("/proc/self/net/tcp: {error}")).map(|tables| {
        let mut found: BTreeMap<u64, Listener> = tables
            .lines()
            .filter_map(parse)
            .filter(|(_, socket)| wanted.contains(&socket.address.port()))
            .collect();
        if !found.is_empty() {
            name_holders(&mut found);
        }
        found.into_values().collect()
    });
    Ports { listeners, first_free }
}

/// A line of `/proc/net/tcp` or `tcp6`, if its socket listens: the socket's inode, address and user.
fn parse(line: &str) -> Option<(u64, Listener)> {
    let mut fields = line.split_whitespace().skip(1);
    let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
    let (uid, inode) = (fields.nth(3)?.parse().ok()?, fields.nth(1)?.parse().ok()?);
    let address = parse_address(local).filter(|_| state == LISTEN)?;
    Some((inode, Listener { address, uid, holders: Vec::new() }))
}

/// The kernel writes an address as numbers of 32 bits, each in the order of this machine, and the port as a number.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// Adds the processes that may be looked into: all for root, and one's own.
fn name_holders(sockets: &mut BTreeMap<u64, Listener>) {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for inode in files.filter_map(|file| socket_inode(&fs::read_link(file.path()).ok()?)) {
            let Some(socket) = sockets.get_mut(&inode) else { continue };
            if socket.holders.iter().all(|holder| holder.pid != pid) {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                socket.holders.push(Holder { pid, name: name.trim().to_owned() });
            }
        }
    }
}

/// `socket:[INODE]`.
fn socket_inode(link: &std::path::Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let v4 = "   0: 0100007F:16E4 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 12345 1 0 100 0 0 10 0";
        let v6 = "   1: B80D0120000000000000000001000000:16E4 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0";
        let connected = v4.replace(" 0A ", " 01 ");
        let expected =
            |address: &str, uid| Listener { address: address.parse().unwrap(), uid, holders: Vec::new() };
        if cfg!(target_endian = "little") {
            assert_eq!(parse(v4), Some((12345, expected("127.0.0.1:5860", 33))));
            assert_eq!(parse(v6), Some((7, expected("[2001:db8::1]:5860", 0))));
        }
        for line in
            [connected.as_str(), "", "  sl  local_address rem_address   st", "0: zz:1 0:0 0A a b c 0 0 1"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_socket_of_this_process_is_found_with_its_holder() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = look(&[address.port()]).listeners.unwrap();
        let own = found.iter().find(|socket| socket.address == address).unwrap();
        assert!(own.holders.iter().any(|holder| holder.pid == std::process::id()), "{own:?}");
    }
}
