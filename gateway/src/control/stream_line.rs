// SPDX-License-Identifier: AGPL-3.0-or-later
//! What client and daemon say to each other about streams: lines of JSON, and content in pieces between them.
//!
//! A piece is its length, 4 bytes in network order, and at most [`MAX_PIECE`] bytes; one of length 0 is the end of the content.
//! Content that breaks off ends with [`BROKEN_OFF`] in place of a length, and a line that says why.

use std::fmt;

use ratman_types::{Address, Namespace, Recipient};
use ratman_wire::stream::StreamId;
use router_core::stream::Ended;
use router_core::streams::{Arrival, ListedStream, StreamStage};
use serde::{Deserialize, Serialize};

use super::{Owned, Urn};
use crate::message_plane::{Listed, News, Progress, Told};
use crate::namespace_key::NamespaceKey;
use crate::secret::digits;

/// The longest piece, in bytes: two of the largest blocks.
pub const MAX_PIECE: usize = 64 * 1024;

/// The length of a piece that is none: the content cannot be read any further.
pub(super) const BROKEN_OFF: u32 = u32::MAX;

/// What a client wants, `{"stream":{"send":{…}}}` or `{"stream":{"receive":{…}}}`. When it is done, the same connection takes
/// the next request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum StreamRequest {
    /// To send a stream. After [`StreamLine::Opened`] the client sends the content in pieces; a connection that ends before the
    /// content does abandons the stream. Then the daemon says what becomes of it, to the end; the client need not stay for that.
    Send {
        /// Whom it is for: an address, or a namespace with `namespace:` before it.
        to: Recipient,
        /// How many bytes it will have, where that is known before.
        size: Option<u64>,
        /// For how long it is wanted, in seconds: at most 30 days, to a namespace at most one.
        lifetime: u32,
        /// Whether to say how far it is, some times a second, in [`StreamLine::Progress`].
        #[serde(default)]
        progress: bool,
        /// Whether its blocks wait with the daemon until the recipient asks for them; then nobody else stores the stream for it. Not to a
        /// namespace.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pull: bool,
        /// The address of a client that sends it; the gateway's own if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owned: Option<Owned>,
    },
    /// To share content: it is stored once, and nobody is told of it yet. As [`StreamRequest::Send`], but what is said last is
    /// [`StreamLine::Shared`]. It is public: whoever has its name can read it.
    Up {
        /// How many bytes it will have, where that is known before.
        size: Option<u64>,
        /// For how long it is shared, in seconds: at most 30 days.
        lifetime: u32,
        /// The address of a client that shares it; the gateway's own if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owned: Option<Owned>,
    },
    /// To tell somebody of shared content, which is fetched from here then. Answered by [`StreamLine::Opened`] and what becomes of it,
    /// to the end; the client need not stay for that.
    Announce {
        /// Which.
        urn: Urn,
        /// Whom: an address, or a namespace with `namespace:` before it, where it lasts for a day at most.
        to: Recipient,
        /// The address of a client that shares it; the gateway's own if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owned: Option<Owned>,
    },
    /// To share content no more, and keep nothing of it; answered by [`StreamLine::Down`].
    Down {
        /// Which.
        urn: Urn,
        /// The address of a client that shares it; the gateway's own if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owned: Option<Owned>,
    },
    /// To take back the key of a namespace that was given to the daemon; answered by [`StreamLine::Unsubscribed`].
    Unsubscribe {
        /// Which.
        namespace: Namespace,
    },
    /// To know what streams there are; answered by [`StreamLine::Streams`].
    List,
    /// To take a stream. After [`StreamLine::Arrived`] the daemon sends the content in pieces, and the client answers
    /// [`StreamLine::Taken`] when it has it for good; if the connection ends before, the stream stays.
    Receive {
        /// Whose it is to be; anybody's if left out.
        from: Option<Address>,
        /// The key of the namespace to which it is to be sent; to an address if left out. The daemon subscribes to it for as long
        /// as it runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<NamespaceKey>,
        /// The address of a client to which it is to be sent; the gateway's own if left out. It counts for nothing where a namespace
        /// is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owned: Option<Owned>,
        /// Whether to wait for one.
        wait: bool,
    },
}

