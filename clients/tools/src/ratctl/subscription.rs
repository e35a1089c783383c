// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratctl stream sub`, `resub`, `unsub` and `subs`: the router keeps what comes, and brings it in order.

use std::io::{self, Write};

use clap::Subcommand;
use ratman_client::types::{Address, Namespace, Recipient, SubscriptionId};
use ratman_client::{HexText, ParseHexError};
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::{Failure, GlobalArgs, Result, Session};

/// What is read at once.
const PIECE: usize = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum SubscriptionCommand {
    /// Subscribe to what is for you, and print the number of the subscription
    Sub {
        /// To what is for this address, which is yours [default: your address]
        #[arg(short, long, value_name = "ADDRESS", conflicts_with = "space")]
        addr: Option<Address>,
        /// To what is sent to this namespace, in which you are
        #[arg(short, long, value_name = "NAMESPACE", value_parser = namespace)]
        space: Option<Namespace>,
    },
    /// Write what a subscription kept, and what comes, to standard output
    Resub {
        /// Its number
        #[arg(value_parser = subscription)]
        subscription: SubscriptionId,
        /// How many streams; 0 for ever
        #[arg(short, long, value_name = "N", default_value_t = 0)]
        count: u32,
    },
    /// End a subscription
    Unsub {
        /// Its number
        #[arg(value_parser = subscription)]
        subscription: SubscriptionId,
    },
    /// Print the numbers of your subscriptions, one on a line
    Subs,
}

fn namespace(text: &str) -> Result<Namespace, ratman_client::types::ParseKeyError> {
    text.strip_prefix("namespace:").unwrap_or(text).parse()
}

/// With or without the hyphens that deployed tools write.
fn subscription(text: &str) -> Result<SubscriptionId, ParseHexError> {
    SubscriptionId::from_hex(&text.replace('-', ""))
}

impl SubscriptionCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let output = global.output();
        let Session { ipc, address, auth } = global.session().await?;
        match self {
            Self::Sub { addr, space } => {
                let to = addr.map(Recipient::Address).or(space.map(Recipient::Namespace));
                let subscription = ipc.subscribe(&auth, address, to).await?;
                let id = subscription.id().to_hex();
                output.answer(id.as_str(), &json!({ "subscription": *id }))
            }
            Self::Resub { subscription, count } => {
                let mut subscription = ipc.resubscribe(&auth, address, subscription).await?;
                let mut received: u32 = 0;
                let mut piece = vec![0; PIECE];
                while count == 0 || received < count {
                    let mut stream = subscription.next().await?;
                    let letterhead = stream.letterhead();
                    output.note(format_args!("from {}: {} bytes", letterhead.from, letterhead.stream_size.0));
                    loop {
                        let length = stream.read(&mut piece).await?;
                        if length == 0 {
                            break;
                        }
                        let mut output = io::stdout().lock();
                        let written = output.write_all(&piece[..length]).and_then(|()| output.flush());
                        written.map_err(|error| Failure::output(&error))?;
                    }
                    received = received.saturating_add(1);
                }
                Ok(())
            }
            Self::Unsub { subscription } => {
                ipc.unsubscribe(&auth, address, subscription).await?;
                output.done()
            }
            Self::Subs => {
                let subscriptions = ipc.subscription_list(address).await?;
                let ids: Vec<String> = subscriptions.iter().map(|id| id.to_hex().to_string()).collect();
                let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
                output.answer_lines(&lines, &ids)
            }
        }
    }
}
