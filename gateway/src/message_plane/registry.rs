// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of the clients sends what, and what becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ratman_types::{Address, Namespace, Now, Recipient, SecretKey};
use ratman_wire::stream::StreamId;
use router_core::streams::{
    ListedStream, NewShare, NewStream, Place, SendError, StreamKey, StreamStage, Streams,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::clients::{Listed, News, NotStored, Progress, Sending, Wanted};
use super::inlet::Inlet;
use super::members::NamespaceError;
use super::questions::{Answers, Questions};
use super::shares::{Announcing, TakeDownError};
use super::takers::{Receiving, Takers};

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
    /// To make the key of a namespace known.
    Know { key: Arc<SecretKey>, by: Address, reply: oneshot::Sender<Result<Namespace, NamespaceError>> },
    /// To have what is sent to a namespace; answered when what is here of it already is to be had.
    Join { namespace: Namespace, member: Address, reply: oneshot::Sender<Result<(), NamespaceError>> },
    /// Not to have it any more; whether it had it.
    Leave { namespace: Namespace, member: Address, reply: oneshot::Sender<bool> },
    /// To have the key of a namespace forgotten that nobody else takes part in; whether it was known.
    Forget { namespace: Namespace, by: Address, reply: oneshot::Sender<Result<bool, NamespaceError>> },
    /// To have it forgotten whoever takes part; whether it was known.
    Unsubscribe { namespace: Namespace, reply: oneshot::Sender<bool> },
    /// To know of which namespaces a key is known, and whether an address takes part.
    Namespaces { by: Address, reply: oneshot::Sender<Vec<(Namespace, bool)>> },
    /// To know who takes part in a namespace, anywhere; answered when the time is over.
    Who { namespace: Namespace, asker: Address, window: Duration, reply: Answers },
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
    /// To know what streams there are from and to an address, beyond one of them: so many.
    ListOf { of: Address, after: Option<Place>, most: usize, reply: oneshot::Sender<StreamsPage> },
    /// To hear what becomes of a stream that is sent; nothing where it is not.
    Follow { key: StreamKey, reply: oneshot::Sender<Option<Announcing>> },
    /// To end a stream that is sent, or one that comes; whether it was there.
    End { key: StreamKey, of: Address, reply: oneshot::Sender<bool> },
    /// To take a stream, at once or when there is one.
    Receive { wanted: Wanted, reply: Receiving },
    /// Not to be given what was handed to it again; answered when that is durable, or cannot be.
    Taken { key: StreamKey, by: Address, reply: oneshot::Sender<Result<(), NotStored>> },
    /// To give it back.
    Released { key: StreamKey, by: Address },
}

/// Streams that are listed at most, at some hundred bytes each; how many more there are is told.
const MAX_LISTED: usize = 1024;

/// A page of such a list ends early after a look at so many streams: in a namespace there may be any number that the address has
/// taken, and others have not. Some microseconds each.
const MOST_LOOKED_AT: usize = 1024;

/// Streams of a page, and where it ends, unless nothing follows.
pub(super) type StreamsPage = (Vec<ListedStream>, Option<Place>);

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

/// A client that waits until shared content is gone for good.
#[derive(Debug)]
struct TakingDown {
    sender: Address,
    stream: StreamId,
    reply: oneshot::Sender<Result<(), TakeDownError>>,
}

/// All clients; there are no more than the sockets for clients have places for.
#[derive(Debug)]
pub(super) struct Registry {
    inlet: Inlet,
    senders: BTreeMap<StreamKey, Sender>,
    /// Who wants to know what becomes of a stream that somebody else began; several may of the same.
    following: Vec<(StreamKey, mpsc::Sender<News>)>,
    /// Who waits until shared content is gone for good.
    taking_down: Vec<TakingDown>,
    /// Who asks who of a namespace is there.
    pub(super) questions: Questions,
    /// Who takes what comes.
    pub(super) takers: Takers,
}

impl Registry {
    /// Without clients; they answer through `inlet`. The gateway's address is that of who says none.
    pub(super) fn new(inlet: Inlet, own: Address) -> Self {
        let takers = Takers::new(inlet.clone(), own);
        let questions = Questions::default();
        Self {
            inlet,
            senders: BTreeMap::new(),
            following: Vec::new(),
            taking_down: Vec::new(),
            questions,
            takers,
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
            Ask::Know { key, by, reply } => _ = reply.send(self.takers.members().know(key, by)),
            Ask::Join { namespace, member, reply } => {
                self.takers.join((namespace, member), reply, streams, now);
            }
            Ask::Leave { namespace, member, reply } => {
                let _ = reply.send(self.takers.leave((namespace, member), streams));
            }
            Ask::Forget { namespace, by, reply } => {
                let _ = reply.send(self.takers.forget((namespace, by), streams));
            }
            Ask::Unsubscribe { namespace, reply } => {
                let _ = reply.send(self.takers.remove(&namespace, streams));
            }
            Ask::Namespaces { by, reply } => {
                let _ = reply.send(self.takers.members().seen_by(&by).collect());
            }
            Ask::Who { namespace, asker, window, reply } => {
                let members = self.takers.members();
                self.questions.ask((namespace, asker, window), reply, (members, streams), now);
            }
            Ask::Share { new, reply } => {
                let shared = streams.share(new, now).map(|key| self.open(key));
                let _ = reply.send(shared);
            }
            Ask::Announce { sender, stream, recipient, reply } => {
                let announced = streams.announce(sender, stream, recipient, now);
                let _ = reply.send(
                    announced.map(|key| self.follow(key, streams.is_accepted(&key), StreamStage::Sending)),
                );
            }
            Ask::TakeDown { sender, stream, reply } => {
                if streams.take_down(sender, stream) {
                    self.taking_down.push(TakingDown { sender, stream, reply });
                } else {
                    let _ = reply.send(Err(TakeDownError::NotShared));
                }
            }
            Ask::List { reply } => {
                let listed: Vec<_> = streams.list().take(MAX_LISTED).collect();
                let more = streams.count().saturating_sub(listed.len());
                let _ = reply.send(Listed { streams: listed, more });
            }
            Ask::ListOf { of, after, most, reply } => {
                let _ = reply.send(self.list_of(&of, after, most, streams));
            }
            Ask::Follow { key, reply } => {
                let stage = streams.listed_sent(&key).map(|listed| listed.stage);
                let is_accepted = stage.is_some() && streams.is_accepted(&key);
                let following = stage.map(|stage| self.follow(key, is_accepted, stage));
                let _ = reply.send(following);
            }
            Ask::End { key, of, reply } => {
                let is_sent = key.sender == of && streams.withdraw(&key);
                let is_denied = key.recipient == Recipient::Address(of) && streams.deny(&key, now);
                let _ = reply.send(is_sent || is_denied);
            }
            Ask::Receive { wanted, reply } => self.takers.receive(wanted, reply, streams),
            Ask::Taken { key, by, reply } => self.takers.taken((key, by), reply, streams, now),
            Ask::Released { key, by } => self.takers.released(&key, by, streams),
        }
    }

