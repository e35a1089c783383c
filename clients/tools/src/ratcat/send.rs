// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratcat send`.

use std::io::{IsTerminal, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ratman_client::types::{Lifetime, Namespace, News, Recipient};
use ratman_client::{Error, Outgoing, Sending};
use serde_json::json;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::fates::{Fates, Wait};
use super::file_name;
use super::kept_send::{KeptSend, KeptSends, SentFile};
use super::{NAME, namespace};
use crate::output::{Output, complain, print};
use crate::progress_bar::ProgressBar;
use crate::{Exit, Failure, GlobalArgs, Interrupt, Result, Session, Whom, time_span};

/// What is read at once: a piece of content.
const PIECE: usize = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// Whom it is for: addresses, or names of contacts; several joined by commas, or each with --to
    #[arg(
        short = 'a',
        long = "to",
        alias = "addr",
        value_name = "WHOM",
        value_delimiter = ',',
        required_unless_present = "space"
    )]
    to: Vec<Whom>,
    /// Namespaces it is for: everybody who is up in one gets it
    #[arg(short, long, value_name = "NAMESPACE", value_delimiter = ',', value_parser = namespace)]
    space: Vec<Namespace>,
    /// For how long it is wanted: seconds, or a number with s, m, h or d; at most 30d, to a namespace 1d [default: 7d, to a
    /// namespace 1d]
    #[arg(long, value_name = "TIME", value_parser = time_span::parse_lifetime)]
    lifetime: Option<Lifetime>,
    /// How many bytes it has, where that is known of a pipe: the router then refuses at once what it has no room for
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// What the recipients are told as the name of the file; "" for nothing [default: the name of FILE]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What to wait for
    #[arg(long, value_enum, default_value_t = Wait::Stored)]
    wait: Wait,
    /// For how long to wait for that; afterwards the router still sends it [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = time_span::parse)]
    timeout: Option<Duration>,
    /// Go on with FILE where an earlier run ended in the middle, if the router still has that; and with Ctrl-C leave
    /// with it what it has
    #[arg(long, requires = "file")]
    resume: bool,
    /// What to send; standard input if left out or -
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What is sent.
struct Source {
    reader: Reader,
    size: Option<u64>,
    /// Where it can be gone on with later.
    file: Option<SentFile>,
}

enum Reader {
    File(File),
    Input(tokio::io::Stdin),
}

impl Source {
    async fn open(arguments: &SendArgs) -> Result<Self> {
        let Some(path) = arguments.file.as_deref().filter(|path| path.as_os_str() != "-") else {
            return Ok(Self { reader: Reader::Input(tokio::io::stdin()), size: arguments.size, file: None });
        };
        let failed = |error: std::io::Error| Failure::file(path, &error);
        let file = File::open(path).await.map_err(failed)?;
        let metadata = file.metadata().await.map_err(failed)?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!(
                "{}: is a folder; send it as `tar -c FOLDER | {NAME} send …`",
                path.display()
            )));
        }
        let size = if metadata.is_file() { Some(metadata.len()) } else { arguments.size };
        Ok(Self { reader: Reader::File(file), size, file: SentFile::of(path, &metadata) })
    }
}