/// A line about a stream, `{"stream":…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamLine {
    /// The daemon takes content.
    Opened {
        /// The name of the stream, in hexadecimal.
        stream: String,
    },
    /// How much of it is where it is to go.
    Progress {
        /// Bytes of its blocks that the recipient has, or a router that carries them.
        arrived: u64,
        /// Bytes of all its blocks, where that is known: some more than its content has.
        in_all: Option<u64>,
    },
    /// The streams that are not over.
    Streams {
        /// At most 1024 of them, those that are sent first.
        streams: Vec<ListedLine>,
        /// How many there are beside.
        more: usize,
    },
    /// All of it is durable: it will be sent whatever happens to daemon and host.
    Accepted,
    /// Another router answers for it, since its recipient is not to be reached.
    Stored,
    /// The recipient has all of it. Nothing follows.
    Delivered,
    /// The recipient does not take it. Nothing follows.
    Refused,
    /// The recipient did not want it to be sent. Nothing follows.
    Denied,
    /// Its time passed. Nothing follows.
    Expired,
    /// It goes to whoever subscribed to its namespace, now or later, and nobody says that they have it. Nothing follows.
    Published,
    /// What it tells of is shared no more. Nothing follows.
    Withdrawn,
    /// The journal failed to take it, or the address that sends it was destroyed. Nothing follows.
    Failed,
    /// Content is shared, whatever happens to daemon and host. Nothing follows.
    Shared {
        /// What it is called.
        urn: Urn,
    },
    /// Content is shared no more, and nothing of it is kept here.
    Down,
    /// Nothing that is sent to a namespace is received any more.
    Unsubscribed {
        /// Whether it was before.
        was_subscribed: bool,
    },
    /// A stream is here, and its content follows.
    Arrived(Arrived),
    /// There is none, and the client does not want to wait.
    None,
    /// The client has it for good, and the daemon forgets it: said by the one, and then by the other.
    Taken,
}

impl StreamLine {
    /// Whether nothing follows about a stream that is sent.
    pub const fn is_last(&self) -> bool {
        match self {
            Self::Delivered | Self::Refused | Self::Denied | Self::Expired => true,
            Self::Published | Self::Withdrawn | Self::Failed | Self::Shared { .. } => true,
            Self::Down | Self::Unsubscribed { .. } => true,
            Self::Opened { .. } | Self::Progress { .. } | Self::Accepted | Self::Stored => false,
            Self::Streams { .. } | Self::Arrived(_) | Self::None | Self::Taken => false,
        }
    }
}

impl fmt::Display for StreamLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Opened { stream } => return write!(f, "stream {stream}"),
            Self::Progress { arrived, in_all: Some(in_all) } => {
                return write!(f, "{arrived} of {in_all} bytes");
            }
            Self::Progress { arrived, in_all: None } => return write!(f, "{arrived} bytes"),
            Self::Streams { streams, more } => return write!(f, "{} streams", streams.len() + more),
            Self::Accepted => "accepted: it will be sent, whatever happens here",
            Self::Stored => "stored: another router answers for it until its recipient can be reached",
            Self::Delivered => "delivered",
            Self::Refused => "refused: the recipient does not take it",
            Self::Denied => "denied: the recipient did not want it to be sent",
            Self::Expired => "expired: its time passed before it was delivered",
            Self::Published => "published: it goes from router to router to whoever subscribed, now or later",
            Self::Withdrawn => "withdrawn: it is shared no more",
            Self::Failed => "failed: the journal did not take it, or the address that sends it was destroyed",
            Self::Shared { urn } => return write!(f, "{urn}"),
            Self::Down => "down: it is shared no more",
            Self::Unsubscribed { was_subscribed: true } => "unsubscribed",
            Self::Unsubscribed { was_subscribed: false } => "nobody had subscribed",
            Self::Arrived(Arrived { from, stream, size, .. }) => {
                return write!(f, "{size} bytes from {from}, stream {stream}");
            }
            Self::None => "no stream is here",
            Self::Taken => "taken",
        })
    }
}

