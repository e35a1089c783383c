// SPDX-License-Identifier: AGPL-3.0-or-later
//! Programs that send and take streams, each in a thread with a connection of its own, and what they were told.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use irdest_lab::{Gateway, Message, StreamNews, StreamSocket};

/// The longest time until something is told that has to come.
const PATIENCE: Duration = Duration::from_secs(45);

/// What a program was told.
#[derive(Debug)]
enum Told {
    /// The daemon takes this content.
    Opened { stream: String, content: Vec<u8> },
    /// Something happened to a stream that it sent.
    Of { stream: String, news: StreamNews },
    /// A sender has heard the last, of this stream if it was opened, or its daemon has ended.
    SenderEnded { stream: Option<String> },
    /// A stream came.
    Came { to: String, message: Message },
    /// The daemon has heard that it was taken.
    Taken { stream: String },
}

/// What is known of one stream.
#[derive(Debug, Default)]
struct Fate {
    content: Vec<u8>,
    accepted: bool,
    stored: bool,
    /// Whether its daemon was killed before it had accepted it, as far as was told.
    abandoned: bool,
    /// How often it was given to a program.
    came: u32,
    /// Whether the daemon has heard that a program has it.
    taken: bool,
}

/// All streams of a test, and who sends and takes them.
#[derive(Debug)]
pub(crate) struct Ledger {
    fates: BTreeMap<String, Fate>,
    senders: usize,
    /// Of them those whose stream has no name yet.
    opening: usize,
    tell: Sender<Told>,
    told: Receiver<Told>,
}

impl Ledger {
    /// Without any stream.
    pub(crate) fn new() -> Self {
        let (tell, told) = channel();
        Self { fates: BTreeMap::new(), senders: 0, opening: 0, tell, told }
    }

    /// Begins to send a stream from one gateway to another.
    pub(crate) fn send(&mut self, from: &Gateway, to: &Gateway, content: Vec<u8>) {
        let (tell, mut socket) = (self.tell.clone(), StreamSocket::open(from).unwrap());
        let to = to.identity().address.clone();
        self.senders += 1;
        self.opening += 1;
        thread::spawn(move || {
            let stream = socket.open_stream(&to, content.len()).ok();
            if let Some(stream) = &stream {
                // A daemon that is killed says nothing more: an error then.
                let _ = send(&mut socket, stream, content, &tell);
            }
            let _ = tell.send(Told::SenderEnded { stream });
        });
    }

    /// Takes every stream that comes to a gateway, until its daemon ends.
    pub(crate) fn take_all(&self, at: &Gateway) {
        let (tell, mut socket) = (self.tell.clone(), StreamSocket::open(at).unwrap());
        let to = at.identity().address.clone();
        thread::spawn(move || {
            while let Ok(message) = socket.receive() {
                let stream = message.stream.clone();
                let _ = tell.send(Told::Came { to: to.clone(), message });
                if socket.taken().is_ok() {
                    let _ = tell.send(Told::Taken { stream });
                }
            }
        });
    }

    /// Waits until something more was told.
    pub(crate) fn hear(&mut self) {
        let told = self.told.recv_timeout(PATIENCE);
        let told = told.unwrap_or_else(|_| panic!("nothing more was told; {}", self.summary()));
        self.note(told);
    }

    /// Waits until this holds of all streams but those that were abandoned.
    pub(crate) fn wait_for(&mut self, holds: impl Fn(Known<'_>) -> bool) {
        let lacks = |fate: &Fate| !fate.abandoned && !holds(Known(fate));
        while self.opening > 0 || self.fates.values().any(lacks) {
            self.hear();
        }
    }

    /// Waits until every program that sends was told the last, or its daemon has ended.
    pub(crate) fn wait_for_senders(&mut self) {
        while self.senders > 0 {
            self.hear();
        }
    }

    /// Notes what was told meanwhile.
    pub(crate) fn catch_up(&mut self) {
        loop {
            match self.told.try_recv() {
                Ok(told) => self.note(told),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => panic!("invariant: we have an end ourselves"),
            }
        }
    }

    /// How many streams may be left halfway: their daemon was killed before it had accepted them.
    pub(crate) fn abandoned(&self) -> u64 {
        self.count(|fate| fate.abandoned && fate.came == 0)
    }

    /// How many streams were accepted that did not come yet.
    pub(crate) fn awaited(&self) -> u64 {
        self.count(|fate| fate.accepted && fate.came == 0)
    }

    fn count(&self, of: impl Fn(&Fate) -> bool) -> u64 {
        self.fates.values().filter(|fate| of(fate)).count().try_into().unwrap()
    }

    fn note(&mut self, told: Told) {
        match told {
            Told::Opened { stream, content } => {
                self.opening -= 1;
                self.fates.insert(stream, Fate { content, ..Fate::default() });
            }
            Told::Of { stream, news } => {
                let fate = self.fates.get_mut(&stream).expect("it was opened");
                fate.accepted |= news == StreamNews::Accepted;
                fate.stored |= news == StreamNews::Stored;
                let expected = [StreamNews::Accepted, StreamNews::Stored, StreamNews::Delivered];
                assert!(expected.contains(&news), "{stream} is {news:?}");
            }
            Told::SenderEnded { stream } => {
                self.senders -= 1;
                match stream {
                    Some(stream) => {
                        let fate = self.fates.get_mut(&stream).expect("it was opened");
                        fate.abandoned = !fate.accepted;
                    }
                    None => self.opening -= 1,
                }
            }
            Told::Came { to, message } => {
                let fate = self.fates.get_mut(&message.stream).expect("it was opened");
                assert!(!fate.taken, "{} was delivered twice to {to}", message.stream);
                assert!(message.content == fate.content, "what came is not what was sent");
                fate.came += 1;
            }
            Told::Taken { stream } => {
                let fate = self.fates.get_mut(&stream).expect("it was opened");
                assert!(!fate.taken, "{stream} was delivered twice");
                fate.taken = true;
                // It will not be compared again.
                fate.content = Vec::new();
            }
        }
    }

    fn summary(&self) -> String {
        let open = self.fates.iter().filter(|(_, fate)| !fate.taken);
        let open: Vec<_> = open
            .map(|(stream, Fate { content, accepted, stored, came, .. })| {
                let (bytes, name) = (content.len(), &stream[..8]);
                format!("{name}: {bytes} bytes, accepted: {accepted}, stored: {stored}, came {came} times")
            })
            .collect();
        format!("{} programs send, and not taken are [{}]", self.senders, open.join("; "))
    }
}

/// What is known of one stream, to be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a>(&'a Fate);

impl Known<'_> {
    /// Another router has said that it answers for it.
    pub(crate) fn is_stored(self) -> bool {
        self.0.stored
    }

    /// Its recipient has it.
    pub(crate) fn has_come(self) -> bool {
        self.0.came > 0
    }
}

fn send(
    socket: &mut StreamSocket,
    stream: &str,
    content: Vec<u8>,
    tell: &Sender<Told>,
) -> anyhow::Result<()> {
    tell.send(Told::Opened { stream: stream.to_owned(), content: content.clone() })?;
    socket.write(&content)?;
    loop {
        let news = socket.news()?;
        let is_last = news == StreamNews::Delivered;
        tell.send(Told::Of { stream: stream.to_owned(), news })?;
        if is_last {
            return Ok(());
        }
    }
}
