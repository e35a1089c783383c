// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of a namespace is there, for clients: deployed routers never tell anybody.

use std::time::Duration;

use ratman_wire::api::{Anycast, AnycastReply, ClientError, Microframe, RefusalReason, Reply};
use tokio::io::{AsyncRead, AsyncWrite};

use super::failure::Failure;
use super::namespaces::told;
use super::session::Session;
use crate::message_plane::WhoError;

/// Answers are collected for so long at most: nobody waits longer, and a question that is open has one of 256 places.
const LONGEST: Duration = Duration::from_secs(600);

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// Asks who is there, and tells it when the time is over.
    pub(super) async fn who_is_there(
        &mut self,
        wanted: Anycast,
        frame: &Microframe,
    ) -> Result<Reply, Failure> {
        let Anycast { address, namespace, timeout } = wanted;
        self.authorise(&address, frame)?;
        if timeout > LONGEST {
            let most = format!("expected a timeout of at most {} ms", LONGEST.as_millis());
            return Err(ClientError::invalid_input(&most).into());
        }
        let streams = self.doors.streams.clone();
        let answered = tokio::select! {
            answered = streams.who(namespace, address, timeout) => answered?,
            left = self.connection.left() => return Err(left.into()),
        };
        let entry = |(address, after)| AnycastReply { address, after };
        match answered {
            Ok(members) => Ok(Reply::Anycast(members.into_iter().map(entry).collect())),
            Err(WhoError::Namespace(error)) => Err(told(error)),
            Err(error @ WhoError::Ask(_)) => Err(Failure::refused(RefusalReason::Busy, &error.to_string())),
        }
    }
}
