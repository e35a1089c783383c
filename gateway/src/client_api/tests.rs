// SPDX-License-Identifier: AGPL-3.0-or-later

mod anycast;
mod filters;
mod hostile;
mod operator;
mod queries;
mod replay;
mod streams;
mod subscriptions;
mod unix;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Mutex;

use ratman_types::{Address, ByteCount, Recipient, RouterId, SecretKey, Signer};
use ratman_wire::api::{
    self, ApiVersion, AuthToken, ClientError, DestroyedAddress, FromRouter, Letterhead, Letterheads,
    Microframe, MicroframeDecoder, NewAddress, Nothing, PayloadLimit, RecvMany, RecvOne, Reply, Request,
    StreamHeader, StreamWay, UserError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::addresses::Addresses;
use crate::contacts::Contacts;
use crate::control::{Answer, Query, requests};
use crate::desk::ClientRecords;
use crate::driver::Order;
use crate::links::tests::measured;
use crate::links::{Links, MeasuredLink};
use crate::message_plane::tests::{Bed, content, own};
use crate::status::Status;
use crate::status::tests::sample;
use crate::store::Store;

/// An API with a message plane and a desk behind it, whose orders are carried out.
struct Api {
    bed: Bed,
    desk: Desk,
    address: SocketAddr,
    /// Where the unix socket is; whoever runs the tests is its operator.
    socket: PathBuf,
    /// What the control loop says.
    status: Arc<Mutex<Status>>,
    tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

impl Api {
    fn new() -> Self {
        Self::with_places(Limits::default())
    }

    fn with_places(limits: Limits) -> Self {
        Self::over(limits, |_| ())
    }

    /// With what is in the database already.
    fn over(limits: Limits, fill: impl FnOnce(&Store)) -> Self {
        let bed = Bed::new();
        let store = Arc::clone(bed.plane.store());
        fill(&store);
        let contacts = Contacts::open(Arc::clone(&store), BTreeMap::new()).unwrap();
        let of_clients = ClientRecords::open(&store).unwrap();
        let (desk, mut orders) = Desk::new(Addresses::new(store, own()), contacts, of_clients);
        let inlet = bed.plane.door().inlet().clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(order) = orders.recv().await {
                let done = match order {
                    Order::Up(key, done) => {
                        inlet.local_up(key, 60);
                        done
                    }
                    Order::Down(address, done) => {
                        inlet.local_down(address);
                        done
                    }
                    Order::Forget(address, done) => {
                        inlet.forget(address);
                        done
                    }
                    Order::Contacts(regard, done) => {
                        inlet.contacts(regard.named);
                        done
                    }
                    Order::Filters(address, rules, done) => {
                        inlet.rules(address, rules);
                        done
                    }
                };
                let _ = done.send(());
            }
        });
        let (asked, mut asks) = requests();
        let status = Arc::new(Mutex::new(sample()));
        let said = Arc::clone(&status);
        tasks.spawn(async move {
            while let Some(request) = asks.recv().await {
                let _ = request.reply.send(match request.query {
                    Query::Status => Answer::Status(Box::new(said.lock().unwrap().clone())),
                    Query::Links => Answer::Links(links()),
                });
            }
        });
        let mut api = ClientApi { places: Places::new(limits), ..ClientApi::default() };
        api.listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = api.address().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("clients.sock");
        api.open_socket(&socket, Allowed::of_group(nix::unistd::getegid().as_raw())).unwrap();
        let doors = Doors::new(bed.plane.clients().clone(), desk.clone(), asked);
        tasks.spawn(api.serve(doors));
        Self { bed, desk, address, socket, status, tasks, _dir: dir }
    }

    async fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// A client on the unix socket, who is an operator, and has shaken hands.
    async fn operator(&self) -> Client<UnixStream> {
        let mut client = Client::new(UnixStream::connect(&self.socket).await.unwrap());
        assert_eq!(client.ask(&Request::Connect(ApiVersion::OURS), None).await, Reply::Ok);
        client
    }

    /// A client that has shaken hands.
    async fn client(&self) -> Client {
        let mut client = self.connect().await;
        assert_eq!(client.ask(&Request::Connect(ApiVersion::OURS), None).await, Reply::Ok);
        client
    }

    /// A client that has shaken hands, once there is a place: one is free when the server has seen its client leave.
    async fn client_in_its_turn(&self) -> Client {
        let place = async {
            loop {
                let mut client = self.connect().await;
                if client.ask(&Request::Connect(ApiVersion::OURS), None).await == Reply::Ok {
                    return client;
                }
            }
        };
        timeout(Duration::from_secs(30), place).await.unwrap()
    }

    async fn end(mut self) {
        self.tasks.shutdown().await;
        self.bed.plane.end();
    }
}

