// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that are on their way: which there are, what becomes of them, and their end.

use std::future::poll_fn;

use ratman_wire::api::{
    Address, AuthToken, FromRouter, News, OpenedStream, Reply, Request, StreamEntry, StreamKey, StreamsOf,
};

use crate::connection::Connection;
use crate::ipc::STREAM;
use crate::pages::page;
use crate::{Error, RatmanIpc, Result};

/// The news of a stream that was sent before, until its last. Dropping it changes nothing about the stream.
#[derive(Debug)]
pub struct Following {
    ipc: RatmanIpc,
    connection: Option<Connection>,
    stream: OpenedStream,
}

impl RatmanIpc {
    /// The streams from and to an address that are not over.
    ///
    /// # Errors
    /// [`Error::InvalidAuth`], and those of every request.
    pub async fn stream_list(&self, auth: &AuthToken, address: Address) -> Result<Vec<StreamEntry>> {
        let request = |page| Request::StreamQuery(StreamsOf { address, page });
        self.list(Some(auth), request, page!(StreamPage)).await
    }

    /// Hears what becomes of a stream that was sent.
    ///
    /// # Errors
    /// Those of every request; what the router has to say against it comes with [`Following::next`].
    pub async fn stream_follow(&self, auth: &AuthToken, key: StreamKey) -> Result<Following> {
        let stream = OpenedStream { to: key.to, stream: key.stream };
        let connection = Some(self.open(&Request::StreamStatus(key), auth).await?);
        Ok(Following { ipc: self.clone(), connection, stream })
    }

    /// Ends a stream, with the token of either end: who sends it gives it up, who is to receive it denies it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it is over, [`Error::InvalidAuth`], and those of every request.
    pub async fn stream_destroy(&self, auth: &AuthToken, key: StreamKey) -> Result<()> {
        self.order(Request::StreamDestroy(key), Some(auth)).await
    }
}

impl Following {
    /// Waits for the next that is known; nothing after the [last](News::is_last).
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such stream, [`Error::InvalidAuth`], [`Error::Lost`].
    pub async fn next(&mut self) -> Result<Option<News>> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let error = match poll_fn(|cx| connection.poll_from_router(cx, STREAM)).await {
            Ok(FromRouter::Reply(Reply::News(news))) if news.stream == self.stream => {
                if let Some(connection) = self.connection.take_if(|_| news.news.is_last()) {
                    self.ipc.put_back(connection);
                }
                return Ok(Some(news.news));
            }
            Ok(FromRouter::Reply(other)) => Error::unexpected(&other),
            Ok(FromRouter::Stream(_) | FromRouter::Content(_) | FromRouter::End) => {
                Error::Protocol("content where news were to come".to_owned())
            }
            Err(error) => error,
        };
        self.connection = None;
        Err(error)
    }
}
