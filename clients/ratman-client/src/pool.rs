// SPDX-License-Identifier: AGPL-3.0-or-later
//! The connections of a client: requests take one that is idle, or dial.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ratman_wire::api::{ApiMode, ApiVersion, AuthToken, Reply, Request};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::connection::answer;
use crate::connection::{Connection, settled};
use crate::socket::Socket;
use crate::timeouts::{Timeouts, within};
use crate::{ApiBind, Error, Result};

/// Connections that are kept idle: a program that asks for more than that at once is rare, and each is one of the 512 places that a
/// router has for all its clients.
const MAX_IDLE: usize = 8;

/// Requests that are on their way at once. One more waits for its turn. Streams do not count: each has a connection, for as long as
/// its user keeps it.
const MAX_REQUESTS: usize = 32;

/// A connection that was idle for longer is not used again. A router ends it after 120 s (source: deployed routers, section 8.2), and
/// a request that crosses that end may be lost.
const FRESH: Duration = Duration::from_secs(60);

/// The connections of a client to one router.
#[derive(Debug)]
pub(crate) struct Pool {
    bind: ApiBind,
    timeouts: Timeouts,
    // Last in, first out: the others grow old and go.
    idle: Mutex<Vec<(Connection, Instant)>>,
    places: Semaphore,
}

impl Pool {
    pub(crate) fn new(bind: ApiBind, timeouts: Timeouts) -> Self {
        Self { bind, timeouts, idle: Mutex::default(), places: Semaphore::new(MAX_REQUESTS) }
    }

    pub(crate) const fn bind(&self) -> &ApiBind {
        &self.bind
    }

    pub(crate) const fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// A new connection on which both versions were said.
    pub(crate) async fn dial(&self) -> Result<Connection> {
        let connecting =
            async { Socket::connect(&self.bind).await.map_err(|error| Error::connecting(&self.bind, error)) };
        let socket = within(Some(self.timeouts.connect), "connecting to the router", connecting).await?;
        let mut connection = Connection::new(socket);
        let greeting = async {
            let connect = Request::Connect(ApiVersion::OURS);
            connection.say(&connect, None).await?;
            answer!(settled(connection.reply(connect.mode()).await?, connect.mode())?, Reply::Ok => ())
        };
        within(Some(self.timeouts.handshake), "the handshake with the router", greeting).await?;
        Ok(connection)
    }

    /// Keeps a connection on which nothing is awaited.
    pub(crate) fn put_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since)| since.elapsed() < FRESH);
        if idle.len() < MAX_IDLE {
            idle.push((connection, Instant::now()));
        }
    }

    /// An idle connection whose other end is there.
    async fn idle(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if since.elapsed() < FRESH && connection.is_quiet().await {
                return Some(connection);
            }
        }
    }

    /// The reply to a request, which is none of the objections. `wait` is what the router may take longer than usual.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        auth: Option<&AuthToken>,
        wait: Duration,
    ) -> Result<Reply> {
        let _place = self.places.acquire().await.expect("invariant: it is never closed");
        let limit = self.timeouts.reply.saturating_add(wait);
        if let Some(connection) = self.idle().await
            && let Some(reply) = self.ask_again(connection, request, auth, limit).await?
        {
            return settled(reply, request.mode());
        }
        let mut connection = self.dial().await?;
        let reply = exchange(&mut connection, request, auth, limit).await?;
        self.has_answered(connection, &reply, request.mode());
        settled(reply, request.mode())
    }

    /// The reply over a connection that was used before; nothing where the request is to be said over another one.
    async fn ask_again(
        &self,
        mut connection: Connection,
        request: &Request,
        auth: Option<&AuthToken>,
        limit: Duration,
    ) -> Result<Option<Reply>> {
        match exchange(&mut connection, request, auth, limit).await {
            // It was said before the router read the request, which it never will.
            Ok(Reply::Timeout) => Ok(None),
            Ok(reply) => {
                self.has_answered(connection, &reply, request.mode());
                Ok(Some(reply))
            }
            // A part of a request is none.
            Err(Error::Lost(_)) if connection.has_unsaid() || is_repeatable(request) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A router that does not know a request closes the connection, if it is a deployed one.
    fn has_answered(&self, connection: Connection, reply: &Reply, to: ApiMode) {
        let unknown = matches!(reply, Reply::Error(error) if error.is_unsupported_mode(to));
        if !unknown && !matches!(reply, Reply::Timeout | Reply::IncompatibleVersion(_)) {
            self.put_back(connection);
        }
    }
}

/// Says a request and waits for its reply.
async fn exchange(
    connection: &mut Connection,
    request: &Request,
    auth: Option<&AuthToken>,
    limit: Duration,
) -> Result<Reply> {
    let asking = async {
        connection.say(request, auth).await?;
        connection.reply(request.mode()).await
    };
    within(Some(limit), "the answer of the router", asking).await
}

/// Whether a request that is done twice does no more than once, and is answered the same.
const fn is_repeatable(request: &Request) -> bool {
    matches!(
        request,
        Request::Status(_)
            | Request::RouterQuery(_)
            | Request::AddressUp(_)
            | Request::AddressDown(_)
            | Request::AddressList(_)
            | Request::AddressQuery(_)
            | Request::ContactAdd(_)
            | Request::ContactModify(_)
            | Request::ContactList(_)
            | Request::ContactQuery(_)
            | Request::LinkList(_)
            | Request::LinkQuery(_)
            | Request::PeerList(_)
            | Request::PeerQuery(_)
            | Request::FilterList(_)
            | Request::Resubscribe(_)
            | Request::SubscriptionList(_)
            | Request::StreamQuery(_)
            | Request::NamespaceCreate(_)
            | Request::NamespaceUp(_)
            | Request::NamespaceDown(_)
            | Request::NamespaceList(_)
            | Request::Anycast(_)
            | Request::RouteList(_)
            | Request::RouteQuery(_)
    )
}
