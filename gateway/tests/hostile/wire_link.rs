// SPDX-License-Identifier: AGPL-3.0-or-later
//! A link as bytes: TCP, the framing of inet, and a peering in which the attacker says what it likes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use irdest_lab::Node;
use ratman_types::{Digest, RouterId, SecretKey, Signer};
use ratman_wire::peering::{self, Greeting, Role};

/// How long a daemon may stay silent in a peering, or keep a connection that it ought to close.
const PATIENCE: Duration = Duration::from_secs(10);

const NONCE: [u8; 32] = [0x6d; 32];

/// A connection whose ends have proven their keys.
pub(crate) struct WireLink {
    pub(crate) stream: TcpStream,
    pub(crate) peer: RouterId,
    pub(crate) proofs: Digest,
}

impl WireLink {
    /// Dials a daemon from the node and proves the key.
    ///
    /// # Errors
    /// Where the daemon hangs up instead.
    pub(crate) fn dial(node: &Node, to: &str, key: &SecretKey) -> io::Result<Self> {
        Self::dial_as(node, to, key, key.router_id())
    }

    /// As [`WireLink::dial`], claiming to be a router whose key may be another one.
    pub(crate) fn dial_as(node: &Node, to: &str, key: &SecretKey, claimed: RouterId) -> io::Result<Self> {
        let mut stream = connect(node, to);
        let own = Greeting { role: Role::Dialer, router: claimed, nonce: NONCE };
        let hello = own.encode();
        write_frame(&mut stream, &hello)?;
        let ack = read_frame(&mut stream)?;
        let other = Greeting::decode(&ack, Role::Listener).map_err(io::Error::other)?;
        let greetings = peering::greetings_digest(&hello, &ack);
        let signature = key.sign(&peering::proof_message("inet", &own, &other, &greetings));
        let proof = peering::encode_proof(claimed, &signature);
        write_frame(&mut stream, &peering::encode_challenge(&own))?;
        write_frame(&mut stream, &proof)?;
        read_frame(&mut stream)?;
        let others = read_frame(&mut stream)?;
        let proofs = peering::proofs_digest(&proof, &others);
        Ok(Self { stream, peer: other.router, proofs })
    }
}

/// Connects from the node.
pub(crate) fn connect(node: &Node, to: &str) -> TcpStream {
    let to: SocketAddr = to.parse().expect("a socket address");
    let stream = node.thread(move || TcpStream::connect_timeout(&to, PATIENCE)).expect("a thread");
    let stream = stream.join().expect("connecting does not panic").expect("a daemon that listens");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// Answers every dialer's Hello on the node with an Ack of this key, and then waits for it to hang up.
pub(crate) fn listen_as(node: &Node, address: &str, key: SecretKey) {
    let listener = bind(node, address);
    let answer = move || {
        for mut stream in listener.incoming().flatten() {
            let own = Greeting { role: Role::Listener, router: key.router_id(), nonce: NONCE };
            let _ = read_frame(&mut stream).and_then(|_| write_frame(&mut stream, &own.encode()));
            let _ = stream.read(&mut [0]);
        }
    };
    node.thread(answer).expect("a thread");
}

/// A listener on the node.
pub(crate) fn bind(node: &Node, address: &str) -> TcpListener {
    let address: SocketAddr = address.parse().expect("a socket address");
    let (give, take) = mpsc::channel();
    let bound = node.thread(move || give.send(TcpListener::bind(address))).expect("a thread");
    bound.join().expect("binding does not panic").expect("somebody takes it");
    take.recv().expect("it was given").expect("a free port")
}

/// Writes a frame with its length.
pub(crate) fn write_frame(stream: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).expect("a frame");
    stream.write_all(&[&length.to_be_bytes(), frame].concat())
}

/// Reads exactly one frame.
pub(crate) fn read_frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

/// Waits until the other end has closed the connection.
pub(crate) fn wait_until_closed(mut stream: TcpStream) {
    match io::copy(&mut stream, &mut io::sink()) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
}
