// SPDX-License-Identifier: AGPL-3.0-or-later
//! What one request of a client sends: the same content to each of its recipients.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use ratman_types::{Address, ByteCount};
use ratman_wire::api::OpenedStream;
use router_core::streams::{SendError, StreamKey};
use tokio::sync::oneshot;

use super::named;
use crate::client_api::sending_places::SendingPlace;
use crate::message_plane::{News, Progress, Sending};

/// One of the streams.
struct One {
    sending: Sending,
    /// Whether nothing follows about it.
    is_over: bool,
    /// Whether it has taken the last piece.
    taking: Option<oneshot::Receiver<Result<(), SendError>>>,
}

/// Streams whose content a client hands over.
pub(super) struct Going {
    pub(super) from: Address,
    streams: Vec<One>,
    /// Bytes of the content so far.
    pub(super) offset: ByteCount,
    pub(super) is_complete: bool,
    /// Let go when the content is complete, and while none comes.
    pub(super) places: Option<SendingPlace>,
}

/// What happens to them, by the place of each.
pub(super) enum Happening {
    /// Something to be told.
    News(usize, News),
    /// One does not take a piece.
    NotTaken(usize, SendError),
    /// All that may have taken the piece.
    Taken,
}

impl Going {
    /// With nothing of the content.
    pub(super) fn new(from: Address, sendings: Vec<Sending>, places: SendingPlace) -> Self {
        let one = |sending| One { sending, is_over: false, taking: None };
        let streams = sendings.into_iter().map(one).collect();
        Self { from, streams, offset: ByteCount(0), is_complete: false, places: Some(places) }
    }

    /// Which they are, in the order of the recipients.
    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = OpenedStream> + '_ {
        self.streams.iter().map(|one| named(one.sending.key()))
    }

    /// One of them.
    pub(super) fn key(&self, place: usize) -> &StreamKey {
        self.streams[place].sending.key()
    }

    /// Nothing follows about one of them.
    pub(super) fn is_over(&mut self, place: usize) {
        self.streams[place].is_over = true;
    }

    /// Whether nothing follows about any of them.
    pub(super) fn are_over(&self) -> bool {
        self.streams.iter().all(|one| one.is_over)
    }

    /// Hands a piece to all of them.
    pub(super) fn write(&mut self, piece: &[u8]) {
        for one in self.streams.iter_mut().filter(|one| !one.is_over) {
            one.taking = Some(one.sending.write(piece.to_vec()));
        }
        self.offset.0 = self.offset.0.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
    }

    /// Whether a piece is being taken.
    pub(super) fn is_taking(&self) -> bool {
        self.streams.iter().any(|one| one.taking.is_some())
    }

    /// The content is complete: says of which streams it is not as it should be.
    pub(super) async fn finish(&mut self) -> Vec<(usize, SendError)> {
        let mut wrong = Vec::new();
        for (place, one) in self.streams.iter().enumerate().filter(|(_, one)| !one.is_over) {
            if let Ok(Err(error)) = one.sending.finish().await {
                wrong.push((place, error));
            }
        }
        self.is_complete = true;
        self.places = None;
        wrong
    }

    /// What happens to any of them next; for ever where nothing follows. Cancel safe.
    pub(super) async fn happening(&mut self) -> Happening {
        poll_fn(|context| {
            if let Poll::Ready(happening) = self.poll_taking(context) {
                return Poll::Ready(happening);
            }
            for (place, one) in self.streams.iter_mut().enumerate().filter(|(_, one)| !one.is_over) {
                match one.sending.poll_news(context) {
                    Poll::Ready(Some(news)) => return Poll::Ready(Happening::News(place, news)),
                    Poll::Ready(None) => return Poll::Ready(Happening::News(place, News::Failed)),
                    Poll::Pending => {}
                }
            }
            Poll::Pending
        })
        .await
    }

    fn poll_taking(&mut self, context: &mut Context<'_>) -> Poll<Happening> {
        if !self.is_taking() {
            return Poll::Pending;
        }
        for (place, one) in self.streams.iter_mut().enumerate() {
            let Some(taking) = &mut one.taking else { continue };
            if let Poll::Ready(taken) = Pin::new(taking).poll(context) {
                one.taking = None;
                // Where none is given the stream has ended, and its news say how.
                if let Ok(Err(error)) = taken {
                    return Poll::Ready(Happening::NotTaken(place, error));
                }
            }
        }
        if self.is_taking() { Poll::Pending } else { Poll::Ready(Happening::Taken) }
    }

    /// How far those are that are further than was told.
    pub(super) fn progress(&mut self) -> Vec<(OpenedStream, Progress)> {
        let under_way = self.streams.iter_mut().filter(|one| !one.is_over);
        let further =
            under_way.filter_map(|one| Some((named(one.sending.key()), one.sending.progress_at_once()?)));
        further.collect()
    }
}
