// SPDX-License-Identifier: AGPL-3.0-or-later
//! The router, and what it knows of the mesh. Everybody who reaches it may ask.

use ratman_wire::api::{
    Address, DialledPeer, KnownPeer, LinkEntry, Nothing, Reply, Request, RouteEntry, RouterFigures,
    RouterInfo,
};

use crate::connection::answer;
use crate::pages::page;
use crate::{RatmanIpc, Result};

impl RatmanIpc {
    /// Four figures; every router tells them.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn router_status(&self) -> Result<RouterFigures> {
        answer!(self.ask(Request::Status(Nothing), None).await?, Reply::Status(figures) => figures)
    }

    /// What the router is and how it does.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn router_info(&self) -> Result<RouterInfo> {
        answer!(self.ask(Request::RouterQuery(Nothing), None).await?, Reply::Router(info) => *info)
    }

    /// All links.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn link_list(&self) -> Result<Vec<LinkEntry>> {
        self.list(None, Request::LinkList, page!(LinkPage)).await
    }

    /// One link, by its number.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn link_query(&self, link: u32) -> Result<Option<LinkEntry>> {
        self.entry(None, Request::LinkQuery(link), page!(LinkPage)).await
    }

    /// The addresses of others that the router has heard of; every router tells them.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn peer_list(&self) -> Result<Vec<KnownPeer>> {
        answer!(self.ask(Request::PeerList(Nothing), None).await?, Reply::PeerList(peers) => peers.into_vec())
    }

    /// The routers that it dials.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn peer_query(&self) -> Result<Vec<DialledPeer>> {
        self.list(None, Request::PeerQuery, page!(PeerPage)).await
    }

    /// All routes.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn route_list(&self) -> Result<Vec<RouteEntry>> {
        self.list(None, Request::RouteList, page!(RoutePage)).await
    }

    /// The route to an address.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn route_query(&self, address: Address) -> Result<Option<RouteEntry>> {
        self.entry(None, Request::RouteQuery(address), page!(RoutePage)).await
    }
}
