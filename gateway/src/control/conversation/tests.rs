// SPDX-License-Identifier: AGPL-3.0-or-later

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::*;
use crate::control::{self, Server, StreamError, requests};
use crate::message_plane::tests::{Bed, content, own};

/// A server with a message plane behind it.
struct Socket {
    bed: Bed,
    path: PathBuf,
    _dir: tempfile::TempDir,
    server: tokio::task::JoinHandle<()>,
}

impl Socket {
    fn new() -> Self {
        let (bed, dir) = (Bed::new(), tempfile::tempdir().unwrap());
        let path = dir.path().join("control.sock");
        let streams = Some(bed.plane.clients().clone());
        let server = tokio::spawn(Server::bind(&path).unwrap().serve(requests().0, streams, None));
        Self { bed, path, _dir: dir, server }
    }

    /// Does what blocks, beside the server.
    async fn with<T: Send + 'static>(&self, run: impl FnOnce(&Path) -> T + Send + 'static) -> T {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || run(&path)).await.unwrap()
    }

    fn end(self) {
        self.server.abort();
        self.bed.plane.end();
    }
}

fn to_ourselves(size: Option<usize>) -> StreamRequest {
    let size = size.map(|size| size.try_into().unwrap());
    StreamRequest::Send {
        to: Recipient::Address(own()),
        size,
        lifetime: 60,
        progress: false,
        pull: false,
        owned: None,
    }
}

const ANY: StreamRequest = StreamRequest::Receive { from: None, namespace: None, owned: None, wait: true };

/// Sends and says what was told.
fn send(path: &Path, size: Option<usize>, mut content: &[u8]) -> Result<Vec<StreamLine>, StreamError> {
    let mut told = Vec::new();
    let sent = control::send(path, vec![to_ourselves(size)], &mut content, &mut |_, line| {
        told.push(line.clone());
        true
    })?;
    sent.into_iter().collect::<Result<(), _>>()?;
    Ok(told)
}

