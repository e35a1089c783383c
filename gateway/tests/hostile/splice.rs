// SPDX-License-Identifier: AGPL-3.0-or-later
//! An attacker on the path: relays a connection between two routers, keeps what it saw and says it again. TCP's bytes
//! are not authenticated after the peering, so nothing at that layer stops it.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use irdest_lab::{Node, TimeLimit};
use ratman_wire::Mode;
use ratman_wire::carrier::{VERSION, peek_mode};

use crate::wire_link::{bind, read_frame, write_frame};

/// One direction of the spliced connection.
#[derive(Clone, Default)]
pub(crate) struct Way(Arc<Mutex<Passing>>);

#[derive(Default)]
struct Passing {
    seen: Vec<Vec<u8>>,
    to: Option<TcpStream>,
}

/// The attacker on the path.
pub(crate) struct Splice {
    /// From whom dialed.
    pub(crate) forth: Way,
    /// From whom was dialed.
    pub(crate) back: Way,
}

impl Splice {
    /// Listens on the node for one connection and relays it to the target.
    pub(crate) fn start(node: &Node, listen: &str, target: &str) -> Self {
        let listener = bind(node, listen);
        let target: SocketAddr = target.parse().expect("a socket address");
        let (forth, back) = (Way::default(), Way::default());
        let ways = (forth.clone(), back.clone());
        let relay = move || {
            let (near, _) = listener.accept().expect("a dialer");
            let far = TcpStream::connect(target).expect("a target");
            let both = near.try_clone().and_then(|near| Ok((near, far.try_clone()?))).expect("descriptors");
            thread::spawn(move || ways.1.pass(far, both.0));
            ways.0.pass(near, both.1);
        };
        node.thread(relay).expect("a thread");
        Self { forth, back }
    }
}

impl Way {
    fn pass(&self, mut from: TcpStream, to: TcpStream) {
        to.set_nodelay(true).expect("a socket");
        self.lock().to = Some(to);
        while let Ok(frame) = read_frame(&mut from) {
            let mut passing = self.lock();
            passing.send(&frame);
            passing.seen.push(frame);
        }
    }

    /// The newest frame of the mode that has passed.
    pub(crate) fn newest(&self, mode: Mode, limit: TimeLimit) -> Vec<u8> {
        let is_it = |frame: &&Vec<u8>| frame.first() == Some(&VERSION) && peek_mode(frame) == Some(mode);
        let newest = || Ok(self.lock().seen.iter().rev().find(is_it).cloned());
        limit.wait_for("a frame to pass", newest).expect("traffic on the link")
    }

    /// Says something in the name of whoever speaks here.
    pub(crate) fn inject(&self, frame: &[u8]) {
        self.lock().send(frame);
    }

    fn lock(&self) -> MutexGuard<'_, Passing> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

impl Passing {
    /// Fails only once the connection is gone, which the tunnel tells.
    fn send(&mut self, frame: &[u8]) {
        if let Some(to) = &mut self.to {
            let _ = write_frame(to, frame);
        }
    }
}