/// Sends; the exit code says whether what was waited for has come for all recipients.
pub(super) async fn send(global: &GlobalArgs, arguments: SendArgs, mut interrupt: Interrupt) -> Result<Exit> {
    let output = global.output();
    // To open a pipe waits for who writes to it.
    let source = tokio::select! {
        source = Source::open(&arguments) => source?,
        () = interrupt.came() => return Err(Failure::interrupted("nothing was sent")),
    };
    let sender = Sender { output, arguments, sends: KeptSends::of_user() };
    let (session, to, mut sending, kept) = tokio::select! {
        begun = Box::pin(sender.begin(global, &source)) => begun?,
        () = interrupt.came() => return Err(Failure::interrupted("nothing was sent")),
    };
    let mut fates = Fates::new(sending.resume_token().streams(), sender.arguments.wait);
    let written = tokio::select! {
        written = Box::pin(sender.write(&mut sending, source)) => written,
        () = interrupt.came() => return sender.give_up(sending, kept, interrupt).await,
    };
    match written {
        // The news tell why it is over.
        Ok(()) | Err(Error::Ended) => {}
        Err(error) => {
            let can_go_on = error.is_unreachable() && kept.is_some();
            return Err(with_way_on(error.into(), can_go_on));
        }
    }
    let waited = tokio::select! {
        waited = Box::pin(sender.wait(&session, &to, &mut sending, &mut fates)) => waited,
        () = interrupt.came() => Err(Failure::interrupted("")),
    };
    match (waited, fates.is_accepted()) {
        (waited, true) => {
            if let Some(kept) = kept {
                kept.forget();
            }
            sender.tell(&fates)?;
            match waited {
                Ok(()) => Ok(fates.exit()),
                Err(failure) if fates.is_over() => Err(failure),
                Err(failure) => Err(left_behind(failure)),
            }
        }
        (Err(failure), false) if failure.exit == Exit::Interrupted => {
            sender.give_up(sending, kept, interrupt).await
        }
        // All was written, and the router may not have had all of it.
        (Err(failure), false) => {
            let can_go_on = failure.exit == Exit::NoRouter && kept.is_some();
            Err(with_way_on(failure, can_go_on))
        }
        // It is over without news, which breaks the protocol.
        (Ok(()), false) => Err(Failure::failed("the router says nothing of what it took")),
    }
}

/// The router answers for it, whatever ended the waiting.
fn left_behind(failure: Failure) -> Failure {
    let separator = if failure.message.is_empty() { "" } else { ": " };
    let Failure { exit, message } = failure;
    Failure::new(exit, format!("{message}{separator}your router has all of it, and goes on sending"))
}

struct Sender {
    output: Output,
    arguments: SendArgs,
    sends: Option<KeptSends>,
}

impl Sender {
    async fn begin(
        &self,
        global: &GlobalArgs,
        source: &Source,
    ) -> Result<(Session, Vec<Recipient>, Sending, Option<KeptSend>)> {
        let session = global.session().await?;
        let mut to: Vec<Recipient> = self.arguments.space.iter().copied().map(Recipient::Namespace).collect();
        for whom in &self.arguments.to {
            to.push(whom.find(&session.ipc).await?);
        }
        to.sort_unstable();
        to.dedup();
        let (sending, kept) = self.open(&session, &to, source).await?;
        Ok((session, to, sending, kept))
    }

    /// A stream that was begun before, or a new one.
    async fn open(
        &self,
        session: &Session,
        to: &[Recipient],
        source: &Source,
    ) -> Result<(Sending, Option<KeptSend>)> {
        let sends = self.sends.as_ref().zip(source.file.as_ref());
        let found = sends.and_then(|(sends, file)| sends.find(file, session.address, to));
        if let Some(kept) = found.filter(|_| self.arguments.resume) {
            match session.ipc.resume(&session.auth, &kept.token, true).await {
                Ok(sending) => return Ok((sending, Some(kept))),
                Err(Error::NotFound(_)) => {
                    self.output.note("the router has nothing of it any more: from the beginning");
                    kept.forget();
                }
                Err(error) => return Err(error.into()),
            }
        }
        let SendArgs { lifetime, name, file, .. } = &self.arguments;
        let of_file = || Some(file.as_ref()?.file_name()?.to_string_lossy().into_owned());
        let name = name.clone().or_else(of_file).filter(|name| name != "-").unwrap_or_default();
        let mut outgoing = Outgoing::new(session.address, to.iter().copied())
            .progress(true)
            .auxiliary_data(file_name::tell(&name)?);
        if let Some(size) = source.size {
            outgoing = outgoing.size(size);
        }
        if let Some(lifetime) = *lifetime {
            outgoing = outgoing.lifetime(lifetime);
        }
        let sending = session.ipc.send(&session.auth, outgoing).await?;
        // Who cannot keep it can send it all the same.
        let kept = sends.and_then(|(sends, file)| sends.keep(file, sending.resume_token().clone()).ok());
        Ok((sending, kept))
    }

