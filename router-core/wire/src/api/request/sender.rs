// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whose token a request needs.

use ratman_types::{Address, Recipient};

use super::Request;

impl Request {
    /// Whether the token of this address is the one for a request that [needs](super::Needs::Token) one.
    ///
    /// Of a stream that is ended it is that of either end; where no address of a client is named it is anybody's.
    pub fn is_by(&self, client: &Address) -> bool {
        match self {
            Self::AddressDestroy(destroyed) => destroyed.address == *client,
            Self::AddressUp(address) | Self::AddressDown(address) => address == client,
            Self::RecvOne(receive) => receive.address == *client,
            Self::RecvMany(receive) => receive.address == *client,
            Self::FilterAdd(filter) => filter.address == *client,
            Self::FilterDelete(filter) => filter.address == *client,
            Self::FilterList(filters) => filters.address == *client,
            Self::SendOne(letterhead) => letterhead.from == *client,
            Self::SendMany(letterheads) => letterheads.iter().all(|letterhead| letterhead.from == *client),
            Self::StreamCreate(new) => new.from == *client,
            Self::StreamResume(resumed) => resumed.from == *client,
            Self::StreamStatus(key) => key.from == *client,
            Self::StreamDestroy(key) => key.from == *client || key.to == Recipient::Address(*client),
            Self::StreamQuery(streams) => streams.address == *client,
            Self::StreamReceive(receive) => receive.address == *client,
            Self::Subscribe(subscription) => subscription.address == *client,
            Self::Resubscribe(held) | Self::Unsubscribe(held) => held.address == *client,
            Self::NamespaceUp(membership)
            | Self::NamespaceDown(membership)
            | Self::NamespaceDestroy(membership) => membership.address == *client,
            Self::NamespaceList(namespaces) => namespaces.address == *client,
            Self::Anycast(anycast) => anycast.address == *client,
            Self::NamespaceCreate(_) => true,
            Self::Connect(_) | Self::Disconnect(_) | Self::Status(_) | Self::RouterQuery(_) => true,
            Self::AddressCreate(_) | Self::AddressList(_) | Self::AddressQuery(_) => true,
            Self::ContactAdd(_) | Self::ContactDelete(_) | Self::ContactModify(_) => true,
            Self::ContactList(_) | Self::ContactQuery(_) => true,
            Self::LinkList(_) | Self::LinkQuery(_) | Self::PeerList(_) | Self::PeerQuery(_) => true,
            Self::RouteList(_) | Self::RouteQuery(_) | Self::SubscriptionList(_) => true,
            Self::Content(_) | Self::End(_) | Self::Cancel(_) | Self::Taken(_) => true,
        }
    }
}
