// SPDX-License-Identifier: AGPL-3.0-or-later
//! Subscriptions as deployed clients have them: streams are brought over a connection of their own, to a socket that the client is told
//! of, one after the other. What is sent while nobody is connected waits in the journal, and comes when the subscription is taken up
//! again (decisions/client-subscriptions.md).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratman_types::{Address, ByteCount};
use ratman_wire::api::{
    AuthToken, ClientError, HeldSubscription, LongList, Microframe, NewSubscription, Reply, StreamHeader,
    StreamWay, SubscriptionId, SubscriptionSocket,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{debug, error};

use super::connection::TO_TAKE;
use super::failure::Failure;
use super::receiving::letterhead;
use super::session::Session;
use crate::message_plane::{Clients, ContentError, Held, Wanted};
use crate::subscriptions::Subscription;

mod unsent;

/// A client has so long to connect to its subscription's socket.
const TO_CONNECT: Duration = Duration::from_secs(30);

/// Subscriptions that have a socket at once: each costs a task, a socket and some pieces of content.
const MAX_CONNECTED: usize = 256;

/// Those that have a socket; of each the newest counts, the one before ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscribers(Arc<Mutex<BTreeMap<SubscriptionId, Serving>>>);

/// A subscription that has a socket; it ends when this is dropped.
#[derive(Debug)]
struct Serving(AbortHandle);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Subscribers {
    /// Has `serve` serve a subscription from now on.
    fn replace(&self, id: SubscriptionId, serve: impl Future<Output = ()> + Send + 'static) -> bool {
        let mut all = self.all();
        all.retain(|_, Serving(task)| !task.is_finished());
        if all.len() >= MAX_CONNECTED && !all.contains_key(&id) {
            return false;
        }
        // The one before gives back what it has in its hands.
        all.remove(&id);
        all.insert(id, Serving(tokio::spawn(serve).abort_handle()));
        true
    }

    /// Which they are.
    fn ids(&self) -> BTreeSet<SubscriptionId> {
        let mut all = self.all();
        all.retain(|_, Serving(task)| !task.is_finished());
        all.keys().copied().collect()
    }

    fn end(&self, id: &SubscriptionId) {
        self.all().remove(id);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<SubscriptionId, Serving>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// Notes a subscription, and tells where its streams come.
    pub(super) async fn subscribe(&self, new: NewSubscription, frame: &Microframe) -> Result<Reply, Failure> {
        let NewSubscription { address, recipient } = new;
        self.authorise(&address, frame)?;
        self.may_receive(address, recipient).await?;
        let subscription = Subscription { address, recipient };
        let id = self.doors.desk.subscribe(subscription, self.doors.subscribers.ids()).await?;
        let brought = self.bring(id, subscription, frame).await;
        if brought.is_err() {
            // Nobody knows it.
            self.doors.desk.unsubscribe(id, address).await?;
        }
        brought
    }

    /// Takes one up that was made before.
    pub(super) async fn resubscribe(
        &self,
        held: HeldSubscription,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        let HeldSubscription { id, address } = held;
        self.authorise(&address, frame)?;
        let subscription = self.doors.desk.subscription(id).await?;
        let subscription = subscription.filter(|subscription| subscription.address == address);
        let subscription = subscription.ok_or(ClientError::NoSuchSubscription(id))?;
        self.may_receive(address, subscription.recipient).await?;
        self.bring(id, subscription, frame).await
    }

    /// Forgets one.
    pub(super) async fn unsubscribe(
        &self,
        held: HeldSubscription,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        let HeldSubscription { id, address } = held;
        self.authorise(&address, frame)?;
        if !self.doors.desk.unsubscribe(id, address).await? {
            return Err(ClientError::NoSuchSubscription(id).into());
        }
        self.doors.subscribers.end(&id);
        Ok(Reply::Ok)
    }

    /// The subscriptions of an address. Their names alone are of no use to anybody.
    pub(super) async fn subscriptions(&self, address: Address) -> Result<Reply, Failure> {
        let ids = self.doors.desk.subscriptions_of(address).await?;
        Ok(Reply::Subscriptions(LongList::new(ids).expect("invariant: an address has few of them")))
    }

    async fn bring(
        &self,
        id: SubscriptionId,
        subscription: Subscription,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(no_socket)?;
        let bind = socket.local_addr().map_err(no_socket)?;
        let (streams, token) = (self.doors.streams.clone(), frame.auth.clone());
        let serve = async move {
            if let Err(over) = serve(socket, subscription, &streams, token.as_ref()).await {
                debug!(?id, %over, "a subscription has no client any more");
            }
        };
        if !self.doors.subscribers.replace(id, serve) {
            return Err(Failure::internal("too many subscriptions at once, try again"));
        }
        Ok(Reply::Subscription(SubscriptionSocket { id, bind }))
    }
}

fn no_socket(error: io::Error) -> Failure {
    Failure::internal(&format!("the socket of the subscription: {error}"))
}

/// Brings streams to the one client that connects, for as long as it takes them.
async fn serve(
    socket: TcpListener,
    Subscription { address, recipient }: Subscription,
    streams: &Clients,
    token: Option<&AuthToken>,
) -> io::Result<()> {
    let (mut client, _) = timeout(TO_CONNECT, socket.accept()).await??;
    // Nobody else is to wait for its turn there.
    drop(socket);
    let wanted = Wanted { by: Some(address), to: recipient, first: true, wait: true, ..Wanted::default() };
    loop {
        let held = tokio::select! {
            held = streams.receive(wanted) => held.map_err(io::Error::other)?,
            gone = gone(&client) => return Err(gone),
        };
        let Some(held) = held else { continue };
        match give(&mut client, &held, streams, token).await? {
            Ok(()) => {
                if let Err(error) = held.take().await.map_err(io::Error::other)? {
                    error!(%error, "a stream may be brought to a client twice");
                }
            }
            Err(unreadable) => {
                held.cannot_be_read(&unreadable).await;
                return Err(io::Error::other(unreadable));
            }
        }
    }
}

/// Gives a stream; the client has it once nothing of it waits on our side any more.
async fn give(
    client: &mut TcpStream,
    held: &Held,
    streams: &Clients,
    token: Option<&AuthToken>,
) -> io::Result<Result<(), ContentError>> {
    let header = StreamHeader { way: StreamWay::Subscription, letterhead: letterhead(held.arrival()) };
    write(client, &header.to_frame(token).encode()).await?;
    let mut pieces = streams.pieces(held.arrival(), ByteCount(0));
    while let Some(piece) = pieces.next().await {
        write(client, &piece).await?;
    }
    if let Err(unreadable) = pieces.end().map_err(io::Error::other)? {
        return Ok(Err(unreadable));
    }
    timeout(TO_TAKE, unsent::is_acknowledged(client)).await?.map(Ok)
}

/// Waits until the client is gone; what it says is passed over. Cancel safe.
async fn gone(client: &TcpStream) -> io::Error {
    let mut said = [0; 256];
    loop {
        if let Err(error) = client.readable().await {
            return error;
        }
        match client.try_read(&mut said) {
            Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return error,
        }
    }
}

async fn write(client: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(TO_TAKE, client.write_all(bytes)).await?
}
