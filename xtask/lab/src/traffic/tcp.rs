// SPDX-License-Identifier: AGPL-3.0-or-later
//! One TCP connection that stays open, to see whether it survives what happens below it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::node::Node;
use crate::time_limit::TimeLimit;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long a read waits before it looks at its limit again.
const READ_PAUSE: Duration = Duration::from_millis(100);

/// A connection between two nodes whose far end sends everything back.
#[derive(Debug)]
pub struct EchoConnection {
    stream: TcpStream,
    sent: u64,
}

impl EchoConnection {
    /// Opens it from one node to an address of another.
    pub fn open(from: &Node, to: &Node, address: SocketAddr) -> Result<Self> {
        Self::listen(to, address)?;
        Self::connect(from, address)
    }

    /// Makes the far end alone. It takes one connection; the thread ends with it.
    pub fn listen(node: &Node, address: SocketAddr) -> Result<JoinHandle<io::Result<()>>> {
        let (ready, listens) = mpsc::channel();
        let far_end = node.thread(move || {
            let listener = TcpListener::bind(address);
            let _ = ready.send(listener.as_ref().map(drop).map_err(io::Error::kind));
            send_back(listener?.accept()?.0)
        })?;
        listens.recv()?.map_err(io::Error::from).with_context(|| format!("listening on {address}"))?;
        Ok(far_end)
    }

    /// Makes the near end alone.
    pub fn connect(node: &Node, address: SocketAddr) -> Result<Self> {
        let connect = node.thread(move || TcpStream::connect_timeout(&address, CONNECT_LIMIT))?;
        let stream = connect.join().expect("connecting does not panic");
        let stream = stream.with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_PAUSE))?;
        Ok(Self { stream, sent: 0 })
    }

    /// Sends a number that was not sent before, and waits until it comes back.
    ///
    /// # Errors
    /// Where the connection has ended, something else comes back, or nothing within the limit.
    pub fn echo(&mut self, limit: TimeLimit) -> Result<()> {
        self.sent += 1;
        let sent = self.sent.to_be_bytes();
        self.stream.write_all(&sent).context("the connection has ended")?;
        let mut received = Vec::new();
        limit.wait_for("the echo on an open TCP connection", || {
            let mut buffer = [0; 8];
            match self.stream.read(&mut buffer[received.len()..]) {
                Ok(0) => anyhow::bail!("the far end has closed the connection"),
                Ok(count) => received.extend_from_slice(&buffer[received.len()..][..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => Err(error).context("the connection has ended")?,
            }
            Ok((received.len() == sent.len()).then_some(()))
        })?;
        ensure!(received == sent, "sent {sent:?}, received {received:?}");
        Ok(())
    }
}

fn send_back(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}
