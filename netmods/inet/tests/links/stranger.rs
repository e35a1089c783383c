// SPDX-License-Identifier: AGPL-3.0-or-later
//! A peer that the test plays byte by byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ratman_types::Signer;
use ratman_wire::peering::{self, Greeting, Role};

use crate::routers::key;

pub(crate) struct Stranger(pub(crate) TcpStream);

impl Stranger {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).expect("a listener"))
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        Self(stream)
    }

    /// Connects and proves the key of a seed, as a well-behaved router does.
    pub(crate) fn peer(address: SocketAddr, seed: u8) -> Self {
        let mut peer = Self::connect(address);
        let own = Greeting { role: Role::Dialer, router: key(seed).router_id(), nonce: [seed; 32] };
        peer.say(&own.encode());
        let ack = peer.hear().expect("an Ack");
        let other = Greeting::decode(&ack, Role::Listener).expect("an Ack");
        peer.hear().expect("a Challenge");
        let greetings = peering::greetings_digest(&own.encode(), &ack);
        let signature = key(seed).sign(&peering::proof_message("inet", &own, &other, &greetings));
        peer.say(&peering::encode_challenge(&own));
        peer.say(&peering::encode_proof(own.router, &signature));
        peer.hear().expect("a Proof");
        peer
    }

    pub(crate) fn say(&mut self, frame: &[u8]) {
        let length = u32::try_from(frame.len()).expect("a short frame");
        self.0.write_all(&[&length.to_be_bytes(), frame].concat()).expect("an open connection");
    }

    pub(crate) fn hear(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).expect("a length")];
        self.0.read_exact(&mut frame)?;
        Ok(frame)
    }

    /// Waits until the other end has closed the connection.
    pub(crate) fn wait_until_closed(&mut self) {
        match self.0.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => panic!("it speaks to us"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
}
