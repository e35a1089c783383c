// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratctl stream`.

use clap::Subcommand;
use ratman_client::HexText;
use ratman_client::types::{ByteCount, DateTime, News, Stage, StreamEntry, StreamId};
use serde_json::{Value, json};

use super::subscription::SubscriptionCommand;
use crate::{Failure, GlobalArgs, Result, Session, Table, time_span};

#[derive(Debug, Subcommand)]
pub(super) enum StreamCommand {
    /// Show the streams from and to you that are not over, and how far each is
    List,
    /// Show what is known of one
    Status {
        /// The first digits of its name
        stream: String,
    },
    /// End one: who sends it gives it up, who is to receive it denies it
    Cancel {
        /// The first digits of its name
        stream: String,
    },
    #[command(flatten)]
    Subscription(SubscriptionCommand),
}

impl StreamCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let output = global.output();
        let (prefix, is_cancelled) = match self {
            Self::Subscription(command) => return command.run(global).await,
            Self::List => {
                let Session { ipc, address, auth } = global.session().await?;
                let streams = ipc.stream_list(&auth, address).await?;
                let row = |entry: &StreamEntry| row(entry, entry.stream.from == address);
                let header = ["stream", "stage", "", "with", "size", "arrived", "until"];
                let table = Table::new(header, streams.iter().map(row).collect(), "no streams");
                return output.answer(table, &streams.iter().map(to_json).collect::<Vec<_>>());
            }
            Self::Status { stream } => (stream, false),
            Self::Cancel { stream } => (stream, true),
        };
        let session = global.session().await?;
        let Session { ipc, address, auth } = &session;
        let entries = ipc.stream_list(auth, *address).await?;
        let entries = matching(entries, &prefix)?;
        if is_cancelled {
            for entry in entries {
                ipc.stream_destroy(auth, entry.stream).await?;
            }
            return output.done();
        }
        let mut json: Vec<Value> = Vec::new();
        let mut lines = String::new();
        for entry in entries {
            let mut told = to_json(&entry);
            if entry.stream.from == *address && entry.stage != Stage::Opening {
                // The first that the router tells is where it is now.
                let news = ipc.stream_follow(auth, entry.stream).await?.next().await?;
                told["news"] = json!(news.map(|news| news_word(&news)));
            }
            lines.push_str(&super::mesh::fields(&told));
            lines.push_str("\n\n");
            json.push(told);
        }
        output.answer_lines(&lines, &json)
    }
}

/// Those of one stream: one for each recipient, if it has several.
fn matching(mut entries: Vec<StreamEntry>, prefix: &str) -> Result<Vec<StreamEntry>> {
    let prefix = prefix.to_ascii_lowercase();
    if prefix.is_empty() || !prefix.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "{prefix}: expected the first hexadecimal digits of a stream's name"
        )));
    }
    entries.retain(|entry| entry.stream.stream.to_hex().starts_with(&prefix));
    let mut ids: Vec<StreamId> = entries.iter().map(|entry| entry.stream.stream).collect();
    ids.dedup();
    match ids.as_slice() {
        [] => Err(Failure::failed(format!("no stream that is not over begins with {prefix}"))),
        [_] => Ok(entries),
        _ => Err(Failure::usage(format!("{} streams begin with {prefix}: give more digits", ids.len()))),
    }
}

fn row(entry: &StreamEntry, is_ours: bool) -> [String; 7] {
    let (direction, other) = match is_ours {
        true => ("to", entry.stream.to.to_string()),
        false => ("from", entry.stream.from.to_string()),
    };
    let size = entry.size.map_or_else(|| "?".to_owned(), |size| size.to_string());
    let arrived = match entry.progress.in_all {
        Some(ByteCount(in_all @ 1..)) => {
            let arrived = entry.progress.arrived.0.min(in_all);
            format!("{} %", u128::from(arrived) * 100 / u128::from(in_all))
        }
        Some(ByteCount(0)) | None => entry.progress.arrived.to_string(),
    };
    let until = time_span::moment(entry.end.into());
    let id = entry.stream.stream.to_hex();
    let stage = stage(&entry.stage).to_owned();
    [id[..16].to_owned(), stage, direction.to_owned(), other, size, arrived, until]
}

const fn stage(stage: &Stage) -> &'static str {
    match stage {
        Stage::Opening => "opening",
        Stage::Sending => "sending",
        Stage::Stored => "stored",
        Stage::Receiving => "receiving",
        Stage::Waiting => "waiting",
    }
}

const fn news_word(news: &News) -> &'static str {
    match news {
        News::Progress(_) => "progress",
        News::Accepted => "accepted",
        News::Stored => "stored",
        News::Delivered => "delivered",
        News::Refused => "refused",
        News::Denied => "denied",
        News::Expired => "expired",
        News::Published => "published",
        News::Failed => "failed",
        News::Cancelled => "cancelled",
    }
}

fn to_json(entry: &StreamEntry) -> Value {
    json!({
        "stream": *entry.stream.stream.to_hex(),
        "from": entry.stream.from,
        "to": entry.stream.to,
        "stage": stage(&entry.stage),
        "size": entry.size.map(|size| size.0),
        "arrived_bytes": entry.progress.arrived.0,
        "in_all_bytes": entry.progress.in_all.map(|in_all| in_all.0),
        "until": DateTime::from(entry.end).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_client::types::{Address, Progress, Recipient, StreamKey, WallTime};

    fn entry(id: u8, to: u8) -> StreamEntry {
        StreamEntry {
            stream: StreamKey {
                from: Address::from_bytes([1; 32]),
                to: Recipient::Address(Address::from_bytes([to; 32])),
                stream: StreamId::from_bytes([id; 32]),
            },
            stage: Stage::Sending,
            size: Some(ByteCount(20_000)),
            progress: Progress { arrived: ByteCount(5), in_all: Some(ByteCount(10)) },
            end: WallTime::from_micros(1_700_000_000_000_000),
        }
    }

    #[test]
    fn a_stream_is_named_by_its_first_digits() {
        let found = |prefix: &str| {
            matching(vec![entry(0xA1, 2), entry(0xA1, 3), entry(0xA2, 2)], prefix).map(|found| found.len())
        };
        assert_eq!(found("A1"), Ok(2), "both recipients of it");
        assert_eq!(found("a2a2"), Ok(1));
        assert!(found("a").unwrap_err().message.contains("2 streams begin with a"));
        assert!(found("b").unwrap_err().message.contains("no stream"));
        assert_eq!(found("").unwrap_err().exit, crate::Exit::Usage);
        assert_eq!(found("x").unwrap_err().exit, crate::Exit::Usage);
    }

    #[test]
    fn a_row_says_who_and_how_far() {
        let row = row(&entry(0xA1, 2), true);
        assert_eq!(row[..3], ["a1a1a1a1a1a1a1a1", "sending", "to"].map(str::to_owned));
        assert_eq!(row[4..], ["20 kB", "50 %", "2023-11-14 22:13:20 UTC"].map(str::to_owned));
    }
}
