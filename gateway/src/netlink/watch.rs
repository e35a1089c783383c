// SPDX-License-Identifier: AGPL-3.0-or-later
//! News that the host's network changed: a good moment to dial again, and to look after our routes.
#![allow(clippy::wildcard_enum_match_arm, reason = "messages and attributes of netlink are open-ended")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::RuleAttribute;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::{NetlinkError, PROTOCOL};

/// A cable that is plugged in makes a dozen events; all within this time are one.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Tells when a link changed its state, or an address, route or rule came or went; ends its netlink socket when dropped.
#[derive(Debug)]
pub struct Watch {
    news: Arc<Notify>,
    tasks: [AbortHandle; 2],
}

impl Watch {
    /// Begins to listen; needs no privilege. Must be called within a tokio runtime.
    pub fn new() -> Result<Self, NetlinkError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Rule,
        ];
        let (connection, _handle, mut messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(NetlinkError::Socket)?;
        let news = Arc::new(Notify::new());
        let teller = news.clone();
        let reader = tokio::spawn(async move {
            while let Some((message, _)) = messages.next().await {
                if is_news(&message.payload) {
                    // Reads on meanwhile, so that events never pile up.
                    let drain = async { while messages.next().await.is_some() {} };
                    let _elapsed = tokio::time::timeout(DEBOUNCE, drain).await;
                    teller.notify_one();
                }
            }
        });
        Ok(Self { news, tasks: [tokio::spawn(connection).abort_handle(), reader.abort_handle()] })
    }

    /// Waits for the next change; a burst is told once, 200 ms after it began. Safe to cancel: news that nobody waited
    /// for is kept, all of it as one.
    pub async fn changed(&self) {
        self.news.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn is_news(payload: &NetlinkPayload<RouteNetlinkMessage>) -> bool {
    let NetlinkPayload::InnerMessage(message) = payload else {
        // Events were lost; one of them may have been news.
        return matches!(payload, NetlinkPayload::Overrun(_));
    };
    match message {
        // Wireless drivers send links without change every second.
        RouteNetlinkMessage::NewLink(link) => !link.header.change_mask.is_empty(),
        // What we add ourselves is none; that somebody removed it is.
        RouteNetlinkMessage::NewRoute(route) => route.header.protocol != RouteProtocol::Other(PROTOCOL),
        RouteNetlinkMessage::NewRule(rule) => {
            !rule.attributes.contains(&RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL)))
        }
        RouteNetlinkMessage::NewAddress(_)
        | RouteNetlinkMessage::DelLink(_)
        | RouteNetlinkMessage::DelAddress(_)
        | RouteNetlinkMessage::DelRoute(_)
        | RouteNetlinkMessage::DelRule(_) => true,
        _ => false,
    }
}