/// What is measured of the first link of [`sample`]; nothing of the other.
fn links() -> Links {
    let measured = MeasuredLink { neighbour: RouterId::from_bytes([0xCD; 32]), ..measured() };
    Links { probes: Default::default(), links: vec![measured] }
}

struct Client<S = TcpStream> {
    stream: S,
    decoder: MicroframeDecoder,
    come: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S) -> Self {
        Self { stream, decoder: MicroframeDecoder::new(PayloadLimit::REPLY), come: Vec::new() }
    }

    async fn say(&mut self, request: &Request, token: Option<&AuthToken>) {
        self.stream.write_all(&request.to_frame(token).encode()).await.unwrap();
    }

    /// The next microframe; nothing at the end of the connection.
    async fn hear(&mut self) -> Option<Microframe> {
        loop {
            let mut rest = &self.come[..];
            let frame = self.decoder.decode(&mut rest).unwrap();
            self.come = rest.to_vec();
            if frame.is_some() {
                return frame;
            }
            let mut piece = [0; 4096];
            let read = self.stream.read(&mut piece).await.unwrap();
            if read == 0 {
                return None;
            }
            self.come.extend_from_slice(&piece[..read]);
        }
    }

    async fn reply(&mut self, to: &Request) -> Reply {
        Reply::decode(&self.hear().await.unwrap(), to.mode()).unwrap()
    }

    async fn ask(&mut self, request: &Request, token: Option<&AuthToken>) -> Reply {
        self.say(request, token).await;
        self.reply(request).await
    }

    /// An address that is up, and its token.
    async fn address(&mut self) -> (Address, AuthToken) {
        let created = self.ask(&Request::AddressCreate(NewAddress { name: None }), None).await;
        let Reply::AddressCreated { address, token } = created else { panic!("{created:?}") };
        assert_eq!(self.ask(&Request::AddressUp(address), Some(&token)).await, Reply::Ok);
        (address, token)
    }

    async fn send(&mut self, request: &Request, token: &AuthToken, content: &[u8]) -> Reply {
        let opened = self.ask(request, Some(token)).await;
        let Reply::SendSocket(bind) = opened else { return opened };
        let mut socket = TcpStream::connect(bind).await.unwrap();
        socket.write_all(content).await.unwrap();
        drop(socket);
        self.reply(request).await
    }

    /// A stream with its content, as deployed clients read it.
    async fn stream(&mut self, to: &Request) -> (StreamHeader, Vec<u8>) {
        let frame = self.hear().await.unwrap();
        let FromRouter::Stream(header) = FromRouter::decode(&frame, to.mode()).unwrap() else {
            panic!("{frame:?}")
        };
        let size = usize::try_from(header.letterhead.stream_size.0).unwrap();
        while self.come.len() < size {
            assert!(self.stream.read_buf(&mut self.come).await.unwrap() > 0, "the connection ended");
        }
        (header, self.come.drain(..size).collect())
    }
}

fn letterhead(from: Address, to: Address) -> Letterhead {
    let (to, stream_size) = (Recipient::Address(to), ByteCount(0));
    Letterhead { from, to, stream_size, auxiliary_data: Default::default() }
}

