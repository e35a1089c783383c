// SPDX-License-Identifier: AGPL-3.0-or-later
//! Namespaces: a client makes a key known, and has its addresses take part. Keys are in memory only: after a restart of the daemon they
//! are made known again, as addresses are brought up again; who takes part is remembered, and what comes waits for them.

use ratman_types::SecretKey;
use ratman_wire::api::{
    ClientError, LocalNamespace, Membership, Microframe, NamespacesOf, NewNamespace, RefusalReason, Reply,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::failure::Failure;
use super::queries::page;
use super::session::{Session, token};
use crate::message_plane::NamespaceError;

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// Makes the key of a namespace known; the token is that of any address that is up.
    pub(super) async fn create_namespace(
        &self,
        new: NewNamespace,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        let by = self.doors.desk.address_of(&token(frame)?).ok_or(ClientError::InvalidAuth)?;
        if new.seed.namespace() != new.namespace {
            return Err(ClientError::invalid_input("the seed is not that of the namespace").into());
        }
        let key = SecretKey::from_seed(*new.seed.as_bytes());
        match self.doors.streams.know_namespace(key, by).await? {
            Ok(_) => Ok(Reply::Ok),
            Err(error) => Err(told(error)),
        }
    }

    /// Has an address take part; answered when what is here already is to be had.
    pub(super) async fn join_namespace(
        &mut self,
        membership: Membership,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        let Membership { address, namespace } = membership;
        self.authorise(&address, frame)?;
        // Before: once it takes part, the router has to know after a restart.
        let is_new = self.doors.desk.note_membership(address, namespace).await?;
        let streams = self.doors.streams.clone();
        let joined = tokio::select! {
            joined = streams.join_namespace(namespace, address) => joined?,
            left = self.connection.left() => return Err(left.into()),
        };
        if joined.is_err() && is_new {
            self.doors.desk.forget_membership(address, namespace).await?;
        }
        joined.map(|()| Reply::Ok).map_err(told)
    }

    /// Has an address take part no more, whether it did or not.
    pub(super) async fn leave_namespace(
        &self,
        membership: Membership,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        let Membership { address, namespace } = membership;
        self.authorise(&address, frame)?;
        self.doors.streams.leave_namespace(namespace, address).await?;
        self.doors.desk.forget_membership(address, namespace).await?;
        Ok(Reply::Ok)
    }

    /// Forgets the key of a namespace.
    pub(super) async fn destroy_namespace(
        &self,
        membership: Membership,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        let Membership { address, namespace } = membership;
        self.authorise(&address, frame)?;
        let forgotten = self.doors.streams.forget_namespace(namespace, address).await?;
        if forgotten.is_ok() {
            self.doors.desk.forget_membership(address, namespace).await?;
        }
        match forgotten {
            Ok(true) => Ok(Reply::Ok),
            Ok(false) => Err(Failure::refused(RefusalReason::NotFound, "the key is not known")),
            Err(error) => Err(Failure::refused(RefusalReason::InUse, &error.to_string())),
        }
    }

    /// A page of the namespaces of which a key is known.
    pub(super) async fn list_namespaces(
        &self,
        wanted: &NamespacesOf,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        self.authorise(&wanted.address, frame)?;
        let known = self.doors.streams.namespaces(wanted.address).await?;
        let keyed = known.into_iter().map(|(namespace, up)| (*namespace.as_bytes(), (namespace, up)));
        let entry = |(namespace, up)| LocalNamespace { namespace, up };
        Ok(Reply::NamespacePage(page(keyed, &wanted.page, entry)?))
    }
}

/// In the words of deployed clients.
pub(super) fn told(error: NamespaceError) -> Failure {
    ClientError::invalid_input(&error.to_string()).into()
}
