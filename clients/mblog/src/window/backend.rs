// SPDX-License-Identifier: AGPL-3.0-or-later
//! What talks with the router and keeps the posts, on a thread of its own: a window that waits is no window.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use irdest_tools::{Failure, GlobalArgs, Result};
use tokio::runtime::Builder;
use tokio::sync::mpsc as bounded;
use tokio::time::{MissedTickBehavior, interval};

use crate::{Feed, KeptPost, Post, Store};

/// The most that wait to be shown or to be sent.
const ROOM: usize = 256;

/// How often it is looked whether another program has added something.
const LOOK: Duration = Duration::from_secs(1);

/// What the window hears.
#[derive(Debug)]
pub(super) enum Told {
    /// One more post, of before or new.
    Post(Box<KeptPost>),
    /// A post of the user's is sent.
    Sent,
    /// A post of the user's is not sent, and why.
    NotSent(String),
    /// Nothing comes any more, and why.
    Over(String),
}

/// The window's end of it.
#[derive(Debug)]
pub(super) struct Backend {
    /// What is to be sent.
    pub(super) posts: bounded::Sender<Post>,
    /// What is to be shown.
    pub(super) told: bounded::Receiver<Told>,
}

impl Backend {
    /// Connects as the user and takes part, then goes on by itself.
    ///
    /// # Errors
    /// There is no identity, no router, or no folder.
    pub(super) fn start(global: GlobalArgs, data: Option<PathBuf>) -> Result<Self> {
        let (posts, to_send) = bounded::channel(ROOM);
        let (tell, told) = bounded::channel(ROOM);
        let (ready, is_ready) = mpsc::sync_channel(1);
        thread::Builder::new().name("router".to_owned()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error.into()))),
            };
            runtime.block_on(async {
                match Box::pin(join(&global, data)).await {
                    Ok(feed) => {
                        let _gone = ready.send(Ok(()));
                        let why = match Box::pin(go_on(feed, to_send, &tell)).await {
                            Ok(()) => return,
                            Err(failure) => failure.message,
                        };
                        let _gone = tell.send(Told::Over(why)).await;
                    }
                    Err(failure) => drop(ready.send(Err(failure))),
                }
            });
        })?;
        is_ready.recv().map_err(|_| Failure::failed("the thread of the router ended"))??;
        Ok(Self { posts, told })
    }
}

async fn join(global: &GlobalArgs, data: Option<PathBuf>) -> Result<Feed> {
    let store = Store::open(&data.map_or_else(Store::folder, Ok)?)?;
    Feed::join(global.session().await?, store, true).await
}

/// Tells and sends until the window is closed.
async fn go_on(
    mut feed: Feed,
    mut to_send: bounded::Receiver<Post>,
    tell: &bounded::Sender<Told>,
) -> Result<()> {
    let mut last = None;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        feed.store().refresh()?;
        let new = feed.store().after(last).to_vec();
        for kept in new {
            last = Some(kept.key());
            if tell.send(Told::Post(Box::new(kept))).await.is_err() {
                return Ok(());
            }
        }
        tokio::select! {
            come = feed.next() => drop(come?),
            post = to_send.recv() => {
                let Some(post) = post else { return Ok(()) };
                let told = match feed.post(post).await {
                    Ok(_) => Told::Sent,
                    Err(failure) => Told::NotSent(failure.message),
                };
                if tell.send(told).await.is_err() {
                    return Ok(());
                }
            }
            _ = looks.tick() => {}
        }
    }
}
