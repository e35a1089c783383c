// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of the clients sends what, and which of the streams that are here is whose to take.

use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, Now};
use router_core::streams::{Arrival, NewStream, SendError, StreamKey, Streams};
use tokio::sync::{mpsc, oneshot};

use super::clients::{Held, News, Sending};
use super::inlet::Inlet;

/// What a client may be told without having heard the last: all that there is to be told of one stream.
const MOST_NEWS: usize = 8;

/// What a client wants. A reply that is dropped means that the stream, or the message plane, has come to its end.
#[derive(Debug)]
pub(super) enum Ask {
    /// To send a stream.
    Send { new: NewStream, reply: oneshot::Sender<Result<Sending, SendError>> },
    /// To go on with it; answered when all of the content was taken, and not to be asked again before.
    Write { key: StreamKey, content: Vec<u8>, reply: oneshot::Sender<Result<(), SendError>> },
    /// To end it.
    Finish { key: StreamKey, reply: oneshot::Sender<Result<(), SendError>> },
    /// Nothing more: it is gone.
    Left { key: StreamKey },
    /// To take a stream, of this sender or of anybody; at once or when there is one.
    Receive { from: Option<Address>, wait: bool, reply: oneshot::Sender<Option<Held>> },
    /// Not to be given what was handed to it again.
    Taken { key: StreamKey, reply: oneshot::Sender<()> },
    /// To give it back.
    Released { key: StreamKey },
}

/// A client that sends a stream.
#[derive(Debug)]
struct Sender {
    news: mpsc::Sender<News>,
    writing: Option<Writing>,
    finished: bool,
}

/// Content that was not taken yet.
#[derive(Debug)]
struct Writing {
    content: Vec<u8>,
    taken: usize,
    reply: oneshot::Sender<Result<(), SendError>>,
}

/// A client that waits for a stream.
#[derive(Debug)]
struct Waiting {
    from: Option<Address>,
    /// Or is told that there is none.
    wait: bool,
    reply: oneshot::Sender<Option<Held>>,
}

/// All clients; there are no more than the control socket has places for.
#[derive(Debug)]
pub(super) struct Registry {
    inlet: Inlet,
    senders: BTreeMap<StreamKey, Sender>,
    waiting: Vec<Waiting>,
    held: BTreeSet<StreamKey>,
}

impl Registry {
    /// Without clients; they answer through `inlet`.
    pub(super) fn new(inlet: Inlet) -> Self {
        Self { inlet, senders: BTreeMap::new(), waiting: Vec::new(), held: BTreeSet::new() }
    }

    /// Does what a client wants. Replies to those who have left need not arrive.
    pub(super) fn handle(&mut self, ask: Ask, streams: &mut Streams, now: Now) {
        match ask {
            Ask::Send { new, reply } => {
                let sent = streams.send(new, now).map(|key| self.open(key));
                let _ = reply.send(sent);
            }
            Ask::Write { key, content, reply } => {
                // Without a sender the reply is dropped.
                if let Some(sender) = self.senders.get_mut(&key) {
                    sender.writing = Some(Writing { content, taken: 0, reply });
                    self.write_on(&key, streams, now);
                }
            }
            Ask::Finish { key, reply } => {
                if let Some(sender) = self.senders.get_mut(&key) {
                    let finished = streams.finish(&key, now);
                    sender.finished = finished.is_ok();
                    let _ = reply.send(finished);
                }
            }
            Ask::Left { key } => {
                if self.senders.remove(&key).is_some_and(|sender| !sender.finished) {
                    streams.abandon(&key);
                }
            }
            Ask::Receive { from, wait, reply } => {
                self.waiting.push(Waiting { from, wait, reply });
                self.hand_out(streams);
                for unserved in self.waiting.extract_if(.., |waiting| !waiting.wait) {
                    let _ = unserved.reply.send(None);
                }
            }
            Ask::Taken { key, reply } => {
                self.held.remove(&key);
                streams.taken(&key, now);
                let _ = reply.send(());
            }
            Ask::Released { key } => {
                self.held.remove(&key);
                self.hand_out(streams);
            }
        }
    }

    /// The stream takes content again.
    pub(super) fn write_on(&mut self, key: &StreamKey, streams: &mut Streams, now: Now) {
        let Some(sender) = self.senders.get_mut(key) else { return };
        let Some(mut writing) = sender.writing.take() else { return };
        match streams.write(key, &writing.content[writing.taken..], now) {
            Ok(taken) => writing.taken += taken,
            Err(error) => {
                let _ = writing.reply.send(Err(error));
                return;
            }
        }
        if writing.taken < writing.content.len() {
            sender.writing = Some(writing);
        } else {
            let _ = writing.reply.send(Ok(()));
        }
    }

    /// Tells a client, if it is still there, what became of its stream.
    pub(super) fn tell(&mut self, key: &StreamKey, news: News) {
        let Some(sender) = self.senders.get(key) else { return };
        // It has room for all that is ever told, or has left.
        let _ = sender.news.try_send(news);
        if news.is_last() {
            self.senders.remove(key);
        }
    }

    /// Hands the streams that nobody has yet to those who wait, the oldest first.
    pub(super) fn hand_out(&mut self, streams: &Streams) {
        self.waiting.retain(|waiting| !waiting.reply.is_closed());
        if self.waiting.is_empty() {
            return;
        }
        for arrival in streams.arrivals() {
            if self.held.contains(&arrival.key) {
                continue;
            }
            let wants = |waiting: &Waiting| waiting.from.is_none_or(|from| from == arrival.key.sender);
            let Some(first) = self.waiting.iter().position(wants) else { continue };
            self.hand(arrival, first);
        }
    }

    fn hand(&mut self, arrival: Arrival, to: usize) {
        let Waiting { reply, .. } = self.waiting.remove(to);
        self.held.insert(arrival.key);
        // Where nobody takes it any more, it says itself that it was released.
        let _ = reply.send(Some(Held::new(arrival, self.inlet.clone())));
    }

    fn open(&mut self, key: StreamKey) -> Sending {
        let (news, told) = mpsc::channel(MOST_NEWS);
        self.senders.insert(key, Sender { news, writing: None, finished: false });
        Sending::new(key, told, self.inlet.clone())
    }
}