    /// Gives the router all of the content.
    async fn write(&self, sending: &mut Sending, source: Source) -> Result<(), Error> {
        let offset = sending.offset();
        let mut bar = ProgressBar::new(self.output, "to the router", offset, source.size);
        match source.reader {
            Reader::File(mut file) => {
                if offset > 0 {
                    file.seek(SeekFrom::Start(offset)).await?;
                }
                copy(&mut file, sending, &mut bar).await?;
            }
            Reader::Input(mut input) => {
                if std::io::stdin().is_terminal() {
                    self.output.note("type what to send, and end it with Ctrl-D on a line of its own");
                }
                copy(&mut input, sending, &mut bar).await?;
            }
        }
        sending.finish().await
    }

    /// Hears until what was waited for has come for all, or will not.
    async fn wait(
        &self,
        session: &Session,
        to: &[Recipient],
        sending: &mut Sending,
        fates: &mut Fates,
    ) -> Result<()> {
        let mut bar = ProgressBar::new(self.output, "on its way", 0, None);
        let waiting = async {
            let mut is_told = false;
            while !fates.is_over() {
                let Some((to_whom, news)) = sending.next_news().await? else { break };
                let is_progress = matches!(news, News::Progress(_));
                fates.hear(&to_whom, news);
                if is_progress {
                    let (arrived, in_all) = fates.progress();
                    bar.set(arrived, in_all);
                } else if !is_told && fates.is_accepted() && !fates.is_over() {
                    is_told = true;
                    bar.clear();
                    self.tell_of_routes(session, to).await;
                }
            }
            Ok(())
        };
        let Some(limit) = self.arguments.timeout else { return waiting.await };
        match tokio::time::timeout(limit, waiting).await {
            Ok(waited) => waited,
            Err(_) => {
                let text = format!("not in {}", time_span::show(limit));
                Err(Failure::new(Exit::NotDelivered, text))
            }
        }
    }

    /// Says who cannot be reached at the moment: that is why nothing happens.
    async fn tell_of_routes(&self, session: &Session, to: &[Recipient]) {
        for recipient in to {
            let &Recipient::Address(address) = recipient else { continue };
            // A router that does not tell of routes sends all the same.
            let Ok(route) = session.ipc.route_query(address).await else { return };
            if !route.is_some_and(|route| route.live || route.local) {
                self.output
                    .note(format_args!("{address}: no route to it at the moment: your router waits for one"));
            }
        }
    }

    /// Says what became of it: to people on standard error, to programs on standard output.
    fn tell(&self, fates: &Fates) -> Result<()> {
        if self.output.form == crate::output::Form::Json {
            let told = json!({ "ok": fates.exit() == Exit::Done, "streams": fates.told() });
            return print(told);
        }
        for fate in &fates.each {
            if fate.is_met {
                self.output.note(fate);
            } else {
                complain(format_args!("{NAME}: {fate}"));
            }
        }
        Ok(())
    }

    /// The user wants no more of it.
    async fn give_up(
        &self,
        sending: Sending,
        kept: Option<KeptSend>,
        mut interrupt: Interrupt,
    ) -> Result<Exit> {
        if self.arguments.resume && kept.is_some() {
            drop(sending);
            return Err(Failure::interrupted(
                "the router keeps what it has for some minutes: go on with the same command",
            ));
        }
        if let Some(kept) = kept {
            kept.forget();
        }
        let cancelled = tokio::select! {
            cancelled = sending.cancel() => cancelled,
            // Who presses it twice does not want to wait for a router.
            () = interrupt.came() => return Err(Failure::interrupted("given up; the router may not know it yet")),
        };
        match cancelled {
            Ok(()) => Err(Failure::interrupted("given up: the router forgets what it has")),
            Err(error) => {
                Err(Failure::interrupted(format!("given up, but the router does not know: {error}")))
            }
        }
    }
}

/// It broke before the router answered for it.
fn with_way_on(mut failure: Failure, can_go_on: bool) -> Failure {
    if can_go_on {
        failure.message.push_str("; go on with the same command and --resume");
    }
    failure
}

async fn copy(
    reader: &mut (impl AsyncRead + Unpin),
    sending: &mut Sending,
    bar: &mut ProgressBar,
) -> Result<(), Error> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = reader.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        sending.write_all(&piece[..length]).await?;
        bar.add(length);
    }
}
