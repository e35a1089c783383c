// SPDX-License-Identifier: AGPL-3.0-or-later
//! What one client asks for, one thing after the other, and what it is answered.

use ratman_types::Address;
use ratman_wire::api::{
    self, ApiVersion, ClientError, DestroyedAddress, LongList, Microframe, Needs, RecvMany, RecvOne,
    RefusalReason, Reply, Request, StreamWay, UserError, Versions,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, Left};
use super::failure::Failure;
use super::who::Who;
use super::{Doors, figures, operator, queries};
use crate::addresses::AuthToken;

/// What deployed routers answer where an address is to come up that they have no key of (source: captured sessions).
const NO_KEY: &str =
    "a frame parsing error: encryption encoding/decoding failed because Address key was deleted!";

/// One client's session.
pub(super) struct Session<R, W> {
    pub(super) connection: Connection<R, W>,
    pub(super) doors: Doors,
    pub(super) who: Who,
    /// Whether it was told that its content is that of nothing, or what has become of its streams; it may have sent more before it heard
    /// so.
    pub(super) is_told: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// With a client that has not said anything.
    pub(super) const fn new(connection: Connection<R, W>, doors: Doors, who: Who) -> Self {
        Self { connection, doors, who, is_told: false }
    }

    /// Serves the client until it leaves, and says why it did.
    pub(super) async fn run(mut self) -> Left {
        let Err(left) = self.serve().await;
        // Told before the connection ends; who is gone need not hear it.
        let last = match &left {
            Left::Idle => Some(Reply::Timeout),
            Left::Broken(error) => Some(Reply::Error(ClientError::from(*error))),
            Left::Told(reply) => Some(reply.clone()),
            Left::Closed | Left::Goodbye | Left::Lost(_) => None,
        };
        if let Some(reply) = last {
            let _ = self.connection.reply(&reply, None).await;
        }
        left
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, Left> {
        self.greet().await?;
        loop {
            let frame = self.connection.next().await?;
            let request = match Request::decode(&frame) {
                Ok(Request::Disconnect(_)) => return Err(Left::Goodbye),
                Ok(request) => request,
                Err(error) => {
                    self.connection.reply(&error.reply(), None).await?;
                    continue;
                }
            };
            // A token comes back where it was taken, but from what deployed routers do without one.
            let takes_none = matches!(
                request,
                Request::NamespaceCreate(_) | Request::NamespaceUp(_) | Request::NamespaceDown(_)
            );
            let (reply, echo) = match self.answer(request, &frame).await {
                Ok(Some(reply)) => (reply, frame.auth.as_ref().filter(|_| !takes_none)),
                Ok(None) => continue,
                Err(Failure::Told(error)) => (Reply::Error(error), None),
                Err(Failure::Refused(refusal)) => (Reply::Refused(refusal), None),
                Err(Failure::Left(left)) => return Err(left),
            };
            self.connection.reply(&reply, echo).await?;
        }
    }

    /// The first that a client says is its version.
    async fn greet(&mut self) -> Result<(), Left> {
        let frame = self.connection.next().await?;
        match Request::decode(&frame) {
            Ok(Request::Connect(client)) if ApiVersion::OURS.is_compatible_with(client) => {
                Ok(self.connection.reply(&Reply::Ok, None).await?)
            }
            Ok(Request::Connect(client)) => {
                let versions = Versions::of(ApiVersion::OURS, client);
                Err(Left::Told(Reply::IncompatibleVersion(versions)))
            }
            Ok(Request::Disconnect(_)) => Err(Left::Goodbye),
            Ok(_) => {
                Err(Left::Told(Reply::Error(ClientError::invalid_input("expected the handshake first"))))
            }
            Err(error) => Err(Left::Told(error.reply())),
        }
    }

    /// The reply to a request; nothing where it has been said already.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever is not done is answered so")]
    async fn answer(&mut self, request: Request, frame: &Microframe) -> Result<Option<Reply>, Failure> {
        self.is_told &= matches!(request, Request::Content(_) | Request::End(_));
        if request.needs() == Needs::Operator && !self.who.operates {
            let whom =
                "expected root, the daemon's user or the group of the control socket, on the unix socket";
            return Err(Failure::refused(RefusalReason::OperatorOnly, whom));
        }
        let doors = &self.doors;
        let reply = match request {
            // Also where there is nothing to give up any more.
            Request::Connect(_) | Request::Cancel(_) => Reply::Ok,
            Request::Status(_) => figures::figures(&self.doors).await?,
            Request::PeerList(_) => figures::known(&self.doors).await?,
            Request::AddressCreate(_) => self.create().await?,
            Request::AddressList(_) => self.addresses().await?,
            Request::AddressUp(address) => self.up(address, token(frame)?).await?,
            Request::AddressDown(address) => {
                self.doors.desk.down(address, token(frame)?).await?;
                Reply::Ok
            }
            Request::AddressDestroy(destroyed) => self.destroy(destroyed, frame).await?,
            Request::RouterQuery(_) => queries::router(doors).await?,
            Request::AddressQuery(wanted) => queries::addresses(doors, &wanted).await?,
            Request::LinkList(wanted) => queries::links(doors, &wanted).await?,
            Request::LinkQuery(number) => queries::link(doors, number).await?,
            Request::PeerQuery(wanted) => queries::peers(doors, &wanted).await?,
            Request::RouteList(wanted) => queries::routes(doors, &wanted).await?,
            Request::RouteQuery(address) => queries::route(doors, &address).await?,
            Request::ContactAdd(new) => operator::add(doors, new).await?,
            Request::ContactDelete(whose) => operator::delete(doors, whose).await?,
            Request::ContactModify(change) => operator::modify(doors, change).await?,
            Request::ContactList(wanted) => operator::list(doors, &wanted).await?,
            Request::ContactQuery(whose) => operator::query(doors, &whose).await?,
            Request::SendOne(letterhead) => self.send(vec![letterhead], frame).await?,
            Request::SendMany(letterheads) => self.send(letterheads.into_vec(), frame).await?,
            Request::RecvOne(RecvOne { address, recipient }) => {
                self.receive((address, recipient), (StreamWay::RecvOne, Some(1)), frame).await?;
                Reply::Ok
            }
            Request::RecvMany(RecvMany { address, recipient, limit }) => {
                self.receive((address, recipient), (StreamWay::RecvMany, limit), frame).await?;
                // No trailer: deployed clients do not read it.
                return Ok(None);
            }
            Request::StreamCreate(new) => return self.create_streams(new, frame).await,
            Request::StreamResume(resumed) => return self.resume_streams(resumed, frame).await,
            Request::StreamReceive(receive) => return self.receive_streams(receive, frame).await,
            Request::StreamStatus(key) => return self.follow_stream(key, frame).await,
            Request::StreamQuery(wanted) => self.query_streams(&wanted, frame).await?,
            Request::StreamDestroy(key) => self.end_stream(key, frame).await?,
            Request::FilterAdd(new) => self.add_filter(new, frame).await?,
            Request::FilterDelete(held) => self.delete_filter(held, frame).await?,
            Request::FilterList(wanted) => self.list_filters(&wanted, frame).await?,
            Request::Subscribe(new) => self.subscribe(new, frame).await?,
            Request::Resubscribe(held) => self.resubscribe(held, frame).await?,
            Request::Unsubscribe(held) => self.unsubscribe(held, frame).await?,
            Request::SubscriptionList(address) => self.subscriptions(address).await?,
            Request::NamespaceCreate(new) => self.create_namespace(new, frame).await?,
            Request::NamespaceUp(membership) => self.join_namespace(membership, frame).await?,
            Request::NamespaceDown(membership) => self.leave_namespace(membership, frame).await?,
            Request::NamespaceDestroy(membership) => self.destroy_namespace(membership, frame).await?,
            Request::NamespaceList(wanted) => self.list_namespaces(&wanted, frame).await?,
            Request::Anycast(wanted) => self.who_is_there(wanted, frame).await?,
            Request::Content(_) | Request::End(_) => {
                if !std::mem::replace(&mut self.is_told, true) {
                    self.out_of_turn().await?;
                }
                return Ok(None);
            }
            Request::Taken(_) => return self.out_of_turn().await.map(|()| None),
            _ => return Err(ClientError::NotSupported.into()),
        };
        Ok(Some(reply))
    }

    async fn create(&self) -> Result<Reply, Failure> {
        let (address, token) = self.doors.desk.create(self.who.asker).await?;
        Ok(Reply::AddressCreated { address, token: api::AuthToken::from_bytes(*token.as_bytes()) })
    }

    async fn addresses(&self) -> Result<Reply, Failure> {
        let addresses = self.doors.desk.addresses().await?.into_iter().map(|standing| standing.address);
        Ok(Reply::Addresses(LongList::new(addresses.collect()).expect("invariant: there are few of them")))
    }

    async fn up(&self, address: Address, token: AuthToken) -> Result<Reply, Failure> {
        let up = self.doors.desk.up(address, token, self.who.asker).await.map_err(Failure::from);
        up.map_err(|failure| failure.instead_of(&ClientError::NoAddress, ClientError::internal(NO_KEY)))?;
        Ok(Reply::Ok)
    }

    async fn destroy(&self, destroyed: DestroyedAddress, frame: &Microframe) -> Result<Reply, Failure> {
        let DestroyedAddress { address, force } = destroyed;
        let token = match token(frame) {
            // As on the control socket: what nobody has the token of any more need not stay for ever.
            Err(_) if force && self.who.asker.is_operator => None,
            token => Some(token?),
        };
        if let Some(token) = &token
            && !force
            && self.doors.desk.is_up(&address).await
        {
            self.doors.desk.prove(address, token.clone()).await?;
            let how = "take the address down first, or force it";
            return Err(ClientError::invalid_input(how).into());
        }
        self.doors.desk.destroy(address, token, self.who.asker).await?;
        Ok(Reply::Ok)
    }

    /// That an address is the client's, and up.
    pub(super) fn authorise(&self, address: &Address, frame: &Microframe) -> Result<(), ClientError> {
        // Nobody learns here which addresses there are.
        if self.doors.desk.may_act_for(address, &token(frame)?) {
            Ok(())
        } else {
            Err(ClientError::InvalidAuth)
        }
    }
}

/// The token that came with a request.
pub(super) fn token(frame: &Microframe) -> Result<AuthToken, ClientError> {
    let token = frame.auth.as_ref().ok_or(ClientError::InvalidAuth)?;
    Ok(AuthToken::from_bytes(*token.as_bytes()))
}

/// What is missing, for a client.
pub(super) fn missing(what: &str) -> ClientError {
    ClientError::User(UserError::MissingInput(api::Text::of(what)))
}
