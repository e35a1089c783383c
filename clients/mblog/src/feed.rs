// SPDX-License-Identifier: AGPL-3.0-or-later
//! Taking part for a user: posts that are sent, and posts that come.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use irdest_tools::{Failure, Result, Session};
use ratman_client::types::{Recipient, StreamId, WallTime};
use ratman_client::{Error, Incoming, Outgoing, ReceiveOptions, Reconnect};

use crate::{KeptPost, Post, Store, space};

/// A user who takes part, and what they have.
#[derive(Debug)]
pub struct Feed {
    session: Session,
    incoming: Incoming,
    store: Store,
    ignored: u64,
}

impl Feed {
    /// Takes part with the address of a user. With `wait` it is for ever, through restarts of the router; else only for what is with the
    /// router already.
    ///
    /// # Errors
    /// The router knows no namespaces, and those of every request.
    pub async fn join(session: Session, store: Store, wait: bool) -> Result<Self> {
        let Session { ipc, address, auth } = &session;
        let namespace = ipc.space_create(auth, &space::seed()).await?;
        ipc.space_up(auth, *address, namespace).await?;
        let options = ReceiveOptions::new().to(Recipient::Namespace(namespace)).wait(wait);
        let for_ever = Reconnect { give_up_after: Duration::MAX, ..Reconnect::default() };
        let options = if wait { options.reconnect(for_ever) } else { options };
        let incoming = ipc.receive(auth, *address, options);
        Ok(Self { session, incoming, store, ignored: 0 })
    }

    /// What the user has.
    pub const fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// How many streams have come that were no posts.
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Waits for something to come, keeps it, and tells the router that it is taken; false where nothing is there and nothing is waited
    /// for. What is no post is taken and not kept.
    ///
    /// Cancel safe: what was not taken comes again, and is kept once.
    ///
    /// # Errors
    /// The post cannot be kept, so it stays with the router; and those of receiving.
    pub async fn next(&mut self) -> Result<bool> {
        let Some(mut stream) = self.incoming.next().await? else { return Ok(false) };
        let post = match stream.content(Post::MAX_BYTES).await {
            Ok(content) => Post::decode(&content).ok(),
            Err(Error::Unread(_)) => {
                // Only what was read to its end is taken, and what is not taken comes again.
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
                None
            }
            // Its time passed while it was read.
            Err(Error::NotFound(_)) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        match post {
            Some(post) => {
                let (from, id, created) = (stream.letterhead().from, stream.id(), stream.created());
                self.store.add(KeptPost { from, id, created, received: now(), post })?;
            }
            None => self.ignored += 1,
        }
        stream.taken().await?;
        Ok(true)
    }

    /// Sends a post, which everybody gets who takes part within a day, and keeps it.
    ///
    /// # Errors
    /// As [`send`].
    pub async fn post(&mut self, post: Post) -> Result<KeptPost> {
        send(&self.session, &mut self.store, post).await
    }
}

/// Sends a post without taking part, which everybody gets who does within a day, and keeps it. It is sent once the router answers for it.
///
/// # Errors
/// The router does not take it; and the post cannot be kept, though it is sent.
pub async fn send(session: &Session, store: &mut Store, post: Post) -> Result<KeptPost> {
    let Session { ipc, address, auth } = session;
    let bytes = post.encode();
    let size = u64::try_from(bytes.len()).expect("invariant: a length fits");
    let outgoing = Outgoing::new(*address, [Recipient::Namespace(space::namespace())]).size(size);
    let streams = ipc.send_all(auth, outgoing, &mut &bytes[..]).await?;
    let id: StreamId = match streams.first() {
        Some(stream) => stream.stream,
        None => return Err(Failure::failed("the router opened no stream")),
    };
    let kept = KeptPost { from: *address, id, created: now(), received: now(), post };
    store.add(kept.clone())?;
    Ok(kept)
}

fn now() -> WallTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_micros(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}
