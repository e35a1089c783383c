// SPDX-License-Identifier: AGPL-3.0-or-later
//! A router and gateway in the attacker's hands: it peers, answers echoes, announces itself and opens sessions as any
//! other, since it is made of the same parts, and beside that says whatever a test wants.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use gateway_core::remotes::overlay_address;
use gateway_core::session::{Accept, OpenedPacket, Sealed, SessionConfig, SessionTransmit, Sessions};
use irdest_gateway::clock::Clock;
use irdest_lab::{Gateway, Node, TimeLimit};
use ratman_types::{
    Address, Digest, Ed25519Verifier, Hop, LinkId, Mtu, Recipient, RouterId, SecretKey, Signature, Signer,
    WallTime,
};
use ratman_wire::carrier::SESSION_HEADER;
use ratman_wire::session::RecordHeader;
use ratman_wire::{Frame, Header, MAX_FRAME, Mode, ModeClass};
use router_core::{Event, LinkEvent, Router, RouterConfig};

use crate::wire_link::{WireLink, write_frame};

/// How long it reads before it looks at its timers.
const TICK: Duration = Duration::from_millis(5);

const HOPS: u8 = 60;

/// A rogue router with one link. Dropped, it hangs up.
pub(crate) struct Rogue {
    inner: Arc<Mutex<Inner>>,
    limit: TimeLimit,
}

/// Everything that its thread and the test share.
pub(crate) struct Inner {
    stream: TcpStream,
    hop: Hop,
    /// What stands for the link in the signatures of one-hop frames.
    proofs: Digest,
    router_key: Arc<SecretKey>,
    address_key: Arc<SecretKey>,
    router: Router,
    sessions: Sessions,
    sealed: Sealed,
    /// Frames that came in, in their order.
    frames: Vec<Vec<u8>>,
    /// IP packets that came out of sessions.
    packets: Vec<Vec<u8>>,
    closed: bool,
}

/// The key of its router.
pub(crate) fn router_key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// The key of its gateway.
pub(crate) fn address_key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed ^ 0xff; 32])
}

impl Rogue {
    /// Dials a daemon from the node and waits until it knows the way to us.
    pub(crate) fn join(node: &Node, to: &str, daemon: &Gateway, seed: u8) -> Self {
        let link = WireLink::dial(node, to, &router_key(seed)).expect("a daemon that takes us");
        link.stream.set_read_timeout(Some(TICK)).expect("a socket");
        let reading = link.stream.try_clone().expect("a descriptor");
        let inner = Arc::new(Mutex::new(Inner::new(link, seed)));
        let rogue = Self { inner: Arc::clone(&inner), limit: node.limit() };
        thread::spawn(move || run(&inner, reading));
        let own = rogue.address().to_string();
        let known = || Ok(daemon.status()?.next_hop(&own).map(drop));
        node.limit().wait_for("the rogue's address to be known", known).expect("a route to the rogue");
        rogue
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics under this lock")
    }

    pub(crate) fn address(&self) -> Address {
        self.lock().address_key.address()
    }

    pub(crate) fn router_id(&self) -> RouterId {
        self.lock().router_key.router_id()
    }

    pub(crate) fn overlay(&self) -> Ipv6Addr {
        overlay_address(&self.address())
    }

    /// Says something over its link.
    pub(crate) fn send(&self, frame: &[u8]) {
        self.lock().send(frame);
    }

    /// Says bytes that need not be a frame.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) {
        self.lock().stream.write_all(bytes).expect("an open connection");
    }

    /// The first received frame that is wanted, as soon as there is one.
    pub(crate) fn frame(&self, what: &str, wanted: impl Fn(&Frame<'_>) -> bool) -> Vec<u8> {
        let is_it = |bytes: &&Vec<u8>| Frame::decode(bytes).is_ok_and(|frame| wanted(&frame));
        self.limit.wait_for(what, || Ok(self.lock().frames.iter().find(is_it).cloned())).expect(what)
    }

    /// The last received frame that is wanted.
    pub(crate) fn last_frame(&self, what: &str, wanted: impl Fn(&Frame<'_>) -> bool) -> Vec<u8> {
        let is_it = |bytes: &&Vec<u8>| Frame::decode(bytes).is_ok_and(|frame| wanted(&frame));
        self.lock().frames.iter().rev().find(is_it).expect(what).clone()
    }

    /// Whether a packet that is wanted has come out of a session.
    pub(crate) fn has_packet(&self, wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.lock().packets.iter().any(|packet| wanted(packet))
    }

    /// Looks only at packets that come out of sessions from now on.
    pub(crate) fn forget_packets(&self) {
        self.lock().packets.clear();
    }

    /// The first packet out of a session that is wanted.
    pub(crate) fn packet(&self, what: &str, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let find = || Ok(self.lock().packets.iter().find(|packet| wanted(packet)).cloned());
        self.limit.wait_for(what, find).expect(what)
    }

    /// Asks a gateway for a session.
    pub(crate) fn ask_for_session(&self, remote: Address) {
        let mut inner = self.lock();
        inner.sessions.connect(remote, Clock.now()).expect("a session that is not there yet");
        inner.settle();
    }

    /// Opens a session.
    pub(crate) fn open_session(&self, remote: Address) {
        self.ask_for_session(remote);
        let opened = || self.has_session(remote);
        self.limit.wait_until("a session of the rogue", opened).expect("a session");
    }

    pub(crate) fn has_session(&self, remote: Address) -> bool {
        self.lock().sessions.table().send_key(&remote).is_some()
    }

    /// Sends a packet through its session, with the metadata that the receiver is to believe.
    pub(crate) fn send_packet(&self, remote: Address, metadata: [u8; 10], packet: &[u8]) {
        self.lock().send_packet(remote, metadata, packet);
    }

    /// Whether its neighbour has hung up.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        // It fails only if the neighbour has hung up before.
        let _ = self.lock().stream.shutdown(Shutdown::Both);
    }
}

