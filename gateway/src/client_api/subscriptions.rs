// SPDX-License-Identifier: AGPL-3.0-or-later
//! Subscriptions as deployed clients have them: streams are brought over a connection of their own, to a socket that the client is told
//! of, one after the other. What is sent while nobody is connected waits in the journal, and comes when the subscription is taken up
//! again (decisions/client-subscriptions.md).

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
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
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{debug, error};

use super::connection::TO_TAKE;
use super::failure::Failure;
use super::receiving::letterhead;
use super::session::Session;
use super::stop::{Stop, stop};
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

/// A subscription that has a socket; it is told to end when this is dropped.
#[derive(Debug)]
struct Serving {
    task: JoinHandle<()>,
    _stop: oneshot::Sender<Infallible>,
}

impl Serving {
    fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl Subscribers {
    /// Has `serve` serve a subscription from now on.
    fn replace<F>(&self, id: SubscriptionId, serve: impl FnOnce(Stop) -> F) -> bool
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut all = self.all();
        all.retain(|_, serving| !serving.is_over());
        if all.len() >= MAX_CONNECTED && !all.contains_key(&id) {
            return false;
        }
        let before = all.remove(&id).map(|serving| serving.task);
        let (told, stop) = stop();
        let serve = serve(stop);
        let task = tokio::spawn(async move {
            // What its client has by now is not brought again, and what it has not is there to be brought.
            if let Some(before) = before {
                let _ = before.await;
            }
            serve.await;
        });
        all.insert(id, Serving { task, _stop: told });
        true
    }

    /// Which they are.
    fn ids(&self) -> BTreeSet<SubscriptionId> {
        let mut all = self.all();
        all.retain(|_, serving| !serving.is_over());
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
        let subscribers = self.doors.subscribers.clone();
        let id = self.doors.desk.subscribe(subscription, move || subscribers.ids()).await?;
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
        let subscription = self.doors.desk.subscription(&id);
        let subscription = subscription.filter(|subscription| subscription.address == address);
        let subscription = subscription.ok_or(ClientError::NoSuchSubscription(id))?;
        self.may_receive(address, subscription.recipient).await?;
        let brought = self.bring(id, subscription, frame).await?;
        // It may have gone for a newer one before it was in use.
        if self.doors.desk.subscription(&id).is_none() {
            self.doors.subscribers.end(&id);
            return Err(ClientError::NoSuchSubscription(id).into());
        }
        Ok(brought)
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
        let ids = self.doors.desk.subscriptions_of(&address);
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
        let serve = |stop| async move {
            if let Err(over) = serve(socket, subscription, &streams, (token.as_ref(), stop)).await {
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

/// Brings streams to the one client that connects, for as long as it takes them and is not to stop.
async fn serve(
    socket: TcpListener,
    Subscription { address, recipient }: Subscription,
    streams: &Clients,
    (token, mut stop): (Option<&AuthToken>, Stop),
) -> io::Result<()> {
    let (mut client, _) = tokio::select! {
        accepted = timeout(TO_CONNECT, socket.accept()) => accepted??,
        () = stop.told() => return Ok(()),
    };
    // Nobody else is to wait for its turn there.
    drop(socket);
    let wanted = Wanted { by: Some(address), to: recipient, first: true, wait: true, ..Wanted::default() };
    loop {
        let held = tokio::select! {
            held = streams.receive(wanted) => held.map_err(io::Error::other)?,
            gone = gone(&client) => return Err(gone),
            () = stop.told() => return Ok(()),
        };
        let Some(held) = held else { continue };
        let mut left = held.arrival().size;
        let given = tokio::select! {
            biased;
            given = give(&mut client, &held, streams, (token, &mut left)) => given?,
            // Where all was written it may be there.
            () = stop.told() => if left == ByteCount(0) { Ok(()) } else { return Ok(()) },
        };
        if let Err(unreadable) = given {
            held.cannot_be_read(&unreadable).await;
            return Err(io::Error::other(unreadable));
        }
        // The client has it once nothing of it waits on our side any more.
        tokio::select! {
            biased;
            is_there = timeout(TO_TAKE, unsent::is_acknowledged(&client)) => is_there??,
            () = stop.told() => if unsent::waits(&client)? { return Ok(()) },
        }
        if let Err(error) = held.take().await.map_err(io::Error::other)? {
            error!(%error, "a stream may be brought to a client twice");
        }
    }
}

/// Gives a stream, and says how much of its content is left to be written.
async fn give(
    client: &mut TcpStream,
    held: &Held,
    streams: &Clients,
    (token, left): (Option<&AuthToken>, &mut ByteCount),
) -> io::Result<Result<(), ContentError>> {
    let header = StreamHeader { way: StreamWay::Subscription, letterhead: letterhead(held.arrival()) };
    write(client, &header.to_frame(token).encode()).await?;
    let mut pieces = streams.pieces(held.arrival(), ByteCount(0));
    while let Some(piece) = pieces.next().await {
        write(client, &piece).await?;
        left.0 = left.0.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
    }
    pieces.end().map_err(io::Error::other)
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