fn receive(address: Address, limit: Option<u32>) -> Request {
    Request::RecvMany(RecvMany { address, recipient: None, limit })
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_any_size_go_from_client_to_client() {
    let api = Api::new();
    let (mut alice, mut bob) = (api.client().await, api.client().await);
    let (from, token) = alice.address().await;
    let (to, bobs) = bob.address().await;
    for length in [0, 1, 300, 1_000_001] {
        let content = content(length);
        let sent = alice.send(&Request::SendOne(letterhead(from, to)), &token, &content).await;
        assert_eq!(sent, Reply::Ok);
        let request = Request::RecvOne(RecvOne { address: to, recipient: None });
        assert_eq!(bob.ask(&request, Some(&bobs)).await, Reply::Ok);
        let (header, come) = bob.stream(&request).await;
        assert_eq!(
            (header.way, header.letterhead.from, header.letterhead.to),
            (StreamWay::RecvOne, from, Recipient::Address(to))
        );
        assert!(come == content, "{length} bytes");
        assert_eq!(bob.reply(&request).await, Reply::Ok);
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recipient_gets_the_content_and_a_limit_is_exact() {
    let api = Api::new();
    let mut client = api.client().await;
    let (from, token) = client.address().await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(client.address().await);
    }
    let content = content(70_000);
    let letterheads: Letterheads = others.iter().map(|(to, _)| letterhead(from, *to)).collect();
    for _ in 0..3 {
        let sent = client.send(&Request::SendMany(letterheads.clone()), &token, &content).await;
        assert_eq!(sent, Reply::Ok);
    }
    for (address, token) in &others {
        for limit in [0, 1, 2] {
            let request = receive(*address, Some(limit));
            assert_eq!(client.ask(&request, Some(token)).await, Reply::Ok);
            for _ in 0..limit {
                assert!(client.stream(&request).await.1 == content);
            }
        }
    }
    // Each came three times, and the next request is heard.
    assert_eq!(client.ask(&Request::Connect(ApiVersion::OURS), None).await, Reply::Ok);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_comes_while_a_client_waits_is_given_at_once_and_one_that_leaves_gives_its_place_up() {
    let api = Api::new();
    let (mut gone, mut waiting, mut sender) = (api.client().await, api.client().await, api.client().await);
    let (to, token) = waiting.address().await;
    let request = receive(to, None);
    assert_eq!(gone.ask(&request, Some(&token)).await, Reply::Ok);
    drop(gone);
    assert_eq!(waiting.ask(&request, Some(&token)).await, Reply::Ok);
    let (from, senders) = sender.address().await;
    for number in 0..3_u8 {
        assert_eq!(
            sender.send(&Request::SendOne(letterhead(from, to)), &senders, &[number]).await,
            Reply::Ok
        );
        assert_eq!(waiting.stream(&request).await.1, [number], "in their order");
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_without_the_token_of_an_address_that_is_up() {
    let api = Api::new();
    let mut client = api.client().await;
    let (address, token) = client.address().await;
    let (other, others) = client.address().await;
    let wrong = AuthToken::from_bytes([9; 32]);
    let invalid = Reply::Error(ClientError::InvalidAuth);
    let send = Request::SendOne(letterhead(address, other));
    for auth in [None, Some(&wrong), Some(&others)] {
        for request in [
            send.clone(),
            receive(address, Some(1)),
            Request::AddressDown(address),
            Request::AddressUp(address),
        ] {
            assert_eq!(client.ask(&request, auth).await, invalid, "{request:?}");
        }
    }
    let both: Letterheads = [letterhead(address, other), letterhead(other, address)].into_iter().collect();
    assert_eq!(
        client.ask(&Request::SendMany(both), Some(&token)).await,
        invalid,
        "both are the client's, one token is"
    );
    assert_eq!(client.ask(&Request::AddressDown(address), Some(&token)).await, Reply::Ok);
    assert_eq!(client.ask(&send, Some(&token)).await, invalid, "it is down");
    let nobody = SecretKey::from_seed([77; 32]).address();
    let told = client.ask(&Request::AddressUp(nobody), Some(&token)).await;
    assert!(matches!(told, Reply::Error(ClientError::Internal(_))), "{told:?}");
    assert_eq!(client.ask(&receive(nobody, None), Some(&token)).await, invalid);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_listed_and_destroyed() {
    let api = Api::new();
    let mut client = api.client().await;
    let (address, token) = client.address().await;
    let listed = client.ask(&Request::AddressList(Nothing), None).await;
    let Reply::Addresses(addresses) = &listed else { panic!("{listed:?}") };
    assert_eq!(addresses[..], [address]);
    let figures = client.ask(&Request::Status(Nothing), None).await;
    let Reply::Status(figures) = &figures else { panic!("{figures:?}") };
    assert_eq!((figures.local_addresses, figures.active_auths, figures.known_peers), (1, 1, 2));
    let peers = client.ask(&Request::PeerList(Nothing), None).await;
    let Reply::PeerList(peers) = &peers else { panic!("{peers:?}") };
    assert_eq!(peers.iter().map(|peer| peer.active).collect::<Vec<_>>(), [true, false]);
    assert!(peers.iter().all(|peer| peer.first < peer.last));

    let destroy = |force| Request::AddressDestroy(DestroyedAddress { address, force });
    let refused = client.ask(&destroy(false), Some(&token)).await;
    assert!(matches!(refused, Reply::Error(ClientError::User(UserError::InvalidInput(..)))), "{refused:?}");
    assert_eq!(client.ask(&destroy(true), Some(&token)).await, Reply::Ok);
    assert_eq!(client.ask(&destroy(true), Some(&token)).await, Reply::Error(ClientError::NoAddress));
    let listed = client.ask(&Request::AddressList(Nothing), None).await;
    assert!(matches!(&listed, Reply::Addresses(addresses) if addresses.is_empty()), "{listed:?}");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_something_else_is_told_before_the_connection_ends() {
    let api = Api::new();
    let mut newer = api.connect().await;
    let version = ApiVersion { major: 0, minor: 9 };
    let told = newer.ask(&Request::Connect(version), None).await;
    assert!(matches!(told, Reply::IncompatibleVersion(_)), "{told:?}");
    assert_eq!(newer.hear().await, None);

    let mut hasty = api.connect().await;
    let told = hasty.ask(&Request::Status(Nothing), None).await;
    assert!(matches!(told, Reply::Error(ClientError::User(_))), "{told:?}");
    assert_eq!(hasty.hear().await, None);

    let mut stranger = api.client().await;
    stranger.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let told = stranger.reply(&Request::Status(Nothing)).await;
    assert!(matches!(told, Reply::Error(ClientError::User(_))), "{told:?}");

    let mut odd = api.client().await;
    let unknown = Microframe { mode: api::ApiMode(0x7777), auth: None, payload: Default::default() };
    for (frame, again) in
        [(unknown, true), (Request::AddressCreate(NewAddress { name: None }).to_frame(None), false)]
    {
        // What nobody knows, and then a payload with a byte too many: the connection goes on.
        let mut frame = frame;
        if !again {
            frame.payload.push(0);
        }
        odd.stream.write_all(&frame.encode()).await.unwrap();
        let told = odd.reply(&Request::Status(Nothing)).await;
        assert!(matches!(told, Reply::Error(_)), "{told:?}");
    }
    assert_eq!(odd.ask(&Request::Connect(ApiVersion::OURS), None).await, Reply::Ok);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_a_client_that_leaves_before_its_end_is_sent_to_nobody() {
    let api = Api::new();
    let mut client = api.client().await;
    let (address, token) = client.address().await;
    let request = Request::SendOne(letterhead(address, address));
    let opened = client.ask(&request, Some(&token)).await;
    let Reply::SendSocket(bind) = opened else { panic!("{opened:?}") };
    let mut socket = TcpStream::connect(bind).await.unwrap();
    socket.write_all(&content(100_000)).await.unwrap();
    api.bed.reported(|report| report.streams.sending == 1).await;
    drop(client);
    api.bed.reported(|report| report.streams.sending == 0 && report.streams.waiting == 0).await;
    drop(socket);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_a_client_that_was_killed_is_not_taken_for_whole() {
    let api = Api::new();
    let mut other = api.client().await;
    let (address, token) = other.address().await;
    let request = Request::SendOne(letterhead(address, address));
    for length in 0..50 {
        let mut client = api.client().await;
        let opened = client.ask(&request, Some(&token)).await;
        let Reply::SendSocket(bind) = opened else { panic!("{opened:?}") };
        let mut socket = TcpStream::connect(bind).await.unwrap();
        socket.write_all(&content(length * 1000)).await.unwrap();
        // As the kernel does it, the older one first.
        drop(client);
        drop(socket);
    }
    // What is sent afterwards is the first that comes.
    assert_eq!(other.send(&request, &token, b"whole").await, Reply::Ok);
    let receive = receive(address, Some(1));
    assert_eq!(other.ask(&receive, Some(&token)).await, Reply::Ok);
    assert_eq!(other.stream(&receive).await.1, b"whole");
    api.bed.reported(|report| report.streams.sending == 0 && report.streams.waiting == 0).await;
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_cannot_have_it_keeps_nobody_else_from_it() {
    let api = Api::new();
    let mut client = api.client().await;
    let (address, token) = client.address().await;
    // More than goes to a namespace.
    let content = content(1_500_000);
    let namespace = ratman_types::Namespace::from_bytes(SecretKey::from_seed([8; 32]).public());
    let to_namespace = Letterhead { to: Recipient::Namespace(namespace), ..letterhead(address, address) };
    let both: Letterheads = [to_namespace, letterhead(address, address)].into_iter().collect();
    let told = client.send(&Request::SendMany(both), &token, &content).await;
    let Reply::Error(ClientError::Internal(why)) = &told else { panic!("{told:?}") };
    assert!(why.as_str().starts_with("1 of 2 recipients do not get it"), "{why}");
    let receive = receive(address, Some(1));
    assert_eq!(client.ask(&receive, Some(&token)).await, Reply::Ok);
    assert!(client.stream(&receive).await.1 == content);
    let many: Letterheads =
        (0..=sending_places::MAX_SENDINGS_OF_ONE).map(|_| letterhead(address, address)).collect();
    let told = client.ask(&Request::SendMany(many), Some(&token)).await;
    assert!(matches!(told, Reply::Error(ClientError::User(_))), "{told:?}");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_sent_to_one_nobody_gets_anything() {
    let api = Api::new();
    let (mut client, mut first) = (api.client().await, api.client().await);
    let (address, token) = client.address().await;
    let next = receive(address, Some(1));
    assert_eq!(first.ask(&next, Some(&token)).await, Reply::Ok);
    let is_no_key = |bytes: &[u8; 32]| !ratman_types::is_valid_key(bytes);
    let nobody = (0..=u8::MAX).map(|byte| [byte; 32]).find(is_no_key).unwrap();
    let both: Letterheads =
        [address, Address::from_bytes(nobody)].map(|to| letterhead(address, to)).into_iter().collect();
    let told = client.ask(&Request::SendMany(both), Some(&token)).await;
    assert!(matches!(told, Reply::Error(ClientError::Internal(_))), "before the content: {told:?}");
    let alone = Request::SendOne(letterhead(address, address));
    assert_eq!(client.send(&alone, &token, b"alone").await, Reply::Ok);
    assert_eq!(first.stream(&next).await.1, b"alone", "the first that does");
    api.bed.reported(|report| report.streams.sending == 0 && report.streams.waiting == 0).await;
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_its_leave_while_it_waits_is_given_nothing() {
    let api = Api::new();
    let (mut waiting, mut other) = (api.client().await, api.client().await);
    let (address, token) = other.address().await;
    let request = receive(address, None);
    assert_eq!(waiting.ask(&request, Some(&token)).await, Reply::Ok);
    waiting.say(&Request::Disconnect(Nothing), None).await;
    assert_eq!(waiting.hear().await, None, "the connection ends");
    assert_eq!(other.send(&Request::SendOne(letterhead(address, address)), &token, b"").await, Reply::Ok);
    assert_eq!(other.ask(&request, Some(&token)).await, Reply::Ok);
    assert_eq!(other.stream(&request).await.1, b"");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_finds_no_place_is_told_so() {
    let api = Api::with_places(Limits { clients: 2, per_user: 2, operators_own: 0 });
    let (first, mut second) = (api.client().await, api.client().await);
    let mut third = api.connect().await;
    let told = third.reply(&Request::Status(Nothing)).await;
    assert!(matches!(told, Reply::Error(ClientError::Internal(_))), "{told:?}");
    assert_eq!(third.hear().await, None);
    drop(first);
    api.client_in_its_turn().await;
    assert_eq!(second.ask(&Request::Connect(ApiVersion::OURS), None).await, Reply::Ok);
    api.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_nothing_is_told_so() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let (read, write) = tokio::io::split(ours);
    let mut connection = Connection::new(read, write);
    let left = connection.next().await.unwrap_err();
    assert!(matches!(left, Left::Idle), "{left}");
    drop(theirs);
}
