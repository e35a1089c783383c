// SPDX-License-Identifier: AGPL-3.0-or-later
//! What crosses a link while it is measured.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use super::IperfServer;
use crate::neighbours::Neighbours;
use crate::node::Node;
use crate::process::Process;
use crate::time_limit::TimeLimit;

/// Port on which the gateways of [`Neighbours`] let datagrams in.
const PORT: u16 = 5201;

/// Pause between two messages of a talker.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a talker waits for what may be lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// Traffic from A to B of [`Neighbours`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Nothing but what the daemons say.
    None,
    /// Datagrams at a steady rate, in Mbit/s.
    Mbit(u32),
    /// A message every 50 ms, of which every second one is answered: kernels delay their acknowledgements then.
    Talker,
    /// One TCP stream, as fast as it goes.
    Full,
}

/// A load that goes on until it is dropped.
#[derive(Debug)]
pub struct RunningLoad {
    // Each ends when it is dropped: the client before its server.
    _client: Option<Process>,
    _server: Option<IperfServer>,
    _talker: Option<Talker>,
}

impl Load {
    /// Starts it.
    pub fn start(self, a: &Node, b: &Node, limit: TimeLimit) -> Result<RunningLoad> {
        match self {
            Self::None => Ok(RunningLoad { _client: None, _server: None, _talker: None }),
            Self::Mbit(rate) => iperf(a, b, &["--udp", "--bitrate", &format!("{rate}M")], limit),
            Self::Full => iperf(a, b, &[], limit),
            Self::Talker => {
                let talker = Some(Talker::start(a, b)?);
                Ok(RunningLoad { _client: None, _server: None, _talker: talker })
            }
        }
    }
}

fn iperf(a: &Node, b: &Node, options: &[&str], limit: TimeLimit) -> Result<RunningLoad> {
    let address: IpAddr = Neighbours::B_ADDRESS.parse()?;
    let server = IperfServer::start(b, address, limit)?;
    // Until it is killed: 0 means for ever.
    let client = ["--client", Neighbours::B_ADDRESS, "--time", "0"];
    let client = a.spawn("iperf3", &[&client, options].concat(), "iperf3-client")?;
    Ok(RunningLoad { _client: Some(client), _server: Some(server), _talker: None })
}

/// Two threads, one on each node.
#[derive(Debug)]
struct Talker {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Talker {
    fn start(a: &Node, b: &Node) -> Result<Self> {
        let over = Arc::<AtomicBool>::default();
        let listen: SocketAddr = (Neighbours::B_ADDRESS.parse::<IpAddr>()?, PORT).into();
        let bind = |node: &Node, address: SocketAddr| {
            let bound = node.thread(move || UdpSocket::bind(address))?;
            bound.join().expect("binding does not panic").with_context(|| format!("binding {address}"))
        };
        let answering = bind(b, listen)?;
        let asking = bind(a, (Neighbours::A_ADDRESS.parse::<IpAddr>()?, 0).into())?;
        answering.set_read_timeout(Some(PATIENCE))?;
        let (over_there, over_here) = (Arc::clone(&over), Arc::clone(&over));
        let threads = vec![
            thread::spawn(move || answer(&answering, &over_there)),
            thread::spawn(move || talk(&asking, listen, &over_here)),
        ];
        Ok(Self { over, threads })
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A load that has failed shows in what was measured beside it.
            let _ = thread.join();
        }
    }
}

fn talk(socket: &UdpSocket, to: SocketAddr, over: &AtomicBool) -> io::Result<()> {
    while !over.load(Ordering::Relaxed) {
        socket.send_to(&[7; 200], to)?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Answers every second message.
fn answer(socket: &UdpSocket, over: &AtomicBool) -> io::Result<()> {
    let mut message = [0; 200];
    let mut answers = false;
    while !over.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut message) {
            if answers {
                socket.send_to(&message[..length], from)?;
            }
            answers = !answers;
        }
    }
    Ok(())
}