/// A stream that is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// Who sent it.
    pub from: Address,
    /// Whom it is for.
    pub to: Recipient,
    /// Its name, in hexadecimal.
    pub stream: String,
    /// The length of its content in bytes.
    pub size: u64,
    /// When it was made, by its sender's clock, in microseconds since 1970.
    pub created_us: u64,
}

/// A stream that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedLine {
    /// Where it is: `opening` or `sending` here, `stored` with another router; `shared` with whoever hears of it; `receiving`, or `waiting` to
    /// be taken; `sleeping` while its address is down, or the key of its namespace is not here.
    pub stage: String,
    /// Who sends it.
    pub from: Address,
    /// Whom it is for.
    pub to: Recipient,
    /// Its name, in hexadecimal.
    pub stream: String,
    /// The length of its content in bytes, where that is known.
    pub size: Option<u64>,
    /// Bytes of its blocks that are where they are to go.
    pub arrived: u64,
    /// Bytes of all its blocks, where that is known.
    pub in_all: Option<u64>,
    /// Until when it is wanted, in microseconds since 1970.
    pub end_us: u64,
    /// What it is called, if it is shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urn: Option<Urn>,
}

impl From<&ListedStream> for ListedLine {
    fn from(listed: &ListedStream) -> Self {
        let ListedStream { key, stage, size, arrived, in_all, end, capability } = listed;
        let stage = match stage {
            StreamStage::Opening => "opening",
            StreamStage::Sending => "sending",
            StreamStage::Stored => "stored",
            StreamStage::Receiving => "receiving",
            StreamStage::Waiting => "waiting",
            StreamStage::Sleeping => "sleeping",
            StreamStage::Shared => "shared",
        };
        Self {
            stage: stage.to_owned(),
            from: key.sender,
            to: key.recipient,
            stream: hexadecimal(&key.stream),
            size: size.map(|size| size.0),
            arrived: arrived.0,
            in_all: in_all.map(|bytes| bytes.0),
            end_us: end.as_micros(),
            urn: capability.clone().map(Urn::from),
        }
    }
}

impl From<Listed> for StreamLine {
    fn from(Listed { streams, more }: Listed) -> Self {
        Self::Streams { streams: streams.iter().map(ListedLine::from).collect(), more }
    }
}

impl From<Progress> for StreamLine {
    fn from(Progress { arrived, in_all }: Progress) -> Self {
        Self::Progress { arrived: arrived.0, in_all: in_all.map(|bytes| bytes.0) }
    }
}

impl From<Told> for StreamLine {
    fn from(told: Told) -> Self {
        match told {
            Told::News(news) => news.into(),
            Told::Progress(progress) => progress.into(),
        }
    }
}

/// What stands in a line of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Line {
    Stream(StreamLine),
    Error(String),
}

impl From<&Arrival> for Arrived {
    fn from(arrival: &Arrival) -> Self {
        Self {
            from: arrival.key.sender,
            to: arrival.key.recipient,
            stream: hexadecimal(&arrival.key.stream),
            size: arrival.size.0,
            created_us: arrival.created.as_micros(),
        }
    }
}

impl From<News> for StreamLine {
    fn from(news: News) -> Self {
        match news {
            News::Accepted => Self::Accepted,
            News::Stored => Self::Stored,
            News::Ended(Ended::Delivered) => Self::Delivered,
            News::Ended(Ended::Refused) => Self::Refused,
            News::Ended(Ended::Denied) => Self::Denied,
            News::Ended(Ended::Expired) => Self::Expired,
            News::Ended(Ended::Published) => Self::Published,
            News::Ended(Ended::Withdrawn) => Self::Withdrawn,
            News::Shared(capability) => Self::Shared { urn: capability.into() },
            News::Failed => Self::Failed,
        }
    }
}