fn receive(path: &Path) -> Vec<u8> {
    let mut content = Vec::new();
    control::receive(path, ANY, |_| Ok(&mut content), |_| Ok(())).unwrap().unwrap();
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_any_size_go_through_the_socket() {
    let socket = Socket::new();
    for length in [0, 1, 200, MAX_PIECE, 1_000_001] {
        let content = content(length);
        let sent = content.clone();
        let told = socket.with(move |path| send(path, Some(length), &sent)).await.unwrap();
        assert!(matches!(&told[0], StreamLine::Opened { stream } if stream.len() == 64), "{told:?}");
        assert_eq!(told[1..], [StreamLine::Accepted, StreamLine::Delivered]);
        assert!(socket.with(receive).await == content, "{length} bytes");
    }
    let nothing = StreamRequest::Receive { from: None, namespace: None, owned: None, wait: false };
    let none = socket.with(|path| control::receive(path, nothing, |_| Ok(io::sink()), |_| Ok(()))).await;
    assert_eq!(none.unwrap(), None, "each was taken once");
    socket.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_read_once_goes_to_several_and_one_that_cannot_have_it_keeps_nobody_else_from_it() {
    let socket = Socket::new();
    let content = content(300_000);
    let sent = content.clone();
    let (told, results) = socket
        .with(move |path| {
            let mut told = vec![Vec::new(); 3];
            // The second says that it is shorter than it is.
            let requests = [None, Some(200_000), None].map(to_ourselves).to_vec();
            let results = control::send(path, requests, &mut &sent[..], &mut |place, line| {
                told[place].push(line.clone());
                true
            });
            (told, results.unwrap())
        })
        .await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    for place in [0, 2] {
        assert_eq!(told[place][1..], [StreamLine::Accepted, StreamLine::Delivered]);
        assert!(socket.with(receive).await == content);
    }
    let refused = results[1].as_ref().unwrap_err().to_string();
    assert!(refused.contains("the content was to have 200000 bytes, and has"), "{refused}");
    socket.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_stream_is_is_told_to_who_wants_to_know() {
    let socket = Socket::new();
    let content = content(3_000_000);
    let told = socket
        .with(move |path| {
            let mut told = Vec::new();
            let to = Recipient::Address(own());
            let request = StreamRequest::Send {
                to,
                size: Some(3_000_000),
                lifetime: 60,
                progress: true,
                pull: false,
                owned: None,
            };
            // As slow as the news are.
            let mut slow = Slow(&content);
            control::send(path, vec![request], &mut slow, &mut |_, line| {
                told.push(line.clone());
                true
            })
            .unwrap();
            told
        })
        .await;
    let arrived: Vec<(u64, Option<u64>)> = told
        .iter()
        .filter_map(|line| {
            let StreamLine::Progress { arrived, in_all } = line else { return None };
            Some((*arrived, *in_all))
        })
        .collect();
    let in_all = Some(93 * 32_768);
    assert!(arrived.len() > 1 && arrived.is_sorted(), "{arrived:?}");
    assert!(arrived.iter().all(|(_, all)| *all == in_all || all.is_none()), "{arrived:?}");
    let streams = socket.with(control::list).await.unwrap();
    let StreamLine::Streams { streams, more: 0 } = streams else { panic!("{streams:?}") };
    let [waiting] = &streams[..] else { panic!("{streams:?}") };
    assert_eq!((&*waiting.stage, waiting.from, waiting.size), ("waiting", own(), Some(3_000_000)));
    assert_eq!((Some(waiting.arrived), waiting.in_all), (in_all, in_all));
    socket.end();
}

/// Content that comes a piece at a time, with a pause between.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(Duration::from_millis(10));
        Read::read(&mut self.0, buffer)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_key_of_a_namespace_gets_what_was_sent_to_it() {
    let socket = Socket::new();
    let key = NamespaceKey::from_bytes([7; 32]);
    let to = Recipient::Namespace(key.namespace());
    let told = socket
        .with(move |path| {
            let mut told = Vec::new();
            let request = StreamRequest::Send {
                to,
                size: None,
                lifetime: 60,
                progress: false,
                pull: false,
                owned: None,
            };
            let sent = control::send(path, vec![request], &mut &b"to all of you"[..], &mut |_, line| {
                told.push(line.clone());
                true
            });
            sent.unwrap().pop().unwrap().unwrap();
            told
        })
        .await;
    assert_eq!(told[1..], [StreamLine::Accepted, StreamLine::Published]);
    let nothing = StreamRequest::Receive { from: None, namespace: None, owned: None, wait: false };
    let none = socket.with(|path| control::receive(path, nothing, |_| Ok(io::sink()), |_| Ok(()))).await;
    assert_eq!(none.unwrap(), None, "it was sent to no address");
    // What is there already is had without waiting.
    let request =
        StreamRequest::Receive { from: Some(own()), namespace: Some(key), owned: None, wait: false };
    let (arrived, content) = socket
        .with(|path| {
            let mut content = Vec::new();
            let arrived = control::receive(path, request, |_| Ok(&mut content), |_| Ok(()));
            (arrived.unwrap().unwrap(), content)
        })
        .await;
    assert_eq!((arrived.from, arrived.to, &content[..]), (own(), to, &b"to all of you"[..]));
    let request =
        StreamRequest::Send { to, size: None, lifetime: 86_401, progress: false, pull: false, owned: None };
    let refused =
        socket.with(move |path| control::send(path, vec![request], &mut io::empty(), &mut |_, _| true)).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.ends_with("a stream to a namespace is wanted for at most 86400 seconds"), "{refused}");
    socket.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_keep_a_stream_leaves_it() {
    let socket = Socket::new();
    socket.with(|path| send(path, None, b"kept")).await.unwrap();
    let full = |_| Err(io::Error::from(io::ErrorKind::StorageFull));
    let failed = socket.with(move |path| control::receive(path, ANY, |_| Ok(io::sink()), full)).await;
    assert!(matches!(failed, Err(StreamError::Sink(_))), "{failed:?}");
    assert_eq!(socket.with(receive).await, b"kept");
    socket.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_sends_nothing() {
    let socket = Socket::new();
    let mut failing = Read::chain(io::Cursor::new(content(100_000)), Unplugged);
    let failed = socket
        .with(move |path| control::send(path, vec![to_ourselves(None)], &mut failing, &mut |_, _| true))
        .await;
    assert!(matches!(failed, Err(StreamError::Source(_))), "{failed:?}");
    socket.bed.reported(|report| report.streams.sending == 0).await;
    socket.with(|path| send(path, None, b"whole")).await.unwrap();
    assert_eq!(socket.with(receive).await, b"whole");
    socket.end();
}

struct Unplugged;

impl Read for Unplugged {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("unplugged"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told() {
    let socket = Socket::new();
    let refused = socket.with(|path| send(path, Some(3), b"four")).await.unwrap_err().to_string();
    assert!(refused.contains("the daemon answered: the content was to have 3 bytes, and has"), "{refused}");
    let request = StreamRequest::Send {
        to: Recipient::Address(own()),
        size: None,
        lifetime: u32::MAX,
        progress: false,
        pull: false,
        owned: None,
    };
    let refused = socket
        .with(|path| control::send(path, vec![request], &mut io::empty(), &mut |_, _| true))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.ends_with("expected a lifetime of at most 2592000 seconds"), "{refused}");
    let said = socket
        .with(|path| {
            let mut stream = UnixStream::connect(path).unwrap();
            let line = format!(r#"{{"stream":{{"send":{{"to":"{}","lifetime":1}}}}}}"#, own());
            writeln!(stream, "{line}").unwrap();
            stream.write_all(&65_537_u32.to_be_bytes()).unwrap();
            let mut said = String::new();
            BufReader::new(stream).read_to_string(&mut said).unwrap();
            said
        })
        .await;
    let last = said.lines().last().unwrap();
    assert_eq!(last, r#"{"error":"expected a piece of at most 65536 bytes, got 65537"}"#);
    socket.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_one_stream_after_the_other_and_questions_between() {
    let socket = Socket::new();
    socket
        .with(|path| {
            let stream = UnixStream::connect(path).unwrap();
            let mut lines = BufReader::new(&stream).lines();
            let mut next = || lines.next().unwrap().unwrap();
            for _ in 0..3 {
                let line = format!(r#"{{"stream":{{"send":{{"to":"{}","size":2,"lifetime":60}}}}}}"#, own());
                (&stream).write_all(&[line.as_bytes(), b"\n\0\0\0\x02hi\0\0\0\0"].concat()).unwrap();
                assert!(next().starts_with(r#"{"stream":{"opened":"#));
                assert_eq!(next(), r#"{"stream":"accepted"}"#);
                assert_eq!(next(), r#"{"stream":"delivered"}"#);
            }
            (&stream).write_all(b"{\"get\":\"status\"}\n").unwrap();
            assert_eq!(next(), r#"{"error":"the daemon is ending"}"#, "this one has no control loop");
        })
        .await;
    for _ in 0..3 {
        assert_eq!(socket.with(receive).await, b"hi");
    }
    socket.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_places_of_their_own() {
    let socket = Socket::new();
    socket
        .with(|path| {
            let ask = || {
                let stream = UnixStream::connect(path).unwrap();
                (&stream).write_all(b"{\"stream\":{\"receive\":{\"wait\":true}}}\n").unwrap();
                stream
            };
            let answer = |stream: UnixStream| {
                let mut line = String::new();
                BufReader::new(stream).read_line(&mut line).unwrap();
                line
            };
            let mut waiting = Vec::new();
            // The server gives the place for those who ask back in its own time.
            while waiting.len() < server::MAX_STREAMS {
                let stream = ask();
                stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
                match (&stream).read_exact(&mut [0; 1]) {
                    Err(_) => waiting.push(stream),
                    Ok(()) => std::thread::yield_now(),
                }
            }
            let refused = answer(ask());
            assert_eq!(refused, "{\"error\":\"expected at most 64 streams at once, try again\"}\n");
            let questions = UnixStream::connect(path).unwrap();
            (&questions).write_all(b"{\"get\":\"status\"}\n").unwrap();
            assert!(answer(questions).starts_with("{\"error\":\"the daemon is ending\"}"));
        })
        .await;
    socket.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_message_plane_there_are_no_streams() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let server = tokio::spawn(Server::bind(&path).unwrap().serve(requests().0, None, None));
    let refused = tokio::task::spawn_blocking(move || send(&path, None, b"x").unwrap_err().to_string());
    assert!(refused.await.unwrap().ends_with("the daemon answered: this daemon has no streams"));
    server.abort();
}

fn up() -> StreamRequest {
    StreamRequest::Up { size: None, lifetime: 3600, owned: None }
}

/// Shares content, and says what it is called.
fn share(path: &Path, mut content: &[u8]) -> Urn {
    let mut told = Vec::new();
    let shared = control::send(path, vec![up()], &mut content, &mut |_, line| {
        told.push(line.clone());
        true
    });
    shared.unwrap().pop().unwrap().unwrap();
    let [StreamLine::Opened { .. }, StreamLine::Shared { urn }] = &told[..] else { panic!("{told:?}") };
    urn.clone()
}

/// Announces to each, and says what was told of each.
fn announce(path: &Path, urn: &Urn, to: &[Recipient]) -> Vec<Vec<StreamLine>> {
    let request = |to: &Recipient| StreamRequest::Announce { urn: urn.clone(), to: *to, owned: None };
    let mut told = vec![Vec::new(); to.len()];
    let ends = control::announce(path, to.iter().map(request).collect(), &mut |place, line| {
        told[place].push(line.clone());
        true
    });
    ends.unwrap().into_iter().for_each(Result::unwrap);
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shared_is_announced_listed_fetched_and_taken_down() {
    let socket = Socket::new();
    let content = content(700_000);
    let key = NamespaceKey::from_bytes([8; 32]);
    let all = [Recipient::Address(own()), Recipient::Namespace(key.namespace())];
    let sent = content.clone();
    let (urn, told) = socket
        .with(move |path| {
            let urn = share(path, &sent);
            assert_eq!(share(path, &sent), urn, "it is the same content");
            let told = announce(path, &urn, &all);
            (urn, told)
        })
        .await;
    assert_eq!(told[0][1..], [StreamLine::Accepted, StreamLine::Delivered]);
    assert_eq!(told[1][1..], [StreamLine::Accepted, StreamLine::Published]);
    assert!(socket.with(receive).await == content);
    let of_namespace =
        StreamRequest::Receive { from: Some(own()), namespace: Some(key.clone()), owned: None, wait: true };
    let fetched = socket
        .with(|path| {
            let mut fetched = Vec::new();
            control::receive(path, of_namespace, |_| Ok(&mut fetched), |_| Ok(())).unwrap().unwrap();
            fetched
        })
        .await;
    assert!(fetched == content, "fetched from its sender");

    let named = urn.clone();
    let (listed, again) = socket
        .with(move |path| {
            let listed = control::list(path).unwrap();
            (listed, announce(path, &named, &all[..1]))
        })
        .await;
    let StreamLine::Streams { streams, more: 0 } = listed else { panic!("{listed:?}") };
    let [shared] = &streams[..] else { panic!("{streams:?}") };
    assert_eq!((&*shared.stage, shared.from, shared.size), ("shared", own(), Some(700_000)));
    assert_eq!(shared.urn.as_ref(), Some(&urn));
    assert_eq!(again[0].last(), Some(&StreamLine::Delivered), "who has it says so at once");

    // Two who announce to somebody who is away: both hear that it will be done.
    let away = Recipient::Address(Address::from_bytes([1; 32]));
    let named = urn.clone();
    let accepted = socket
        .with(move |path| {
            let request = || StreamRequest::Announce { urn: named.clone(), to: away, owned: None };
            let until = &mut |_, line: &StreamLine| *line != StreamLine::Accepted;
            [0, 1].map(|_| control::announce(path, vec![request(), request()], until).unwrap().len())
        })
        .await;
    assert_eq!(accepted, [2, 2]);
    let down = StreamRequest::Down { urn: urn.clone(), owned: None };
    let (gone, refused, untold) = socket
        .with(move |path| {
            let gone = control::take_down(path, down.clone()).unwrap();
            let refused = control::take_down(path, down).unwrap_err().to_string();
            let announcement = StreamRequest::Announce { urn, to: Recipient::Address(own()), owned: None };
            let untold = control::announce(path, vec![announcement], &mut |_, _| true).unwrap();
            (gone, refused, untold)
        })
        .await;
    assert_eq!(gone, StreamLine::Down);
    assert!(refused.ends_with("the sender does not share this content"), "{refused}");
    let untold = untold[0].as_ref().unwrap_err().to_string();
    assert!(untold.ends_with("the sender does not share this content"), "{untold}");
    socket.bed.reported(|report| report.streams.shared == 0).await;
    socket.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_given_can_be_taken_back() {
    let socket = Socket::new();
    let key = NamespaceKey::from_bytes([9; 32]);
    let namespace = key.namespace();
    let none = StreamRequest::Receive { from: None, namespace: Some(key), owned: None, wait: false };
    let told = socket
        .with(move |path| {
            let taken = control::receive(path, none, |_| Ok(io::sink()), |_| Ok(())).unwrap();
            assert_eq!(taken, None);
            [0, 1].map(|_| control::unsubscribe(path, StreamRequest::Unsubscribe { namespace }).unwrap())
        })
        .await;
    assert_eq!(told, [true, false].map(|was_subscribed| StreamLine::Unsubscribed { was_subscribed }));
    socket.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_to_be_pulled_is_delivered_and_none_goes_to_a_namespace() {
    let socket = Socket::new();
    let request =
        |to| StreamRequest::Send { to, size: None, lifetime: 60, progress: false, pull: true, owned: None };
    let content = content(300_000);
    let sent = content.clone();
    let to_us = request(Recipient::Address(own()));
    let told = socket
        .with(move |path| {
            let mut told = Vec::new();
            let sent = control::send(path, vec![to_us], &mut &sent[..], &mut |_, line| {
                told.push(line.clone());
                true
            });
            sent.unwrap().pop().unwrap().unwrap();
            told
        })
        .await;
    assert_eq!(told[1..], [StreamLine::Accepted, StreamLine::Delivered]);
    assert!(socket.with(receive).await == content);
    let to_all = request(Recipient::Namespace(NamespaceKey::from_bytes([7; 32]).namespace()));
    let refused =
        socket.with(move |path| control::send(path, vec![to_all], &mut io::empty(), &mut |_, _| true)).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.ends_with("share the content, and announce it"), "{refused}");
    socket.end();
}
