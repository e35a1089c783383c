// SPDX-License-Identifier: AGPL-3.0-or-later
//! The message plane's place in the daemon: opened before the first frame can come, and done without where it cannot be had.

use std::collections::BTreeSet;
use std::sync::Arc;

use ratman_types::Address;
use router_core::streams::StreamsConfig;
use tokio::sync::mpsc;
use tracing::warn;

use super::random;
use crate::addresses::Addresses;
use crate::config::Config;
use crate::contacts::Contacts;
use crate::desk::{ClientRecords, Desk};
use crate::driver::Order;
use crate::identity::Identity;
use crate::message_plane::{Local, MessagePlane, Restored};
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

/// The desk over the journal's database, and what it orders; without it the gateway and its streams do what they do otherwise.
pub(super) fn desk(
    plane: &MessagePlane,
    own: Address,
    config: &Config,
) -> Option<(Desk, mpsc::Receiver<Order>)> {
    let store = plane.store();
    let contacts = Contacts::open(Arc::clone(store), config.contacts.clone());
    let contacts =
        contacts.inspect_err(|error| warn!(%error, "neither addresses nor contacts are kept")).ok()?;
    let addresses = Addresses::new(Arc::clone(store), own);
    let of_clients = ClientRecords::open(store);
    let of_clients =
        of_clients.inspect_err(|error| warn!(%error, "nothing is kept of clients' addresses")).ok()?;
    if let Ok(kept) = addresses.list() {
        let kept: BTreeSet<_> = kept.iter().map(|kept| kept.address).collect();
        if let Err(error) = of_clients.keep(&kept) {
            warn!(%error, "what is kept of addresses that are gone stays");
        }
        // Before any of them is up.
        let door = plane.door();
        kept.iter().for_each(|address| door.inlet().rules(*address, of_clients.filters.rules_of(address)));
        let took_part = of_clients.memberships.list().into_iter();
        took_part.for_each(|(address, namespaces)| door.inlet().took_part(address, namespaces));
        door.inlet().keep(kept);
    }
    Some(Desk::new(addresses, contacts, of_clients))
}
