// SPDX-License-Identifier: AGPL-3.0-or-later
//! The client of a router.

use std::sync::Arc;
use std::time::Duration;

use ratman_wire::api::{ApiMode, AuthToken, Nothing, Reply, Request};

use crate::connection::Connection;
use crate::connection::answer;
use crate::pool::Pool;
use crate::timeouts::within;
use crate::{ApiBind, Result, Timeouts};

/// The client of one router. Cheap to clone; all clones share their connections, and may be used from any task at once.
///
/// A request takes an idle connection, or a new one; at most 32 requests are on their way at once, and one more waits. A connection that
/// the router ended meanwhile is replaced without notice. A request that was certainly not done is said again; one that may have been
/// done fails with [`Error::Lost`](crate::Error::Lost), unless doing it twice does no more than once. Each stream has a connection of its own.
///
/// **Cancellation:** who drops the future of a request does not know whether the request was done; nothing else comes to harm.
#[derive(Clone, Debug)]
pub struct RatmanIpc {
    pool: Arc<Pool>,
    is_ours: bool,
}

impl RatmanIpc {
    /// Connects to a router, with the usual [`Timeouts`].
    ///
    /// # Errors
    /// [`Error::Unreachable`](crate::Error::Unreachable) where none listens, [`Error::NotPermitted`](crate::Error::NotPermitted) where this program may not connect,
    /// [`Error::IncompatibleVersion`](crate::Error::IncompatibleVersion), [`Error::TimedOut`](crate::Error::TimedOut), and [`Error::Protocol`](crate::Error::Protocol) where something else than a router answers.
    pub async fn start(bind: impl Into<ApiBind>) -> Result<Self> {
        Self::start_with(bind.into(), Timeouts::default()).await
    }

    /// Connects to a router that may take so long and no longer.
    ///
    /// # Errors
    /// As [`RatmanIpc::start`].
    pub async fn start_with(bind: ApiBind, timeouts: Timeouts) -> Result<Self> {
        let pool = Arc::new(Pool::new(bind, timeouts));
        let mut connection = pool.dial().await?;
        let question = Request::RouterQuery(Nothing);
        let mode = question.mode();
        let asking = async {
            connection.say(&question, None).await?;
            connection.reply(mode).await
        };
        let reply = within(Some(timeouts.reply), "the answer of the router", asking).await?;
        // A router of ours that does not tell anybody what it is knows the question.
        let is_ours = !matches!(&reply, Reply::Error(error) if error.is_unsupported_mode(mode));
        if is_ours {
            pool.put_back(connection);
        }
        Ok(Self { pool, is_ours })
    }

    /// Where the router is.
    pub fn bind(&self) -> &ApiBind {
        self.pool.bind()
    }

    /// Whether the router knows what deployed 0.6 routers do not: streams with news, pages, contacts, filters, routes and links. To one
    /// that does not, all these fail with [`Error::NotSupported`](crate::Error::NotSupported). Asked once, when this client started.
    pub const fn knows_extensions(&self) -> bool {
        self.is_ours
    }

    /// The reply to a request, which is none of the objections.
    pub(crate) async fn ask(&self, request: Request, auth: Option<&AuthToken>) -> Result<Reply> {
        self.pool.ask(&request, auth, Duration::ZERO).await
    }

    /// The same for a request that takes the router this much longer.
    pub(crate) async fn ask_slow(
        &self,
        request: Request,
        auth: Option<&AuthToken>,
        wait: Duration,
    ) -> Result<Reply> {
        self.pool.ask(&request, auth, wait).await
    }

    /// Has something done.
    pub(crate) async fn order(&self, request: Request, auth: Option<&AuthToken>) -> Result<()> {
        answer!(self.ask(request, auth).await?, Reply::Ok => ())
    }

    /// A connection for a stream, on which the request was said and not answered.
    pub(crate) async fn open(&self, request: &Request, auth: &AuthToken) -> Result<Connection> {
        // Kept apart, so that whatever waits for streams is small.
        let mut connection = Box::pin(self.pool.dial()).await?;
        let saying = connection.say(request, Some(auth));
        within(Some(self.pool.timeouts().reply), "saying something to the router", saying).await?;
        Ok(connection)
    }

    /// Keeps a connection on which nothing is awaited.
    pub(crate) fn put_back(&self, connection: Connection) {
        self.pool.put_back(connection);
    }

    /// How long a router may take to take a connection.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.pool.timeouts().connect
    }

    /// How long a router may take to answer.
    pub(crate) fn reply_timeout(&self) -> Duration {
        self.pool.timeouts().reply
    }
}

/// The mode that decides how a reply is read; all but two are read alike.
pub(crate) const STREAM: ApiMode = ApiMode::CONTENT;
