// SPDX-License-Identifier: AGPL-3.0-or-later
//! The running gateway: starts what the configuration asks for, and ends it in order on SIGTERM.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use anyhow::Context;
use gateway_core::remotes::overlay_address;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::clock::Clock;
use crate::config::Config;
use crate::control::{self, Query, Request, Server};
use crate::identity::Identity;
use crate::state::State;
use crate::status::Status;

/// Runs until SIGTERM or SIGINT, which end it cleanly, or until something without which it cannot go on fails.
pub async fn run(config: Config, identity: Identity, state: State) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot take SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot take SIGINT")?;
    let started = Clock.now().at;
    let (sender, mut requests) = control::requests();
    let server = Server::bind(&config.control_socket)?;
    let refused = server.refused();
    let server = tokio::spawn(server.serve(sender));
    info!(address = %identity.address(), socket = %config.control_socket.display(), "running");
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(Request { query: Query::Status, reply }) = requests.recv() => {
                let uptime = Clock.now().at.since(started);
                let counters = BTreeMap::from([
                    ("control clients refused".to_owned(), refused.load(Ordering::Relaxed)),
                    ("stored times forgotten".to_owned(), state.forgotten()),
                ]);
                // A client that has left needs no answer.
                let _left = reply.send(Status { counters, ..status(&identity, uptime.as_secs()) });
            }
        }
    }
    info!("ending");
    server.abort();
    let _aborted = server.await;
    Ok(())
}

fn status(identity: &Identity, uptime_s: u64) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address: identity.address(),
        router_id: identity.router_id(),
        overlay: overlay_address(&identity.address()),
        uptime_s,
        links: Vec::new(),
        routes: Vec::new(),
        sessions: Vec::new(),
        flows: Vec::new(),
        drops: BTreeMap::new(),
        counters: BTreeMap::new(),
    }
}