/// The name of a stream for people and programs.
pub(super) fn hexadecimal(stream: &StreamId) -> String {
    digits(stream.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::RequestLine;

    #[test]
    fn lines_are_as_documented() {
        let address = Address::from_bytes([0xAB; 32]);
        let to = Recipient::Address(address);
        let send =
            StreamRequest::Send { to, size: None, lifetime: 60, progress: false, pull: false, owned: None };
        let text = format!(
            r#"{{"stream":{{"send":{{"to":"{address}","size":null,"lifetime":60,"progress":false}}}}}}"#
        );
        assert_eq!(serde_json::to_string(&RequestLine::Stream(send.clone())).unwrap(), text);
        let without_size = format!(r#"{{"stream":{{"send":{{"to":"{address}","lifetime":60}}}}}}"#);
        for text in [text, without_size] {
            assert_eq!(RequestLine::parse(text.as_bytes()), Ok(RequestLine::Stream(send.clone())));
        }
        assert_eq!(RequestLine::parse(br#"{"stream":"list"}"#), Ok(RequestLine::Stream(StreamRequest::List)));
        let receive = r#"{"stream":{"receive":{"from":null,"wait":true}}}"#;
        let parsed = RequestLine::parse(receive.as_bytes());
        assert_eq!(
            parsed,
            Ok(RequestLine::Stream(StreamRequest::Receive {
                from: None,
                namespace: None,
                owned: None,
                wait: true
            }))
        );
        let key = NamespaceKey::from_bytes([0x5A; 32]);
        let subscribes = StreamRequest::Receive { from: None, namespace: Some(key), owned: None, wait: true };
        let receive = format!(
            r#"{{"stream":{{"receive":{{"from":null,"namespace":"{}","wait":true}}}}}}"#,
            "5a".repeat(32)
        );
        assert_eq!(serde_json::to_string(&RequestLine::Stream(subscribes.clone())).unwrap(), receive);
        assert_eq!(RequestLine::parse(receive.as_bytes()), Ok(RequestLine::Stream(subscribes)));
        let urn: Urn = format!("urn:eris:{}", "B4".to_owned() + &"A".repeat(104)).parse().unwrap();
        let announce = StreamRequest::Announce { urn: urn.clone(), to, owned: None };
        let text = format!(r#"{{"stream":{{"announce":{{"urn":"{urn}","to":"{address}"}}}}}}"#);
        assert_eq!(serde_json::to_string(&RequestLine::Stream(announce.clone())).unwrap(), text);
        assert_eq!(RequestLine::parse(text.as_bytes()), Ok(RequestLine::Stream(announce)));
        for wrong in [
            r#"{"stream":{"down":{"urn":"urn:eris:B4"}}}"#,
            r#"{"stream":{}}"#,
            r#"{"stream":{"receive":{"wait":true,"x":1}}}"#,
            r#"{"stream":{"send":{"to":"x","lifetime":1}}}"#,
            r#"{"get":"status","stream":{"receive":{"wait":true}}}"#,
        ] {
            assert!(RequestLine::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let line = |line| serde_json::to_string(&Line::Stream(line)).unwrap();
        assert_eq!(line(StreamLine::Accepted), r#"{"stream":"accepted"}"#);
        let shared = format!(r#"{{"stream":{{"shared":{{"urn":"{urn}"}}}}}}"#);
        assert_eq!(line(StreamLine::Shared { urn }), shared);
        assert_eq!(
            line(StreamLine::Opened { stream: "7f".into() }),
            r#"{"stream":{"opened":{"stream":"7f"}}}"#
        );
        assert_eq!(
            line(StreamLine::Progress { arrived: 1, in_all: None }),
            r#"{"stream":{"progress":{"arrived":1,"in_all":null}}}"#
        );
        let arrived = Arrived { from: address, to, stream: "7f".into(), size: 1, created_us: 2 };
        let text = format!(
            r#"{{"stream":{{"arrived":{{"from":"{address}","to":"{to}","stream":"7f","size":1,"created_us":2}}}}}}"#
        );
        assert_eq!(line(StreamLine::Arrived(arrived)), text);
    }
}
