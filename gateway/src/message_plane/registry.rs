// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of the clients sends what, and which of the streams that are here is whose to take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ratman_types::{Address, Namespace, Now, Recipient, SecretKey, Signer};
use ratman_wire::stream::StreamId;
use router_core::journal::GroupNumber;
use router_core::streams::{Arrival, ListedStream, NewShare, NewStream, SendError, StreamKey, Streams};
use tokio::sync::{mpsc, oneshot, watch};

use super::clients::{Held, Listed, News, NotStored, Progress, Sending, TooManyNamespaces, Wanted};
use super::inlet::Inlet;
use super::shares::{Announcing, TakeDownError};

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
    /// To have what is sent to a namespace; answered when what is here of it already is to be had.
    Subscribe { key: Arc<SecretKey>, reply: oneshot::Sender<Result<(), TooManyNamespaces>> },
    /// Not to have it any more; whether anybody had it.
    Unsubscribe { namespace: Namespace, reply: oneshot::Sender<bool> },
    /// To share content, which is written as that of a stream is.
    Share { new: NewShare, reply: oneshot::Sender<Result<Sending, SendError>> },
    /// To tell somebody of shared content.
    Announce {
        sender: Address,
        stream: StreamId,
        recipient: Recipient,
        reply: oneshot::Sender<Result<Announcing, SendError>>,
    },
    /// To share it no more; answered when that is durable, or cannot be.
    TakeDown { sender: Address, stream: StreamId, reply: oneshot::Sender<Result<(), TakeDownError>> },
    /// To know what streams there are.
    List { reply: oneshot::Sender<Listed> },
    /// To take a stream, at once or when there is one.
    Receive { wanted: Wanted, wait: bool, reply: oneshot::Sender<Option<Held>> },
    /// Not to be given what was handed to it again; answered when that is durable, or cannot be.
    Taken { key: StreamKey, reply: oneshot::Sender<Result<(), NotStored>> },
    /// To give it back.
    Released { key: StreamKey },
}

/// Streams that are listed at most, at some hundred bytes each; how many more there are is told.
const MAX_LISTED: usize = 1024;

/// A client that sends a stream.
#[derive(Debug)]
struct Sender {
    news: mpsc::Sender<News>,
    progress: watch::Sender<Progress>,
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
    wanted: Wanted,
    /// Or is told that there is none.
    wait: bool,
    reply: oneshot::Sender<Option<Held>>,
}

/// A client that waits until what was sent to its namespace before is to be had.
#[derive(Debug)]
struct Subscribing {
    namespace: Namespace,
    /// What was there when it asked.
    newest: GroupNumber,
    reply: oneshot::Sender<Result<(), TooManyNamespaces>>,
}

/// A client that waits until shared content is gone for good.
#[derive(Debug)]
struct TakingDown {
    sender: Address,
    stream: StreamId,
    reply: oneshot::Sender<Result<(), TakeDownError>>,
}

/// All clients; there are no more than the control socket has places for.
#[derive(Debug)]
pub(super) struct Registry {
    inlet: Inlet,
    senders: BTreeMap<StreamKey, Sender>,
    /// Who wants to know what becomes of an announcement; several may of the same.
    following: Vec<(StreamKey, mpsc::Sender<News>)>,
    /// Who waits until shared content is gone for good.
    taking_down: Vec<TakingDown>,
    waiting: Vec<Waiting>,
    held: BTreeSet<StreamKey>,
    /// Clients that wait until what was sent to their namespaces before is to be had.
    subscribing: Vec<Subscribing>,
    /// Clients that want to be told that they have a stream for good.
    taking: BTreeMap<StreamKey, oneshot::Sender<Result<(), NotStored>>>,
}