impl Inner {
    fn new(link: WireLink, seed: u8) -> Self {
        let (router_key, address_key) = (Arc::new(router_key(seed)), Arc::new(address_key(seed)));
        let now = Clock.now();
        let config = RouterConfig::new([seed; 32], WallTime::from_micros(1));
        let mut router = Router::new(config, router_key.clone(), Arc::new(Ed25519Verifier), [seed; 32], now);
        router.add_local(address_key.clone(), WallTime::default(), now);
        let hop = Hop { link: LinkId(1), neighbour: link.peer };
        let mtu = Mtu(u32::try_from(MAX_FRAME).expect("33 004"));
        router.handle_link(LinkEvent::Up { hop, mtu, proofs: link.proofs, dialed: true }, now);
        let sessions = SessionConfig {
            accept: Accept::Any,
            configured: Vec::new(),
            aes_in_hardware: false,
            hops_left: HOPS,
        };
        let mut inner = Self {
            sessions: Sessions::new(sessions, &address_key, [seed; 32], now),
            stream: link.stream,
            hop,
            proofs: link.proofs,
            router_key,
            address_key,
            router,
            sealed: Sealed::new(),
            frames: Vec::new(),
            packets: Vec::new(),
            closed: false,
        };
        inner.settle();
        inner
    }

    fn receive(&mut self, mut bytes: Vec<u8>) {
        let now = Clock.now();
        self.frames.push(bytes.clone());
        let Ok(Frame { header, payload }) = Frame::decode(&bytes) else { return };
        if header.mode.class() != ModeClass::Session {
            self.router.handle_frame(self.hop, &bytes, now.at, now);
        } else if header.mode == Mode::SESSION_DATA {
            let packets = &mut self.packets;
            let mut deliver = |packet: OpenedPacket<'_, '_>| packets.push(packet.bytes.to_vec());
            let table = self.sessions.table();
            if table.open(&mut bytes[SESSION_HEADER..], now.at, &mut deliver).is_ok_and(|opened| opened.first)
            {
                self.sessions.confirmed(header.sender_address(), now);
            }
        } else {
            // What it refuses it has counted, and the test looks at what comes of it.
            let _ = self.sessions.handle_frame(self.hop, &header, payload, now);
        }
        self.settle();
    }

    fn tick(&mut self) {
        let now = Clock.now();
        self.router.handle_timeout(now);
        self.sessions.handle_timeout(now);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(event) = self.router.poll_event() {
            if let Event::OriginTime { address, time } = event {
                self.router.handle_origin_time_stored(&address, time, Clock.now());
            }
        }
        while self.sessions.poll_event().is_some() {}
        while let Some(transmit) = self.router.poll_transmit() {
            self.send(&transmit.frame);
        }
        while let Some(SessionTransmit { to, mode, payload }) = self.sessions.poll_transmit() {
            let header = Header { hops_left: HOPS, ..Header::new(mode, self.address_key.public()) };
            self.send(&Frame { header: header.to(Recipient::Address(to)), payload: &payload }.encode());
        }
    }

    /// A one-hop frame that its router signs for its link, with the first nonce whose signature is as wanted. To be
    /// sent under the same lock, lest an echo of the router's own overtakes it.
    pub(crate) fn hop_frame(
        &self,
        mode: Mode,
        payload: impl Fn(u64) -> Vec<u8>,
        wanted: impl Fn(&Signature) -> bool,
    ) -> Vec<u8> {
        let header = Header::new(mode, self.router_key.public());
        let signed = |nonce| {
            let payload = payload(nonce);
            let unsigned = Frame { header, payload: &payload };
            let signature = self.router_key.sign(&unsigned.hop_signed_bytes(&self.proofs));
            let header = Header { signature: Some(signature), ..header };
            wanted(&signature).then(|| Frame { header, payload: &payload }.encode())
        };
        (0..).find_map(signed).expect("one signature in 256 begins with a zero")
    }

    /// Says something over its link; a neighbour that has hung up shows in what the test waits for.
    pub(crate) fn send(&mut self, frame: &[u8]) {
        let _ = write_frame(&mut self.stream, frame);
    }

    fn send_packet(&mut self, remote: Address, metadata: [u8; 10], packet: &[u8]) {
        let header = RecordHeader { length: u16::try_from(packet.len()).expect("a packet"), metadata };
        let mut record = [&header.encode()[..], packet].concat();
        let table = self.sessions.table();
        let key = table.send_key(&remote).expect("a session");
        key.seal(&mut record, Mtu(1500), Clock.now().at, &mut self.sealed).expect("a young key");
        for piece in self.sealed.pieces(&record) {
            let frame = [piece.head, piece.body, piece.tail].concat();
            let _ = write_frame(&mut self.stream, &frame);
        }
    }
}

/// What its thread does until the neighbour or the test hangs up.
fn run(inner: &Mutex<Inner>, mut stream: TcpStream) {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = stream.read(&mut piece);
        let mut inner = inner.lock().expect("nothing panics under this lock");
        match read {
            Ok(0) => break inner.closed = true,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break inner.closed = true,
        }
        while let Some(frame) = take_frame(&mut bytes) {
            inner.receive(frame);
        }
        inner.tick();
    }
}

/// Takes the first complete frame out of what was read.
fn take_frame(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::try_from(u32::from_be_bytes(*bytes.first_chunk()?)).ok()?;
    let frame = bytes.get(4..4 + length)?.to_vec();
    bytes.drain(..4 + length);
    Some(frame)
}
