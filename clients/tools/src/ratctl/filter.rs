// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratctl filter`.

use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use ratman_client::types::{ByteCount, FilterAction, FilterEntry, FilterRule, Senders};
use serde_json::{Value, json};

use crate::{GlobalArgs, Nobody, Result, Session, Table, Whom};

#[derive(Debug, Subcommand)]
pub(super) enum FilterCommand {
    /// Add one behind those that are there, and print its number
    Add(AddArgs),
    /// Take one away
    #[command(alias = "delete")]
    Remove {
        /// Its number
        filter: u32,
    },
    /// Show all, in their order: the first that fits a stream decides, and without one it is taken
    List,
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// What is done with streams that fit
    #[arg(value_enum)]
    action: Action,
    /// Whose: anybody, contacts, strangers (who is no contact), an address, or the name of a contact
    #[arg(long, value_name = "WHOM", default_value = "anybody")]
    from: From,
    /// How many bytes they have at least [default: any length]
    #[arg(long, value_name = "BYTES")]
    at_least: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Action {
    /// They are taken
    Accept,
    /// They are denied: their senders are told to stop
    Deny,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    All(Senders),
    One(Whom),
}

impl FromStr for From {
    type Err = Nobody;

    fn from_str(text: &str) -> Result<Self, Nobody> {
        match text {
            "anybody" => Ok(Self::All(Senders::Anybody)),
            "contacts" => Ok(Self::All(Senders::Contacts)),
            "strangers" => Ok(Self::All(Senders::Strangers)),
            one => one.parse().map(Self::One),
        }
    }
}

impl FilterCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let output = global.output();
        let Session { ipc, address, auth } = global.session().await?;
        match self {
            Self::Add(AddArgs { action, from, at_least }) => {
                let from = match from {
                    From::All(senders) => senders,
                    From::One(whom) => Senders::Address(whom.find_address(&ipc).await?),
                };
                let action = match action {
                    Action::Accept => FilterAction::Accept,
                    Action::Deny => FilterAction::Deny,
                };
                let rule = FilterRule { from, at_least: at_least.map(ByteCount), action };
                let filter = ipc.filter_add(&auth, address, rule).await?;
                output.answer(filter, &json!({ "filter": filter }))
            }
            Self::Remove { filter } => {
                ipc.filter_delete(&auth, address, filter).await?;
                output.done()
            }
            Self::List => {
                let filters = ipc.filter_list(&auth, address).await?;
                let rows = filters.iter().map(row).collect();
                let table =
                    Table::new(["filter", "action", "from", "at least"], rows, "no filters: all are taken");
                let json: Vec<Value> = filters.iter().map(to_json).collect();
                output.answer(table, &json)
            }
        }
    }
}

fn row(entry: &FilterEntry) -> [String; 4] {
    let FilterRule { from, at_least, action } = &entry.rule;
    let at_least = at_least.map(|bytes| bytes.to_string()).unwrap_or_default();
    [entry.filter.to_string(), action_word(action).to_owned(), senders_word(from), at_least]
}

fn to_json(entry: &FilterEntry) -> Value {
    let FilterRule { from, at_least, action } = &entry.rule;
    json!({
        "filter": entry.filter,
        "action": action_word(action),
        "from": senders_word(from),
        "at_least": at_least.map(|bytes| bytes.0),
    })
}

const fn action_word(action: &FilterAction) -> &'static str {
    match action {
        FilterAction::Accept => "accept",
        FilterAction::Deny => "deny",
    }
}

fn senders_word(senders: &Senders) -> String {
    match senders {
        Senders::Anybody => "anybody".to_owned(),
        Senders::Address(address) => address.to_string(),
        Senders::Contacts => "contacts".to_owned(),
        Senders::Strangers => "strangers".to_owned(),
    }
}
