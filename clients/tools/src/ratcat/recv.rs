// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratcat recv`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ratman_client::types::{Address, DateTime, Namespace, Recipient, Stage, StreamId, StreamKey};
use ratman_client::{Error, HexText, IncomingStream, ReceiveOptions, Reconnect};
use serde::{Serialize, Serializer};
use tokio::io::AsyncReadExt;

use super::sink::{Sink, Target};
use super::{file_name, namespace};
use crate::output::{Form, Output, complain, print};
use crate::progress_bar::ProgressBar;
use crate::space_key::read_key;
use crate::{Exit, Failure, GlobalArgs, Interrupt, Result, Session, Whom, time_span};

/// What is read at once.
const PIECE: usize = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct RecvArgs {
    /// Only of this sender: an address, or the name of a contact
    #[arg(value_name = "FROM")]
    from: Option<Whom>,
    /// How many streams; 0 for ever
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    count: u32,
    /// Write it to this file, which must not be there yet
    #[arg(short = 'O', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write each to a file in this folder, under the name that its sender gave it; no file is written over
    #[arg(short, long, value_name = "DIR", conflicts_with = "output")]
    dir: Option<PathBuf>,
    /// What is sent to this namespace, whose key the router knows
    #[arg(short, long, value_name = "NAMESPACE", value_parser = namespace)]
    space: Option<Namespace>,
    /// What is sent to the namespace whose key is in this file; the router is told the key, which it may have forgotten
    #[arg(short = 'k', long, value_name = "FILE", conflicts_with = "space")]
    space_key: Option<PathBuf>,
    /// End where none is there, and do not wait for one
    #[arg(long)]
    no_wait: bool,
    /// For how long to wait for each [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = time_span::parse)]
    timeout: Option<Duration>,
}

/// What is told of a stream, to programs.
#[derive(Debug, Serialize)]
struct Told {
    from: Address,
    to: Recipient,
    stream: String,
    size: u64,
    /// By the clock of its sender.
    #[serde(serialize_with = "as_text")]
    created: DateTime,
    /// What the sender says that the file is called, made harmless.
    name: Option<String>,
    file: Option<PathBuf>,
}

