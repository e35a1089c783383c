// SPDX-License-Identifier: AGPL-3.0-or-later
//! Namespaces: who knows the seed of one can be a member of it.

use std::time::Duration;

use ratman_wire::api::{
    Address, Anycast, AnycastReply, AuthToken, LocalNamespace, Membership, Namespace, NamespaceSeed,
    NamespacesOf, NewNamespace, Reply, Request,
};

use crate::connection::answer;
use crate::pages::page;
use crate::{RatmanIpc, Result};

impl RatmanIpc {
    /// Lets the router know the key of a namespace, and says which namespace it is. Needs the token of any address that is up. Doing it
    /// twice does no more. A new seed comes from [`fresh_seed`](crate::fresh_seed).
    ///
    /// # Errors
    /// [`Error::InvalidAuth`](crate::Error::InvalidAuth), and those of every request.
    pub async fn space_create(&self, auth: &AuthToken, seed: &NamespaceSeed) -> Result<Namespace> {
        let namespace = seed.namespace();
        let new = NewNamespace { namespace, seed: seed.clone() };
        self.order(Request::NamespaceCreate(new), Some(auth)).await?;
        Ok(namespace)
    }

    /// Has an address that is up take what is sent to a namespace whose key the router knows.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::InvalidAuth`](crate::Error::InvalidAuth), and those of every request.
    pub async fn space_up(&self, auth: &AuthToken, address: Address, namespace: Namespace) -> Result<()> {
        self.order(Request::NamespaceUp(Membership { address, namespace }), Some(auth)).await
    }

    /// Has it take that no more.
    ///
    /// # Errors
    /// As [`RatmanIpc::space_up`].
    pub async fn space_down(&self, auth: &AuthToken, address: Address, namespace: Namespace) -> Result<()> {
        self.order(Request::NamespaceDown(Membership { address, namespace }), Some(auth)).await
    }

    /// Lets the router forget the key of a namespace, once no address is up in it any more.
    ///
    /// # Errors
    /// As [`RatmanIpc::space_up`].
    pub async fn space_destroy(
        &self,
        auth: &AuthToken,
        address: Address,
        namespace: Namespace,
    ) -> Result<()> {
        self.order(Request::NamespaceDestroy(Membership { address, namespace }), Some(auth)).await
    }

    /// The namespaces whose keys the router knows, and whether the address is up in them.
    ///
    /// # Errors
    /// [`Error::InvalidAuth`](crate::Error::InvalidAuth), and those of every request.
    pub async fn space_list(&self, auth: &AuthToken, address: Address) -> Result<Vec<LocalNamespace>> {
        let request = |page| Request::NamespaceList(NamespacesOf { address, page });
        self.list(Some(auth), request, page!(NamespacePage)).await
    }

    /// Asks who of a namespace is there, and collects answers for so long.
    ///
    /// # Errors
    /// [`Error::InvalidAuth`](crate::Error::InvalidAuth), and those of every request.
    pub async fn space_anycast(
        &self,
        auth: &AuthToken,
        address: Address,
        namespace: Namespace,
        timeout: Duration,
    ) -> Result<Vec<AnycastReply>> {
        // What is below falls away on the wire, and what is above does not fit.
        let longest = Duration::from_millis(u64::MAX);
        let request = Request::Anycast(Anycast { address, namespace, timeout: timeout.min(longest) });
        answer!(self.ask_slow(request, Some(auth), timeout).await?, Reply::Anycast(answers) => answers.into_vec())
    }
}
