// SPDX-License-Identifier: AGPL-3.0-or-later
//! Namespaces of which a key is here, and which addresses of this router take part in them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ratman_types::{Address, Namespace, SecretKey, Signer};
use router_core::streams::MAX_NAMESPACES;

/// Namespaces that one address may make known, and take part in: the message plane has places for 16 times as many in all.
pub const MAX_NAMESPACES_OF_ONE: usize = MAX_NAMESPACES / 16;

/// Why an address does not take part in a namespace, or its key is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceError {
    /// There are as many as may be.
    #[error("expected at most {MAX_NAMESPACES} namespaces, {MAX_NAMESPACES_OF_ONE} of them of one address")]
    TooMany,
    /// Nobody made its key known since the daemon runs.
    #[error("the key of the namespace is not known")]
    Unknown,
    /// Other addresses take part in it.
    #[error("other addresses take part in the namespace")]
    InUse,
}

#[derive(Debug)]
struct Known {
    key: Arc<SecretKey>,
    by: Address,
    members: BTreeSet<Address>,
}

/// All of them; keys are in memory only.
#[derive(Debug)]
pub(super) struct Members {
    /// The gateway's address, whose clients are the operator's: it may have all places.
    own: Address,
    // INVARIANT: at most MAX_NAMESPACES.
    namespaces: BTreeMap<Namespace, Known>,
}

impl Members {
    /// None.
    pub(super) const fn new(own: Address) -> Self {
        Self { own, namespaces: BTreeMap::new() }
    }

    /// Makes a key known; nothing happens where it is.
    pub(super) fn know(&mut self, key: Arc<SecretKey>, by: Address) -> Result<Namespace, NamespaceError> {
        let namespace = Namespace::from_bytes(key.public());
        if self.namespaces.contains_key(&namespace) {
            return Ok(namespace);
        }
        let of_one = self.namespaces.values().filter(|known| known.by == by).count();
        if self.namespaces.len() >= MAX_NAMESPACES || (of_one >= MAX_NAMESPACES_OF_ONE && by != self.own) {
            return Err(NamespaceError::TooMany);
        }
        self.namespaces.insert(namespace, Known { key, by, members: BTreeSet::new() });
        Ok(namespace)
    }

    /// Has an address take part; says the key.
    pub(super) fn join(
        &mut self,
        namespace: &Namespace,
        member: Address,
    ) -> Result<Arc<SecretKey>, NamespaceError> {
        let of_one = self.of(&member).count();
        let known = self.namespaces.get_mut(namespace).ok_or(NamespaceError::Unknown)?;
        let has_place = of_one < MAX_NAMESPACES_OF_ONE || member == self.own;
        if !known.members.contains(&member) && !has_place {
            return Err(NamespaceError::TooMany);
        }
        known.members.insert(member);
        Ok(Arc::clone(&known.key))
    }

    /// Has an address take part no more; whether it did.
    pub(super) fn leave(&mut self, namespace: &Namespace, member: &Address) -> bool {
        self.namespaces.get_mut(namespace).is_some_and(|known| known.members.remove(member))
    }

    /// Forgets a key once nobody takes part but `by`, for whom this is enough; whether it was there.
    pub(super) fn forget(&mut self, namespace: &Namespace, by: &Address) -> Result<bool, NamespaceError> {
        let Some(known) = self.namespaces.get(namespace) else { return Ok(false) };
        if known.members.iter().any(|member| member != by) {
            return Err(NamespaceError::InUse);
        }
        Ok(self.remove(namespace))
    }

    /// Forgets a key, whoever takes part; whether it was there.
    pub(super) fn remove(&mut self, namespace: &Namespace) -> bool {
        self.namespaces.remove(namespace).is_some()
    }

    /// Whether an address takes part.
    pub(super) fn is_in(&self, namespace: &Namespace, member: &Address) -> bool {
        self.namespaces.get(namespace).is_some_and(|known| known.members.contains(member))
    }

    /// Who takes part.
    pub(super) fn who(&self, namespace: &Namespace) -> impl Iterator<Item = &Address> + '_ {
        self.namespaces.get(namespace).into_iter().flat_map(|known| &known.members)
    }

    /// In which of them an address takes part.
    pub(super) fn of<'a>(&'a self, member: &'a Address) -> impl Iterator<Item = Namespace> + 'a {
        let theirs = self.namespaces.iter().filter(|(_, known)| known.members.contains(member));
        theirs.map(|(namespace, _)| *namespace)
    }

    /// All of which a key is here, and whether an address takes part.
    pub(super) fn seen_by(&self, address: &Address) -> impl Iterator<Item = (Namespace, bool)> + '_ {
        let address = *address;
        self.namespaces.iter().map(move |(namespace, known)| (*namespace, known.members.contains(&address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Arc<SecretKey> {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&number.to_be_bytes());
        Arc::new(SecretKey::from_seed(seed))
    }

    fn address(number: usize) -> Address {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Address::from_bytes(bytes)
    }

    #[test]
    fn an_address_and_all_together_know_so_many() {
        let mut members = Members::new(address(0));
        let mut number = 0;
        let mut fill = |members: &mut Members, by| {
            (0..)
                .take_while(|_| {
                    number += 1;
                    members.know(key(number), address(by)).is_ok()
                })
                .count()
        };
        assert_eq!(fill(&mut members, 1), MAX_NAMESPACES_OF_ONE);
        let others: usize = (2..40).map(|by| fill(&mut members, by)).sum();
        assert_eq!(others, MAX_NAMESPACES - MAX_NAMESPACES_OF_ONE);
        let known: Vec<_> = members.seen_by(&address(1)).collect();
        assert!(members.know(key(1), address(50)).is_ok(), "that is known");
        let joined = known.iter().filter(|(of, _)| members.join(of, address(60)).is_ok()).count();
        assert_eq!(joined, MAX_NAMESPACES_OF_ONE);
    }

    #[test]
    fn a_key_goes_once_nobody_else_takes_part() {
        let mut members = Members::new(address(0));
        let [one, other] = [1, 2].map(address);
        let namespace = Namespace::from_bytes(key(1).public());
        assert_eq!(members.join(&namespace, one).map(drop), Err(NamespaceError::Unknown));
        assert_eq!(members.know(key(1), one), Ok(namespace));
        [one, other].iter().for_each(|member| assert!(members.join(&namespace, *member).is_ok()));
        assert_eq!(members.of(&other).collect::<Vec<_>>(), [namespace]);
        assert_eq!(members.forget(&namespace, &one), Err(NamespaceError::InUse));
        assert!(members.leave(&namespace, &other) && !members.leave(&namespace, &other));
        assert_eq!(members.who(&namespace).collect::<Vec<_>>(), [&one]);
        assert!(members.is_in(&namespace, &one) && !members.is_in(&namespace, &other));
        assert_eq!(members.forget(&namespace, &one), Ok(true));
        assert_eq!(members.forget(&namespace, &one), Ok(false));
    }
}
