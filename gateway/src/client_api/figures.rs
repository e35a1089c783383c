// SPDX-License-Identifier: AGPL-3.0-or-later
//! What clients are told of the router: a few figures, and the addresses that it has heard of.

use std::sync::Arc;
use std::time::Duration;

use ratman_types::WallTime;
use ratman_wire::api::{DateTime, KnownPeer, LongList, Reply, RouterFigures};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Doors;
use super::failure::Failure;
use crate::clock::Clock;
use crate::control::{self, Answer, Query};
use crate::links::Links;
use crate::status::{RouteState, RouteStatus, Status};

/// Four figures about the router.
pub(super) async fn figures(doors: &Doors) -> Result<Reply, Failure> {
    let status = status(doors).await?;
    let addresses = doors.desk.addresses().await?;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Ok(Reply::Status(RouterFigures {
        known_peers: count(peers(&status.routes, Clock.now().wall).count()),
        local_addresses: count(addresses.len()),
        active_auths: count(addresses.iter().filter(|standing| standing.up).count()),
        collector_workers: status.streams.as_ref().map_or(0, |streams| streams.receiving),
    }))
}

/// The addresses of others that the router has heard of.
pub(super) async fn known(doors: &Doors) -> Result<Reply, Failure> {
    let status = status(doors).await?;
    let most = usize::from(u16::MAX);
    let peers = peers(&status.routes, Clock.now().wall).take(most).collect();
    Ok(Reply::PeerList(LongList::new(peers).expect("invariant: cut to the longest list")))
}

/// One for each address of others.
fn peers(routes: &[RouteStatus], now: WallTime) -> impl Iterator<Item = KnownPeer> {
    let micros = |seconds: u64| i64::try_from(seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    let ago = move |seconds| DateTime::from(now.shifted(-micros(seconds)));
    routes.iter().filter(|route| !route.local).map(move |route| KnownPeer {
        address: route.address,
        first: ago(route.known_s),
        last: ago(route.heard_s),
        active: route.state == RouteState::Live,
    })
}

/// So long the control loop is not asked again, whoever asks: it has other things to do.
const FRESH: Duration = Duration::from_millis(500);

/// What the control loop said last.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    status: Last<Status>,
    links: Last<Links>,
}

/// Something that it said, and when.
type Last<T> = Arc<Mutex<Option<(Instant, Arc<T>)>>>;

/// The status, as it was [`FRESH`] ago at most.
pub(super) async fn status(doors: &Doors) -> Result<Arc<Status>, Failure> {
    let status = |answer| match answer {
        Answer::Status(status) => Some(Arc::from(status)),
        Answer::Links(_) => None,
    };
    asked(doors, &doors.figures.status, Query::Status, status).await
}

/// What is measured of the links, as [`status`].
pub(super) async fn links(doors: &Doors) -> Result<Arc<Links>, Failure> {
    let links = |answer| match answer {
        Answer::Links(links) => Some(Arc::new(links)),
        Answer::Status(_) => None,
    };
    asked(doors, &doors.figures.links, Query::Links, links).await
}

async fn asked<T>(
    doors: &Doors,
    last: &Last<T>,
    query: Query,
    as_asked: impl Fn(Answer) -> Option<Arc<T>>,
) -> Result<Arc<T>, Failure> {
    let mut last = last.lock().await;
    if let Some((_, known)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
        return Ok(Arc::clone(known));
    }
    let answer = control::ask(query, &doors.requests).await.map_err(Failure::internal)?;
    let known = as_asked(answer).ok_or_else(|| Failure::internal("the router answered something else"))?;
    *last = Some((Instant::now(), Arc::clone(&known)));
    Ok(known)
}
