// SPDX-License-Identifier: AGPL-3.0-or-later
//! What every client may ask about the router: what it is, and its links, peers, routes and local addresses page by page.

use std::collections::BTreeMap;
use std::sync::Arc;

use ratman_types::{Address, RouterId};
use ratman_wire::api::{PageOf, Reply};

mod entries;
mod pages;

use super::Doors;
use super::failure::Failure;
use super::figures::{self, status};
use crate::links::{Links, MeasuredLink};
use crate::status::{LinkStatus, Status};
use entries::{address_entry, link_entry, peer_entry, route_entry, router_info};
use pages::{link_key, peer_key};
pub(super) use pages::{only, page};

/// What the router is and how it does.
pub(super) async fn router(doors: &Doors) -> Result<Reply, Failure> {
    Ok(Reply::Router(Box::new(router_info(&*status(doors).await?))))
}

/// The addresses of clients, in their order.
pub(super) async fn addresses(doors: &Doors, wanted: &PageOf) -> Result<Reply, Failure> {
    let standing = doors.desk.addresses().await?;
    let keyed = standing.iter().map(|standing| (*standing.address.as_bytes(), standing));
    Ok(Reply::AddressPage(page(keyed, wanted, address_entry)?))
}

/// The links, in the order of their numbers.
pub(super) async fn links(doors: &Doors, wanted: &PageOf) -> Result<Reply, Failure> {
    let (status, measured) = both(doors).await?;
    let measured = by_link(&measured);
    let keyed = status.links.iter().map(|link| (link_key(link), link));
    Ok(Reply::LinkPage(page(keyed, wanted, |link| link_entry(link, of_link(&measured, link)))?))
}

/// The link with this number, if there is one.
pub(super) async fn link(doors: &Doors, number: u32) -> Result<Reply, Failure> {
    let (status, measured) = both(doors).await?;
    let measured = by_link(&measured);
    let found = status.links.iter().find(|link| link.link == number);
    Ok(Reply::LinkPage(only(found.map(|link| link_entry(link, of_link(&measured, link))))))
}

/// The routers that are dialled, in the order of their names.
pub(super) async fn peers(doors: &Doors, wanted: &PageOf) -> Result<Reply, Failure> {
    let status = status(doors).await?;
    let keyed = status.peers.iter().map(|peer| (peer_key(peer), peer));
    Ok(Reply::PeerPage(page(keyed, wanted, peer_entry)?))
}

/// The routes, in the order of their addresses.
pub(super) async fn routes(doors: &Doors, wanted: &PageOf) -> Result<Reply, Failure> {
    let status = status(doors).await?;
    let keyed = status.routes.iter().map(|route| (*route.address.as_bytes(), route));
    Ok(Reply::RoutePage(page(keyed, wanted, route_entry)?))
}

/// The route to an address, if it is known.
pub(super) async fn route(doors: &Doors, address: &Address) -> Result<Reply, Failure> {
    let status = status(doors).await?;
    let found = status.routes.iter().find(|route| route.address == *address);
    Ok(Reply::RoutePage(only(found.map(route_entry))))
}

type Measured<'a> = BTreeMap<(u32, RouterId), &'a MeasuredLink>;

/// What is known of links, and what is measured of them: one may be there by now and not in the other, or gone.
async fn both(doors: &Doors) -> Result<(Arc<Status>, Arc<Links>), Failure> {
    Ok((status(doors).await?, figures::links(doors).await?))
}

fn by_link(links: &Links) -> Measured<'_> {
    links.links.iter().map(|link| ((link.link, link.neighbour), link)).collect()
}

fn of_link<'a>(measured: &Measured<'a>, link: &LinkStatus) -> Option<&'a MeasuredLink> {
    measured.get(&(link.link, link.neighbour)).copied()
}