    /// The streams from and to an address, those to namespaces that it takes part in included, in the order of their places.
    fn list_of(&self, of: &Address, after: Option<Place>, most: usize, streams: &Streams) -> StreamsPage {
        let namespaces = self.takers.takes_part_in(of).map(Recipient::Namespace);
        let recipients = namespaces.chain([Recipient::Address(*of)]);
        // Of what waits for others their sender learns nothing but that it is delivered.
        let is_theirs = |listed: &ListedStream| match (listed.place(), &listed.key.recipient) {
            ((key, false), Recipient::Namespace(_)) => !streams.has_taken(&key, of),
            _ => true,
        };
        page(streams.list_of(*of, recipients, after), most, is_theirs)
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

    /// Tells clients how far their streams are.
    pub(super) fn tell_progress(&self, streams: &Streams) {
        for (key, sender) in &self.senders {
            let Some(ListedStream { arrived, in_all, .. }) = streams.listed_sent(key) else { continue };
            let now = Progress { arrived, in_all };
            sender.progress.send_if_modified(|told| std::mem::replace(told, now) != now);
        }
    }

    /// Tells clients that content is shared no more.
    pub(super) fn taken_down(&mut self, (sender, stream): (Address, StreamId), durable: bool) {
        let is_it = |down: &mut TakingDown| (down.sender, down.stream) == (sender, stream);
        for TakingDown { reply, .. } in self.taking_down.extract_if(.., is_it) {
            let _ = reply.send(if durable { Ok(()) } else { Err(TakeDownError::NotStored) });
        }
    }

    fn follow(&mut self, key: StreamKey, is_accepted: bool, stage: StreamStage) -> Announcing {
        self.following.retain(|(_, told)| !told.is_closed());
        let (news, told) = mpsc::channel(MOST_NEWS);
        let so_far = [(is_accepted, News::Accepted), (stage == StreamStage::Stored, News::Stored)];
        so_far.into_iter().filter(|(is_so, _)| *is_so).for_each(|(_, was)| _ = news.try_send(was));
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

/// So many of a list, and where more may be found.
fn page(
    list: impl Iterator<Item = ListedStream>,
    most: usize,
    is_theirs: impl Fn(&ListedStream) -> bool,
) -> StreamsPage {
    let (mut list, mut page, mut last) = (list.peekable(), Vec::new(), None);
    for listed in list.by_ref().take(MOST_LOOKED_AT) {
        last = Some(listed.place());
        if is_theirs(&listed) {
            page.push(listed);
        }
        if page.len() >= most {
            break;
        }
    }
    let more = list.peek().is_some();
    (page, last.filter(|_| more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_types::{ByteCount, WallTime};

    fn listed(number: usize) -> ListedStream {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let (sender, stream) = (Address::from_bytes([1; 32]), StreamId::from_bytes(bytes));
        ListedStream {
            key: StreamKey { sender, recipient: Recipient::Address(sender), stream },
            stage: StreamStage::Waiting,
            size: None,
            arrived: ByteCount(0),
            in_all: None,
            end: WallTime::default(),
            capability: None,
        }
    }

    #[test]
    fn a_page_looks_at_little_more_than_it_has_and_goes_on_where_it_ended() {
        let looked_at = std::cell::Cell::new(0);
        let list = |from: usize| (from..100_000).map(listed).inspect(|_| looked_at.set(looked_at.get() + 1));
        let (first, next) = page(list(0), 256, |_| true);
        assert_eq!((first.len(), next), (256, Some(listed(255).place())));
        assert!(looked_at.take() <= 257);
        // Where the address has nearly all of them.
        let is_theirs = |listed: &ListedStream| listed.place() == self::listed(90_000).place();
        let (mut found, mut from) = (Vec::new(), 0);
        loop {
            let (of_page, next) = page(list(from), 256, is_theirs);
            assert!(looked_at.take() <= MOST_LOOKED_AT + 1);
            found.extend(of_page);
            let Some((key, _)) = next else { break };
            let (number, _) = key.stream.as_bytes().split_first_chunk().unwrap();
            from = usize::from_be_bytes(*number) + 1;
        }
        assert_eq!(found, [listed(90_000)]);
    }
}
