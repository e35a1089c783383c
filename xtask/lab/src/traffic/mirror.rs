// SPDX-License-Identifier: AGPL-3.0-or-later
//! A server that tells whoever asks by which address it sees them, over TCP and UDP.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

use crate::node::Node;

/// How long one question may take: longer than a gateway lets packets wait for a way before it refuses them. What is
/// dropped silently stays so.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers on all addresses of a node, both families. It ends with the process that made it.
#[derive(Clone, Copy, Debug)]
pub struct Mirror;

impl Mirror {
    /// Starts it on these ports of TCP and UDP and returns once it listens.
    pub fn start(node: &Node, ports: &[u16]) -> Result<()> {
        for port in ports {
            let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port));
            let (ready, listens) = mpsc::channel();
            let ready_too = ready.clone();
            node.thread(move || {
                let listener = TcpListener::bind(address);
                let _ = ready.send(listener.as_ref().map(drop).map_err(io::Error::kind));
                for stream in listener.iter().flat_map(TcpListener::incoming).flatten() {
                    // Who has hung up before the answer does not want it.
                    let _ = answer(stream);
                }
            })?;
            node.thread(move || {
                let socket = UdpSocket::bind(address);
                let _ = ready_too.send(socket.as_ref().map(drop).map_err(io::Error::kind));
                while let Ok((_, from)) = socket.as_ref().map_or(Err(ErrorKind::Other.into()), receive) {
                    let _ = socket.as_ref().map(|socket| socket.send_to(shown(from).as_bytes(), from));
                }
            })?;
            for _ in 0..2 {
                listens.recv()?.map_err(io::Error::from).with_context(|| format!("listening on {port}"))?;
            }
        }
        Ok(())
    }

    /// Asks over TCP from the node, and returns by which address it was seen.
    ///
    /// # Errors
    /// That of the socket, such as unreachable, refused or timed out.
    pub fn ask(from: &Node, target: SocketAddr) -> io::Result<IpAddr> {
        let question = move || {
            let mut stream = connect(target)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            text.parse().map_err(io::Error::other)
        };
        let thread = from.thread(question).map_err(io::Error::other)?;
        thread.join().expect("asking does not panic")
    }

    /// As [`Mirror::ask`] with one datagram.
    ///
    /// # Errors
    /// That of the socket; where the datagram or its answer was dropped, that the time is over.
    pub fn ask_by_datagram(from: &Node, target: SocketAddr) -> io::Result<IpAddr> {
        let question = move || {
            let any: IpAddr =
                if target.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { [0, 0, 0, 0].into() };
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect(target)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.send(b"?")?;
            let mut text = [0; 64];
            let length = socket.recv(&mut text)?;
            String::from_utf8_lossy(&text[..length]).parse().map_err(io::Error::other)
        };
        let thread = from.thread(question).map_err(io::Error::other)?;
        thread.join().expect("asking does not panic")
    }
}

/// [`TcpStream::connect_timeout`] waits with `poll`, which may tell of an ICMP error before `SO_ERROR` has it (Linux 6.18, once
/// in some thousand connections, whoever sends the error).
fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&target.into())?;
    Ok(socket.into())
}

fn receive(socket: &UdpSocket) -> io::Result<(usize, SocketAddr)> {
    socket.recv_from(&mut [0; 64])
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let from = stream.peer_addr()?;
    stream.write_all(shown(from).as_bytes())
}

/// IPv4 clients of an IPv6 socket have mapped addresses.
fn shown(from: SocketAddr) -> String {
    from.ip().to_canonical().to_string()
}