fn as_text<S: Serializer>(time: &DateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Receives; the exit code says whether there were as many as were wanted.
pub(super) async fn recv(global: &GlobalArgs, arguments: RecvArgs, mut interrupt: Interrupt) -> Result<Exit> {
    let RecvArgs { from, count, output, dir, space, space_key, no_wait, timeout } = arguments;
    let target = match (output, dir) {
        (Some(_), _) if count != 1 => {
            return Err(Failure::usage("--output is for one stream: use --dir for more"));
        }
        (Some(file), _) => Target::File(file),
        (None, Some(folder)) => Target::Folder(folder),
        (None, None) => Target::Output,
    };
    target.check()?;
    let receiver = Receiver { output: global.output(), target };
    let begin = async {
        let session = global.session().await?;
        let mut options = ReceiveOptions::new().wait(!no_wait).reconnect(Reconnect::default());
        if count > 0 {
            options = options.limit(count);
        }
        if let Some(from) = from {
            options = options.from(from.find_address(&session.ipc).await?);
        }
        let space = match space_key {
            Some(file) => Some(session.ipc.space_create(&session.auth, &read_key(&file)?).await?),
            None => space,
        };
        if let Some(namespace) = space {
            enter(&session, namespace).await?;
            options = options.to(Recipient::Namespace(namespace));
        }
        if let Some((stream, offset)) = receiver.find_part(&session).await {
            options = options.resume(stream, offset);
        }
        Ok::<_, Failure>((session, options))
    };
    let (session, options) = tokio::select! {
        begun = Box::pin(begin) => begun?,
        () = interrupt.came() => return Err(Failure::interrupted("")),
    };
    let mut incoming = session.ipc.receive(&session.auth, session.address, options);
    let mut received: u32 = 0;
    while count == 0 || received < count {
        let limit = timeout.unwrap_or(Duration::MAX);
        let stream = tokio::select! {
            stream = tokio::time::timeout(limit, incoming.next()) => stream,
            () = interrupt.came() => return Err(Failure::interrupted("")),
        };
        let Ok(stream) = stream else {
            let text = format!("nothing came in {}", time_span::show(limit));
            return Err(Failure::new(Exit::NotDelivered, text));
        };
        let Some(stream) = stream? else { break };
        Box::pin(receiver.take(stream, &mut interrupt)).await?;
        received = received.saturating_add(1);
    }
    if received < count {
        return Err(Failure::new(Exit::NotDelivered, "nothing is here; without --no-wait it is waited for"));
    }
    Ok(Exit::Done)
}

/// Has the address take what is sent to a namespace.
async fn enter(session: &Session, namespace: Namespace) -> Result<()> {
    match session.ipc.space_up(&session.auth, session.address, namespace).await {
        Ok(()) => Ok(()),
        // A router says either of a key that it does not know.
        Err(Error::NotFound(_) | Error::Input(_)) => Err(Failure::failed(format!(
            "namespace:{namespace}: the router does not know its key: say --space-key FILE"
        ))),
        Err(error) => Err(error.into()),
    }
}

struct Receiver {
    output: Output,
    target: Target,
}

impl Receiver {
    /// A stream of which an earlier run left a part, and how much that is.
    async fn find_part(&self, session: &Session) -> Option<(StreamKey, u64)> {
        if !self.target.has_parts() {
            return None;
        }
        // Who does not know receives from the beginning.
        let streams = session.ipc.stream_list(&session.auth, session.address).await.ok()?;
        let here = streams.into_iter().filter(|entry| entry.stage == Stage::Waiting);
        here.into_iter().find_map(|entry| {
            let has = self.target.has(entry.stream.stream)?;
            let size = entry.size?.0;
            (1..=size).contains(&has).then_some((entry.stream, has))
        })
    }

    /// Writes a stream, and says that it is taken once it is there for good.
    async fn take(&self, mut stream: IncomingStream<'_>, interrupt: &mut Interrupt) -> Result<()> {
        let letterhead = stream.letterhead();
        let told_name = file_name::told(&letterhead.auxiliary_data);
        let mut told = Told {
            from: letterhead.from,
            to: letterhead.to,
            stream: stream.id().to_hex().to_string(),
            size: letterhead.stream_size.0,
            created: stream.created().into(),
            name: told_name.clone(),
            file: None,
        };
        let mut sink = self.target.open(stream.id(), stream.offset())?;
        let written = tokio::select! {
            written = self.write(&mut stream, &mut sink) => written,
            () = interrupt.came() => Err(Failure::interrupted("")),
        };
        if let Err(failure) = written {
            return Err(left(failure, sink));
        }
        let name = told_name.unwrap_or_else(|| nameless(stream.id()));
        told.file = sink.keep(&name)?;
        let taken = tokio::select! {
            taken = stream.taken() => taken.map_err(Failure::from),
            () = interrupt.came() => Err(Failure::interrupted("the router did not answer")),
        };
        taken.map_err(|Failure { exit, message }| {
            Failure::new(exit, format!("{message}; it was written, and may come again"))
        })?;
        self.tell(&told)
    }

    async fn write(&self, stream: &mut IncomingStream<'_>, sink: &mut Sink) -> Result<()> {
        let size = stream.letterhead().stream_size.0;
        let mut bar = ProgressBar::new(self.output, "received", stream.offset(), Some(size));
        let mut piece = vec![0; PIECE];
        loop {
            let length = stream.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            if !sink.is_terminal() {
                bar.add(length);
            }
            sink.write(&piece[..length])?;
        }
    }

    /// Says what came: to people on standard error; to programs as a line of JSON on standard output, unless that has the content.
    fn tell(&self, told: &Told) -> Result<()> {
        match (self.output.form, &self.target) {
            (Form::Json, Target::Output) => {
                complain(serde_json::to_string(told).map_err(std::io::Error::from)?);
                Ok(())
            }
            (Form::Json, _) => print(serde_json::to_string(told).map_err(std::io::Error::from)?),
            (Form::Lines, _) => {
                let Told { from, to, size, created, name, file, .. } = told;
                let created = time_span::moment(*created);
                let name = name.as_ref().map(|name| format!(" as {name}")).unwrap_or_default();
                let file = file.as_ref().map(|file| format!(", in {}", file.display())).unwrap_or_default();
                let to = match to {
                    Recipient::Namespace(_) => format!(" to {to}"),
                    Recipient::Address(_) => String::new(),
                };
                self.output.note(format_args!("from {from}{to}: {size} bytes{name}, sent {created}{file}"));
                Ok(())
            }
        }
    }
}

fn nameless(stream: StreamId) -> String {
    format!("stream-{}", &stream.to_hex()[..16])
}

/// What is left of a stream that did not get whole.
fn left(failure: Failure, sink: Sink) -> Failure {
    let Failure { exit, message } = failure;
    let Some(part) = sink.leave() else {
        return Failure::new(
            exit,
            if message.is_empty() { "the stream stays with the router".into() } else { message },
        );
    };
    let separator = if message.is_empty() { "" } else { "; " };
    let part = part.display();
    Failure::new(
        exit,
        format!("{message}{separator}what came is in {part}: the same command goes on with it"),
    )
}
