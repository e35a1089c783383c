// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-gateway stream up`, `announce` and `down`: content that is stored once, and fetched by whoever heard of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use ratman_types::Recipient;
use ratman_wire::stream::Lifetime;

use super::{Fates, Wait, lifetime, shown, source};
use crate::cli::desk::AsArgs;
use crate::cli::print;
use crate::control::{self, StreamLine, StreamRequest, Urn};

#[derive(Debug, Args)]
pub(in crate::cli) struct UpArgs {
    /// Whom to tell of it at once: addresses, and namespaces as namespace:KEY; several joined by commas, or each with --to
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    to: Vec<Recipient>,
    /// For how long it is shared: seconds, or a number with s, m, h or d; at most 30d
    #[arg(long, value_name = "TIME", value_parser = lifetime, default_value = "7d")]
    lifetime: Lifetime,
    #[command(flatten)]
    on_behalf: AsArgs,
    /// What happens as lines of JSON
    #[arg(long)]
    json: bool,
    /// The control socket [default: control.socket of the configuration]
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) socket: Option<PathBuf>,
    /// What to share; standard input if left out or -
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AnnounceArgs {
    /// Whom to tell of it: addresses, and namespaces as namespace:KEY, which are told for a day at most; several joined by commas, or
    /// each with --to
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', required = true)]
    to: Vec<Recipient>,
    #[command(flatten)]
    on_behalf: AsArgs,
    /// What to wait for
    #[arg(long, value_enum, default_value_t = WaitFor::Accepted)]
    wait: WaitFor,
    /// What happens as lines of JSON, each with the recipient and what is told of it
    #[arg(long)]
    json: bool,
    /// The control socket [default: control.socket of the configuration]
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) socket: Option<PathBuf>,
    /// What `stream up` has printed
    #[arg(value_name = "URN")]
    urn: Urn,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DownArgs {
    #[command(flatten)]
    on_behalf: AsArgs,
    /// The control socket [default: control.socket of the configuration]
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) socket: Option<PathBuf>,
    /// What `stream up` has printed
    #[arg(value_name = "URN")]
    urn: Urn,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UnsubscribeArgs {
    /// The control socket [default: control.socket of the configuration]
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) socket: Option<PathBuf>,
    /// Which, as namespace:KEY
    #[arg(value_name = "NAMESPACE", value_parser = namespace)]
    namespace: ratman_types::Namespace,
}

/// What `stream announce` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WaitFor {
    /// Durable here: they will be told whatever happens to this host
    Accepted,
    /// The recipient has fetched all of it; of a namespace, that it is published
    Delivered,
}

fn namespace(text: &str) -> Result<ratman_types::Namespace, String> {
    match text.parse() {
        Ok(Recipient::Namespace(namespace)) => Ok(namespace),
        Ok(Recipient::Address(_)) | Err(_) => Err("expected a namespace, as namespace:KEY".to_owned()),
    }
}

/// Shares a content and prints its name, then tells whom it is to be told.
pub(in crate::cli) fn up(socket: &Path, arguments: &UpArgs) -> anyhow::Result<ExitCode> {
    let UpArgs { to, lifetime, json, file, .. } = arguments;
    let (mut content, size) = source(file.as_deref())?;
    let owned = arguments.on_behalf.read()?;
    let request = StreamRequest::Up { size, lifetime: lifetime.as_secs(), owned: owned.clone() };
    let (mut urn, mut last) = (None, None);
    let sent = control::send(socket, vec![request], &mut content, &mut |_, line| {
        if let StreamLine::Shared { urn: shared } = line {
            urn = Some(shared.clone());
        }
        last = Some(line.clone());
        true
    })?;
    sent.into_iter().collect::<Result<(), _>>()?;
    let Some(urn) = urn else {
        anyhow::bail!("{}", last.map_or_else(String::new, |line| line.to_string()));
    };
    if *json {
        print(shown(&StreamLine::Shared { urn: urn.clone() })?)?;
    } else {
        print(&urn)?;
    }
    if to.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    tell(socket, (&urn, to), owned.as_ref(), (WaitFor::Accepted, *json))
}

/// Tells others of a shared content; the exit code says whether what was waited for has come for all of them.
pub(in crate::cli) fn announce(socket: &Path, arguments: &AnnounceArgs) -> anyhow::Result<ExitCode> {
    let AnnounceArgs { to, wait, json, urn, .. } = arguments;
    tell(socket, (urn, to), arguments.on_behalf.read()?.as_ref(), (*wait, *json))
}

fn tell(
    socket: &Path,
    (urn, to): (&Urn, &[Recipient]),
    owned: Option<&control::Owned>,
    (wait, json): (WaitFor, bool),
) -> anyhow::Result<ExitCode> {
    let to: BTreeSet<Recipient> = to.iter().copied().collect();
    let request =
        |to: &Recipient| StreamRequest::Announce { urn: urn.clone(), to: *to, owned: owned.cloned() };
    let mut fates = Fates::of(&to, json);
    let wait = match wait {
        WaitFor::Accepted => Wait::Accepted,
        WaitFor::Delivered => Wait::Delivered,
    };
    let told = control::announce(socket, to.iter().map(request).collect(), &mut |place, line| {
        fates.hear(place, line, wait.is_met_by(line))
    })?;
    fates.end(&told)
}

/// Shares a content no more.
pub(in crate::cli) fn down(socket: &Path, arguments: &DownArgs) -> anyhow::Result<ExitCode> {
    let owned = arguments.on_behalf.read()?;
    control::take_down(socket, StreamRequest::Down { urn: arguments.urn.clone(), owned })?;
    Ok(ExitCode::SUCCESS)
}

/// Takes back the key of a namespace.
pub(in crate::cli) fn unsubscribe(socket: &Path, arguments: &UnsubscribeArgs) -> anyhow::Result<ExitCode> {
    let request = StreamRequest::Unsubscribe { namespace: arguments.namespace };
    print(control::unsubscribe(socket, request)?)?;
    Ok(ExitCode::SUCCESS)
}

const _: () =
    assert!(Lifetime::USUAL.as_secs() == 7 * 86_400, "the default of `stream up` is that of `stream send`");
