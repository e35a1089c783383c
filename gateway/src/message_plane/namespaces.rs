// SPDX-License-Identifier: AGPL-3.0-or-later
//! What clients do with namespaces: they make a key known, and addresses take part.

use std::sync::Arc;

use ratman_types::{Address, Namespace, SecretKey};
use tokio::sync::oneshot;

use super::clients::{Clients, Ending};
use super::members::NamespaceError;
use super::registry::Ask;

impl Clients {
    /// Makes the key of a namespace known for as long as the daemon runs, or until it is [forgotten](Self::forget_namespace).
    ///
    /// # Errors
    /// [`Ending`]; and within, that there are too many.
    pub async fn know_namespace(
        &self,
        key: SecretKey,
        by: Address,
    ) -> Result<Result<Namespace, NamespaceError>, Ending> {
        let (reply, known) = oneshot::channel();
        self.inlet().ask(Ask::Know { key: Arc::new(key), by, reply });
        known.await.map_err(|_| Ending)
    }

    /// Has an address that is up take part in a namespace, until it [leaves](Self::leave_namespace) or is down: what is here by now
    /// is to be received, and what comes.
    ///
    /// # Errors
    /// [`Ending`]; and within, that its key is not known or that it takes part in too many.
    pub async fn join_namespace(
        &self,
        namespace: Namespace,
        member: Address,
    ) -> Result<Result<(), NamespaceError>, Ending> {
        let (reply, joined) = oneshot::channel();
        self.inlet().ask(Ask::Join { namespace, member, reply });
        joined.await.map_err(|_| Ending)
    }

    /// Has an address take part no more; false where it did not.
    ///
    /// # Errors
    /// [`Ending`].
    pub async fn leave_namespace(&self, namespace: Namespace, member: Address) -> Result<bool, Ending> {
        let (reply, took_part) = oneshot::channel();
        self.inlet().ask(Ask::Leave { namespace, member, reply });
        took_part.await.map_err(|_| Ending)
    }

    /// Forgets the key of a namespace; false where it was not known.
    ///
    /// # Errors
    /// [`Ending`]; and within, that other addresses than `by` take part.
    pub async fn forget_namespace(
        &self,
        namespace: Namespace,
        by: Address,
    ) -> Result<Result<bool, NamespaceError>, Ending> {
        let (reply, forgotten) = oneshot::channel();
        self.inlet().ask(Ask::Forget { namespace, by, reply });
        forgotten.await.map_err(|_| Ending)
    }

    /// All namespaces of which a key is known, in their order, and whether an address takes part.
    ///
    /// # Errors
    /// [`Ending`].
    pub async fn namespaces(&self, by: Address) -> Result<Vec<(Namespace, bool)>, Ending> {
        let (reply, seen) = oneshot::channel();
        self.inlet().ask(Ask::Namespaces { by, reply });
        seen.await.map_err(|_| Ending)
    }

    /// Makes the key of a namespace known, and has the gateway's own address take part.
    ///
    /// # Errors
    /// As the two.
    pub async fn subscribe(&self, key: SecretKey) -> Result<Result<(), NamespaceError>, Ending> {
        match self.know_namespace(key, self.own()).await? {
            Ok(namespace) => self.join_namespace(namespace, self.own()).await,
            Err(error) => Ok(Err(error)),
        }
    }

    /// Takes back the key of a namespace, whoever gave it and whoever takes part: nothing that is sent to it is received any more, and
    /// what no client took waits sealed. False where nobody had given it.
    ///
    /// # Errors
    /// [`Ending`].
    pub async fn unsubscribe(&self, namespace: Namespace) -> Result<bool, Ending> {
        let (reply, was_there) = oneshot::channel();
        self.inlet().ask(Ask::Unsubscribe { namespace, reply });
        was_there.await.map_err(|_| Ending)
    }
}