impl Registry {
    /// Without clients; they answer through `inlet`.
    pub(super) fn new(inlet: Inlet) -> Self {
        Self {
            inlet,
            senders: BTreeMap::new(),
            following: Vec::new(),
            taking_down: Vec::new(),
            waiting: Vec::new(),
            held: BTreeSet::new(),
            subscribing: Vec::new(),
            taking: BTreeMap::new(),
        }
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
            Ask::Subscribe { key, reply } => {
                let namespace = Namespace::from_bytes(key.public());
                if streams.add_namespace(key, now) {
                    let newest = streams.newest_flooded().unwrap_or_default();
                    self.subscribing.push(Subscribing { namespace, newest, reply });
                    self.tell_subscribed(streams);
                } else {
                    let _ = reply.send(Err(TooManyNamespaces));
                }
            }
            Ask::Unsubscribe { namespace, reply } => {
                let _ = reply.send(streams.remove_namespace(&namespace));
            }
            Ask::Share { new, reply } => {
                let shared = streams.share(new, now).map(|key| self.open(key));
                let _ = reply.send(shared);
            }
            Ask::Announce { sender, stream, recipient, reply } => {
                let announced = streams.announce(sender, stream, recipient, now);
                let _ =
                    reply.send(announced.map(|key| self.follow(key, streams.is_announced_for_good(&key))));
            }
            Ask::TakeDown { sender, stream, reply } => {
                if streams.take_down(sender, stream) {
                    self.taking_down.push(TakingDown { sender, stream, reply });
                } else {
                    let _ = reply.send(Err(TakeDownError::NotShared));
                }
            }
            Ask::List { reply } => {
                let mut streams = streams.list();
                let listed = streams.by_ref().take(MAX_LISTED).collect();
                let _ = reply.send(Listed { streams: listed, more: streams.count() });
            }
            Ask::Receive { wanted, wait, reply } => {
                self.waiting.push(Waiting { wanted, wait, reply });
                self.hand_out(streams);
                for unserved in self.waiting.extract_if(.., |waiting| !waiting.wait) {
                    let _ = unserved.reply.send(None);
                }
            }
            Ask::Taken { key, reply } => {
                self.held.remove(&key);
                self.taking.insert(key, reply);
                streams.taken(&key, now);
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
        self.following.retain(|(followed, told)| {
            let is_of_it = followed == key;
            if is_of_it {
                let _ = told.try_send(news.clone());
            }
            !(is_of_it && news.is_last() || told.is_closed())
        });
        let Some(sender) = self.senders.get(key) else { return };
        // It has room for all that is ever told, or has left.
        let is_last = news.is_last();
        let _ = sender.news.try_send(news);
        if is_last {
            self.senders.remove(key);
        }
    }

    /// Tells clients that what was sent to their namespaces before is to be had.
    pub(super) fn tell_subscribed(&mut self, streams: &Streams) {
        let is_over = |waiting: &mut Subscribing| {
            waiting.reply.is_closed() || !streams.is_catching_up(&waiting.namespace, waiting.newest)
        };
        for Subscribing { reply, .. } in self.subscribing.extract_if(.., is_over) {
            let _ = reply.send(Ok(()));
        }
    }

    /// Tells clients how far their streams are.
    pub(super) fn tell_progress(&self, streams: &Streams) {
        for (key, sender) in &self.senders {
            let Some(ListedStream { arrived, in_all, .. }) = streams.listed_sent(key) else { continue };
            let now = Progress { arrived, in_all };
            sender.progress.send_if_modified(|told| std::mem::replace(told, now) != now);
        }
    }

    /// Tells a client, if it is still there, whether it is stored that it has a stream.
    pub(super) fn taken(&mut self, key: &StreamKey, durable: bool) {
        if let Some(reply) = self.taking.remove(key) {
            let _ = reply.send(if durable { Ok(()) } else { Err(NotStored) });
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
            let wants = |waiting: &Waiting| waiting.wanted.includes(&arrival.key);
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

    /// Tells clients that content is shared no more.
    pub(super) fn taken_down(&mut self, (sender, stream): (Address, StreamId), durable: bool) {
        let is_it = |down: &mut TakingDown| (down.sender, down.stream) == (sender, stream);
        for TakingDown { reply, .. } in self.taking_down.extract_if(.., is_it) {
            let _ = reply.send(if durable { Ok(()) } else { Err(TakeDownError::NotStored) });
        }
    }

    fn follow(&mut self, key: StreamKey, is_accepted: bool) -> Announcing {
        self.following.retain(|(_, told)| !told.is_closed());
        let (news, told) = mpsc::channel(MOST_NEWS);
        if is_accepted {
            let _ = news.try_send(News::Accepted);
        }
        self.following.push((key, news));
        Announcing::new(key, told)
    }

    fn open(&mut self, key: StreamKey) -> Sending {
        let (news, told) = mpsc::channel(MOST_NEWS);
        let (progress, watched) = watch::channel(Progress::default());
        self.senders.insert(key, Sender { news, progress, writing: None, finished: false });
        Sending::new(key, (told, watched), self.inlet.clone())
    }
}
