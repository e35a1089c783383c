// SPDX-License-Identifier: AGPL-3.0-or-later
//! The message plane's place in the daemon: opened before the first frame can come, and done without where it cannot be had.

use std::sync::Arc;

use router_core::streams::StreamsConfig;
use tracing::warn;

use super::random;
use crate::config::Config;
use crate::identity::Identity;
use crate::message_plane::{Local, Restored};
use crate::state::State;

/// What an earlier run has left, where there are to be streams; or why there are none though there should be.
pub(super) type Opened = (Option<Restored>, Option<String>);

/// Opens the journal. Without it, the gateway carries IP traffic all the same.
pub(super) fn open(
    config: &Config,
    identity: &Identity,
    state: &State,
    initial_hops: u8,
) -> anyhow::Result<Opened> {
    if !config.streams.enable {
        return Ok((None, None));
    }
    let streams = StreamsConfig {
        quota: config.streams.quota,
        notice_above: config.streams.notice_above,
        filter: config.streams.filter.clone(),
    };
    let local = Local { key: Arc::new(identity.address.clone()), initial_hops };
    Ok(match Restored::open(state.dir(), streams, local, random()?) {
        Ok(restored) => (Some(restored), None),
        Err(error) => {
            warn!(%error, "streams are neither sent nor taken nor carried");
            (None, Some(format!("no streams: {error}")))
        }
    })
}
