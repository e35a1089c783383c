// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratctl space`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use ratman_client::types::{AnycastReply, LocalNamespace, Namespace};
use ratman_client::{HexText, fresh_seed};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::space_key::read_key;
use crate::time_span::{self, NoTimeSpan};
use crate::{Failure, GlobalArgs, Result, Session, Table, private_file};

#[derive(Debug, Subcommand)]
pub(super) enum SpaceCommand {
    /// Make a namespace, write its key to a new file, and enter it
    Create {
        /// The file: whoever has it reads what is sent to the namespace
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Let the router know the key in a file
    Register {
        /// The file
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Enter a namespace: take what is sent to it
    Up(Which),
    /// Leave a namespace
    Down(Which),
    /// Let the router forget the key of a namespace, once nobody here is in it any more
    Destroy(Which),
    /// Show the namespaces whose keys the router knows, and in which you are
    List,
    /// Ask who of a namespace is there
    Anycast {
        #[command(flatten)]
        which: Which,
        /// For how long answers are collected: milliseconds, or a number with ms, s or m
        #[arg(short, long, value_name = "TIME", default_value = "1000", value_parser = timeout)]
        timeout: Duration,
    },
}

/// Which namespace.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Which
    #[arg(value_name = "NAMESPACE", value_parser = namespace)]
    namespace: Option<Namespace>,
    /// That of the key in this file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

fn namespace(text: &str) -> Result<Namespace, ratman_client::types::ParseKeyError> {
    text.strip_prefix("namespace:").unwrap_or(text).parse()
}

/// A bare number is milliseconds, as deployed scripts have it.
fn timeout(text: &str) -> Result<Duration, NoTimeSpan> {
    match text.parse() {
        Ok(millis) => time_span::parse(&format!("{}ms", u64::from(u32::min(millis, 600_000)))),
        Err(_) => time_span::parse(text),
    }
}

impl Which {
    /// Which it is; the router is told the key in a file.
    async fn find(&self, session: &Session) -> Result<Namespace> {
        match (&self.namespace, &self.file) {
            (Some(namespace), _) => Ok(*namespace),
            (None, Some(file)) => Ok(session.ipc.space_create(&session.auth, &read_key(file)?).await?),
            (None, None) => Err(Failure::usage("which namespace?")),
        }
    }
}

impl SpaceCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let output = global.output();
        let session = global.session().await?;
        let Session { ipc, address, auth } = &session;
        match self {
            Self::Create { file } => {
                let seed = fresh_seed()?;
                let mut text = Zeroizing::new(String::with_capacity(65));
                text.push_str(&seed.to_hex());
                text.push('\n');
                private_file::write(&file, text.as_bytes(), false)?;
                let namespace = ipc.space_create(auth, &seed).await?;
                ipc.space_up(auth, *address, namespace).await?;
                output.answer(namespace, &told(namespace))
            }
            Self::Register { file } => {
                let namespace = ipc.space_create(auth, &read_key(&file)?).await?;
                output.answer(namespace, &told(namespace))
            }
            Self::Up(which) => {
                let namespace = which.find(&session).await?;
                ipc.space_up(auth, *address, namespace).await?;
                output.done()
            }
            Self::Down(which) => {
                let namespace = which.find(&session).await?;
                ipc.space_down(auth, *address, namespace).await?;
                output.done()
            }
            Self::Destroy(which) => {
                let namespace = which.find(&session).await?;
                ipc.space_destroy(auth, *address, namespace).await?;
                output.done()
            }
            Self::List => {
                let namespaces = ipc.space_list(auth, *address).await?;
                let row = |entry: &LocalNamespace| {
                    [entry.namespace.to_string(), if entry.up { "in it" } else { "" }.to_owned()]
                };
                let json = |entry: &LocalNamespace| json!({ "namespace": entry.namespace, "up": entry.up });
                let json: Vec<Value> = namespaces.iter().map(json).collect();
                let rows = namespaces.iter().map(row).collect();
                output.answer(Table::new(["namespace", "you"], rows, "no namespaces"), &json)
            }
            Self::Anycast { which, timeout } => {
                let namespace = which.find(&session).await?;
                let replies = ipc.space_anycast(auth, *address, namespace, timeout).await?;
                let row = |reply: &AnycastReply| {
                    [reply.address.to_string(), format!("{} ms", reply.after.as_millis())]
                };
                let millis = |after: Duration| u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                let json = |reply: &AnycastReply| json!({ "address": reply.address, "after_ms": millis(reply.after) });
                let json: Vec<Value> = replies.iter().map(json).collect();
                let rows = replies.iter().map(row).collect();
                output.answer(Table::new(["address", "after"], rows, "nobody answered"), &json)
            }
        }
    }
}

fn told(namespace: Namespace) -> Value {
    json!({ "namespace": namespace })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_are_milliseconds() {
        let millis = |text| timeout(text).map(|time| time.as_millis()).ok();
        assert_eq!(["500", "2s", "4000000000"].map(millis), [Some(500), Some(2000), Some(600_000)]);
        assert_eq!(["-1", "x", ""].map(millis), [None; 3]);
    }
}
