// SPDX-License-Identifier: AGPL-3.0-or-later
//! News that came and nobody has asked for.

use std::collections::{HashMap, VecDeque};

use ratman_wire::api::{News, OpenedStream, Progress, Recipient, StreamNews};

/// The news of the streams of one request. Of each it holds at most one of each kind, and of progress the latest, so it has a limit
/// and nothing is lost that says something new.
#[derive(Debug)]
pub(crate) struct NewsBox {
    streams: Vec<Waiting>,
    places: HashMap<Recipient, usize>,
    /// The streams of which there is something, in the order in which it came.
    order: VecDeque<usize>,
    /// Streams of which the last has not come.
    open: usize,
    is_whole: bool,
}

/// What is not told of one stream, in the order in which it is told.
#[derive(Debug)]
struct Waiting {
    stream: OpenedStream,
    accepted: bool,
    stored: bool,
    progress: Option<Progress>,
    last: Option<News>,
    is_over: bool,
}

impl Waiting {
    fn take(&mut self) -> Option<News> {
        if std::mem::take(&mut self.accepted) {
            return Some(News::Accepted);
        }
        if std::mem::take(&mut self.stored) {
            return Some(News::Stored);
        }
        self.progress.take().map(News::Progress).or_else(|| self.last.take())
    }

    const fn is_empty(&self) -> bool {
        !self.accepted && !self.stored && self.progress.is_none() && self.last.is_none()
    }
}

impl NewsBox {
    /// For these streams.
    pub(crate) fn new(streams: &[OpenedStream]) -> Self {
        let waiting = |stream: &OpenedStream| Waiting {
            stream: stream.clone(),
            accepted: false,
            stored: false,
            progress: None,
            last: None,
            is_over: false,
        };
        let places = streams.iter().enumerate().map(|(index, stream)| (stream.to, index)).collect();
        Self {
            streams: streams.iter().map(waiting).collect(),
            places,
            order: VecDeque::new(),
            open: streams.len(),
            is_whole: false,
        }
    }

    /// Takes news; whether they are of a stream of these that is not over.
    pub(crate) fn put(&mut self, StreamNews { stream, news }: StreamNews) -> bool {
        let Some(index) = self.places.get(&stream.to).copied() else { return false };
        let waiting = &mut self.streams[index];
        if waiting.stream != stream || waiting.is_over {
            return false;
        }
        if waiting.is_empty() {
            self.order.push_back(index);
        }
        self.is_whole |= matches!(news, News::Accepted | News::Stored | News::Delivered | News::Published);
        match news {
            News::Progress(progress) => waiting.progress = Some(progress),
            News::Accepted => waiting.accepted = true,
            News::Stored => waiting.stored = true,
            last @ (News::Delivered
            | News::Refused
            | News::Denied
            | News::Expired
            | News::Published
            | News::Failed
            | News::Cancelled) => {
                waiting.last = Some(last);
                waiting.is_over = true;
                self.open -= 1;
            }
        }
        true
    }

    /// The next to be told.
    pub(crate) fn take(&mut self) -> Option<(Recipient, News)> {
        let index = *self.order.front()?;
        let waiting = &mut self.streams[index];
        let news = waiting.take();
        if waiting.is_empty() {
            self.order.pop_front();
        }
        news.map(|news| (waiting.stream.to, news))
    }

    /// Whether the last has come of each stream.
    pub(crate) const fn is_complete(&self) -> bool {
        self.open == 0
    }

    /// Whether the router has heard that the content is complete: something came that only follows upon that.
    pub(crate) const fn is_of_whole_content(&self) -> bool {
        self.is_whole
    }

    /// The streams of which the last has not come.
    pub(crate) fn open(&self) -> impl Iterator<Item = &OpenedStream> {
        self.streams.iter().filter(|waiting| !waiting.is_over).map(|waiting| &waiting.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_wire::api::{Address, ByteCount, StreamId};

    fn stream(byte: u8) -> OpenedStream {
        OpenedStream {
            to: Recipient::Address(Address::from_bytes([byte; 32])),
            stream: StreamId::from_bytes([byte; 32]),
        }
    }

    fn news(byte: u8, news: News) -> StreamNews {
        StreamNews { stream: stream(byte), news }
    }

    fn progress(bytes: u64) -> News {
        News::Progress(Progress { arrived: ByteCount(bytes), in_all: None })
    }

    #[test]
    fn however_much_comes_little_waits_and_nothing_new_is_lost() {
        let mut news_box = NewsBox::new(&[stream(1), stream(2)]);
        for bytes in 0..10_000 {
            assert!(news_box.put(news(1, progress(bytes))));
            assert!(news_box.put(news(2, News::Stored)));
        }
        assert!(news_box.put(news(1, News::Accepted)));
        assert!(news_box.put(news(1, News::Delivered)));
        assert!(!news_box.is_complete() && news_box.is_of_whole_content());
        assert_eq!(news_box.open().collect::<Vec<_>>(), [&stream(2)]);
        let told: Vec<_> = std::iter::from_fn(|| news_box.take()).collect();
        let (one, two) = (stream(1).to, stream(2).to);
        assert_eq!(
            told,
            [(one, News::Accepted), (one, progress(9_999)), (one, News::Delivered), (two, News::Stored)]
        );
        assert!(news_box.put(news(2, News::Expired)));
        assert!(news_box.is_complete());
        assert_eq!(news_box.take(), Some((two, News::Expired)));
        assert_eq!(news_box.take(), None);
    }

    #[test]
    fn news_of_others_are_none() {
        let mut news_box = NewsBox::new(&[stream(1)]);
        assert!(!news_box.put(news(2, News::Accepted)), "another recipient");
        let other = StreamNews {
            stream: OpenedStream { stream: StreamId::from_bytes([7; 32]), ..stream(1) },
            news: News::Accepted,
        };
        assert!(!news_box.put(other), "another stream");
        assert!(news_box.put(news(1, progress(1))) && !news_box.is_of_whole_content());
        assert!(news_box.put(news(1, News::Delivered)));
        assert!(!news_box.put(news(1, News::Accepted)), "after the last");
        let told: Vec<_> = std::iter::from_fn(|| news_box.take()).map(|(_, news)| news).collect();
        assert_eq!(told, [progress(1), News::Delivered]);
    }
}
