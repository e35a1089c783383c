// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratctl status` and `ratctl journal`.

use clap::{Args, ValueEnum};
use ratman_client::Error;
use ratman_client::types::{ByteCount, Figure, RouterFigures, RouterInfo, StreamFigures};
use serde_json::{Map, Value, json};

use crate::{Failure, GlobalArgs, Result, time_span};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// The four figures that every router tells, on one line
    #[arg(value_enum)]
    what: Option<What>,
    /// What it counts and what it drops, too
    #[arg(short, long)]
    counters: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// The four figures that every router tells, on one line
    System,
}

pub(super) async fn status(global: &GlobalArgs, arguments: StatusArgs) -> Result<()> {
    let ipc = global.connect().await?;
    let output = global.output();
    let figures = ipc.router_status().await?;
    let info = match arguments.what {
        Some(What::System) => None,
        None => match ipc.router_info().await {
            Ok(info) => Some(info),
            // It is an older one.
            Err(Error::NotSupported) => None,
            Err(error) => return Err(error.into()),
        },
    };
    let Some(info) = info else { return output.answer(line(&figures), &figures_json(&figures)) };
    let mut text = text(&info);
    if arguments.counters {
        for (title, figures) in [("drops", &info.drops), ("counters", &info.counters)] {
            text.push_str(&format!("\n\n{title}"));
            let widest = figures.iter().map(|figure| figure.name.as_str().len()).max().unwrap_or_default();
            let lines = figures
                .iter()
                .map(|Figure { name, value }| format!("\n  {:widest$}  {value}", name.to_string()));
            text.extend(lines);
        }
    }
    text.push_str(&format!("\n{}", line(&figures)));
    output.answer(text, &info_json(&info, &figures))
}

pub(super) async fn journal(global: &GlobalArgs) -> Result<()> {
    let info = global.connect().await?.router_info().await?;
    let streams =
        info.streams.ok_or_else(|| Failure::failed("this router takes no streams, so it keeps none"))?;
    global.output().answer(journal_text(&streams), &journal_json(&streams))
}

/// In the words of deployed tools.
fn line(figures: &RouterFigures) -> String {
    let RouterFigures { known_peers, local_addresses, active_auths, collector_workers } = figures;
    format!(
        "known peers: {known_peers}, local addrs: {local_addresses}, active auths: {active_auths}, collector workers: {collector_workers}"
    )
}

fn text(info: &RouterInfo) -> String {
    let mut text = format!(
        "version    {}\naddress    {}\nrouter id  {}\noverlay    {}\nruns for   {}\nclock      {:+} us\n",
        info.version,
        info.address,
        info.router_id,
        info.overlay,
        time_span::show(info.uptime),
        info.clock_correction_us,
    );
    for warning in info.warnings.iter() {
        text.push_str(&format!("WARNING    {warning}\n"));
    }
    text.push('\n');
    text.push_str(&info.streams.as_ref().map_or_else(|| "no streams".to_owned(), journal_text));
    text
}

fn journal_text(streams: &StreamFigures) -> String {
    let StreamFigures { sending, receiving, waiting, carried, flooded, journal, quota, disk, unsaved } =
        streams;
    let percent = u128::from(journal.0) * 100 / u128::from(quota.0.max(1));
    format!(
        "streams    {sending} sending, {receiving} receiving, {waiting} waiting to be taken\n\
         for others {carried} streams, {flooded} frames to namespaces\n\
         journal    {journal} of {quota} ({percent} %), {disk} of disk, {unsaved} not durable yet"
    )
}

fn figures_json(figures: &RouterFigures) -> Value {
    json!({
        "known_peers": figures.known_peers,
        "local_addrs": figures.local_addresses,
        "active_auths": figures.active_auths,
        "collector_workers": figures.collector_workers,
    })
}

fn info_json(info: &RouterInfo, figures: &RouterFigures) -> Value {
    let counted = |figures: &[Figure]| {
        let pair = |figure: &Figure| (figure.name.as_str().to_owned(), figure.value.into());
        Value::Object(figures.iter().map(pair).collect::<Map<_, _>>())
    };
    let warnings: Vec<&str> = info.warnings.iter().map(|warning| warning.as_str()).collect();
    json!({
        "version": info.version.as_str(),
        "address": info.address,
        "router_id": info.router_id,
        "overlay": info.overlay,
        "uptime_s": info.uptime.as_secs(),
        "payload_limit": info.payload_limit,
        "clock_correction_us": info.clock_correction_us,
        "warnings": warnings,
        "streams": info.streams.as_ref().map(journal_json),
        "drops": counted(&info.drops),
        "counters": counted(&info.counters),
        "figures": figures_json(figures),
    })
}

fn journal_json(streams: &StreamFigures) -> Value {
    let StreamFigures { sending, receiving, waiting, carried, flooded, journal, quota, disk, unsaved } =
        streams;
    let [journal, quota, disk, unsaved] = [journal, quota, disk, unsaved].map(|ByteCount(bytes)| *bytes);
    json!({
        "sending": sending,
        "receiving": receiving,
        "waiting": waiting,
        "carried": carried,
        "flooded": flooded,
        "journal_bytes": journal,
        "quota_bytes": quota,
        "disk_bytes": disk,
        "unsaved_bytes": unsaved,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_deployed_tools_stays() {
        let figures =
            RouterFigures { known_peers: 1, local_addresses: 2, active_auths: 3, collector_workers: 4 };
        assert_eq!(line(&figures), "known peers: 1, local addrs: 2, active auths: 3, collector workers: 4");
    }

    #[test]
    fn a_journal_without_a_quota_is_shown() {
        let streams = StreamFigures {
            sending: 1,
            receiving: 2,
            waiting: 3,
            carried: 4,
            flooded: 5,
            journal: ByteCount(6),
            quota: ByteCount(0),
            disk: ByteCount(7),
            unsaved: ByteCount(8),
        };
        assert!(
            journal_text(&streams)
                .ends_with("journal    6 B of 0 B (600 %), 7 B of disk, 8 B not durable yet")
        );
    }
}
