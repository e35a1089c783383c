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
    /// The address has not shown its key since the daemon runs.
    #[error("the address has not shown the key of the namespace since the daemon runs")]
    Unknown,
    /// The address is not up.
    #[error("the address is not up")]
    Down,
    /// Other addresses take part in it.
    #[error("other addresses take part in the namespace")]
    InUse,
}

#[derive(Debug)]
struct Known {
    key: Arc<SecretKey>,
    /// Who has shown it.
    by: BTreeSet<Address>,
    /// Who of them takes part, up or down: what comes is for them.
    members: BTreeSet<Address>,
}

/// What became of a key that an address forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forgotten {
    /// Whether the address had shown it.
    pub(super) was_known: bool,
    /// Whether the address took part, and does so no more.
    pub(super) took_part: bool,
}

/// All of them; keys are in memory only.
#[derive(Debug)]
pub(super) struct Members {
    /// The gateway's address, whose clients are the operator's: it may have all places.
    own: Address,
    // INVARIANT: at most MAX_NAMESPACES.
    namespaces: BTreeMap<Namespace, Known>,
    // INVARIANT: their members, each with those in which it takes part.
    by_member: BTreeSet<(Address, Namespace)>,
    /// Who took part before the daemon began, and has not left since: what comes is for them, too, whether they have shown the key again or
    /// not.
    before: BTreeSet<(Namespace, Address)>,
}

impl Members {
    /// None.
    pub(super) const fn new(own: Address) -> Self {
        Self { own, namespaces: BTreeMap::new(), by_member: BTreeSet::new(), before: BTreeSet::new() }
    }

    /// An address took part in these before the daemon began.
    pub(super) fn took_part(&mut self, address: Address, namespaces: Vec<Namespace>) {
        self.before.extend(namespaces.into_iter().map(|namespace| (namespace, address)));
    }

    /// Makes a key known; nothing happens where it is.
    pub(super) fn know(&mut self, key: Arc<SecretKey>, by: Address) -> Result<Namespace, NamespaceError> {
        let namespace = Namespace::from_bytes(key.public());
        let of_one = self.namespaces.values().filter(|known| known.by.contains(&by)).count();
        let has_place = of_one < MAX_NAMESPACES_OF_ONE || by == self.own;
        let is_room = self.namespaces.len() < MAX_NAMESPACES;
        match self.namespaces.get_mut(&namespace) {
            Some(known) if known.by.contains(&by) => {}
            Some(known) if has_place => _ = known.by.insert(by),
            None if has_place && is_room => {
                let by = BTreeSet::from([by]);
                self.namespaces.insert(namespace, Known { key, by, members: BTreeSet::new() });
            }
            Some(_) | None => return Err(NamespaceError::TooMany),
        }
        Ok(namespace)
    }

    /// Has an address take part that has shown the key, which is said.
    pub(super) fn join(
        &mut self,
        namespace: &Namespace,
        member: Address,
    ) -> Result<Arc<SecretKey>, NamespaceError> {
        let known = self.namespaces.get_mut(namespace).filter(|known| known.by.contains(&member));
        let known = known.ok_or(NamespaceError::Unknown)?;
        known.members.insert(member);
        self.by_member.insert((member, *namespace));
        Ok(Arc::clone(&known.key))
    }

    /// The key of a namespace, for an address that has shown it itself.
    pub(super) fn key_shown_by(
        &self,
        namespace: &Namespace,
        by: &Address,
    ) -> Result<Arc<SecretKey>, NamespaceError> {
        let known = self.namespaces.get(namespace).filter(|known| known.by.contains(by));
        known.map(|known| Arc::clone(&known.key)).ok_or(NamespaceError::Unknown)
    }

    /// Has an address take part no more; whether it did.
    pub(super) fn leave(&mut self, namespace: &Namespace, member: &Address) -> bool {
        let was_before = self.before.remove(&(*namespace, *member));
        self.by_member.remove(&(*member, *namespace));
        self.namespaces.get_mut(namespace).is_some_and(|known| known.members.remove(member)) || was_before
    }

    /// Forgets that an address has shown a key that nobody else takes part with.
    pub(super) fn forget(
        &mut self,
        namespace: &Namespace,
        by: &Address,
    ) -> Result<Forgotten, NamespaceError> {
        let known = self.namespaces.get_mut(namespace);
        if known.as_ref().is_some_and(|known| known.members.iter().any(|member| member != by)) {
            return Err(NamespaceError::InUse);
        }
        let was_known = known.is_some_and(|known| known.by.remove(by));
        Ok(Forgotten { was_known, took_part: self.leave(namespace, by) })
    }

    /// An address is gone for good, and what it knew with it; says in which namespaces it took part.
    pub(super) fn forget_address(&mut self, address: &Address) -> BTreeSet<Namespace> {
        let before = self.before.extract_if(.., |(_, member)| member == address);
        let before: BTreeSet<_> = before.map(|(namespace, _)| namespace).collect();
        let theirs = self.of(address).chain(before).collect::<BTreeSet<_>>();
        for known in self.namespaces.values_mut() {
            known.by.remove(address);
            known.members.remove(address);
        }
        self.by_member.retain(|(member, _)| member != address);
        theirs
    }

    /// Forgets keys that nobody has shown who is still there; says of which namespaces.
    pub(super) fn sweep(&mut self) -> Vec<Namespace> {
        let unknown = self.namespaces.extract_if(.., |_, known| known.by.is_empty());
        unknown.map(|(namespace, _)| namespace).collect()
    }

    /// Forgets a key, whoever takes part; whether it was there.
    pub(super) fn remove(&mut self, namespace: &Namespace) -> bool {
        let Some(known) = self.namespaces.remove(namespace) else { return false };
        known.members.iter().for_each(|member| _ = self.by_member.remove(&(*member, *namespace)));
        true
    }

    /// Whether an address takes part.
    pub(super) fn is_in(&self, namespace: &Namespace, member: &Address) -> bool {
        self.namespaces.get(namespace).is_some_and(|known| known.members.contains(member))
    }

    /// Who takes part, whether they have shown the key since the daemon began or not.
    pub(super) fn who(&self, namespace: &Namespace) -> impl Iterator<Item = &Address> + '_ {
        let known = self.namespaces.get(namespace);
        let is_known = move |member: &&Address| known.is_some_and(|known| known.members.contains(*member));
        let [first, last] = [[0; 32], [u8::MAX; 32]].map(|bytes| (*namespace, Address::from_bytes(bytes)));
        let before = self.before.range(first..=last).map(|(_, member)| member);
        let now = known.into_iter().flat_map(|known| &known.members);
        now.chain(before.filter(move |member| !is_known(member)))
    }

    /// Whether somebody takes part who has shown the key.
    pub(super) fn is_open(&self, namespace: &Namespace) -> bool {
        self.namespaces.get(namespace).is_some_and(|known| !known.members.is_empty())
    }

    /// In which of them an address takes part, at the cost of those.
    pub(super) fn of(&self, member: &Address) -> impl Iterator<Item = Namespace> + use<'_> {
        let [first, last] = [[0; 32], [u8::MAX; 32]].map(|bytes| (*member, Namespace::from_bytes(bytes)));
        self.by_member.range(first..=last).map(|(_, namespace)| *namespace)
    }

    /// All of which an address has shown the key, and whether it takes part.
    pub(super) fn seen_by(&self, address: &Address) -> impl Iterator<Item = (Namespace, bool)> + '_ {
        let address = *address;
        let known = self.namespaces.iter().filter(move |(_, known)| known.by.contains(&address));
        known.map(move |(namespace, known)| (*namespace, known.members.contains(&address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        assert_eq!(members.seen_by(&address(1)).count(), MAX_NAMESPACES_OF_ONE);
        assert_eq!(members.know(key(1), address(50)), Ok(Namespace::from_bytes(key(1).public())));
        members.forget_address(&address(1));
        // One of them is known to another, too.
        assert_eq!(members.sweep().len(), MAX_NAMESPACES_OF_ONE - 1);
        assert_eq!(fill(&mut members, 51), MAX_NAMESPACES_OF_ONE - 1);
    }

    #[test]
    fn a_key_goes_once_nobody_else_takes_part_and_is_for_who_has_shown_it() {
        let mut members = Members::new(address(0));
        let [one, other] = [1, 2].map(address);
        let namespace = Namespace::from_bytes(key(1).public());
        let joined = |members: &mut Members, member| members.join(&namespace, member).map(drop);
        assert_eq!(joined(&mut members, one), Err(NamespaceError::Unknown));
        assert_eq!(members.know(key(1), one), Ok(namespace));
        assert_eq!(joined(&mut members, other), Err(NamespaceError::Unknown), "it has not shown it");
        assert_eq!(members.seen_by(&other).count(), 0);
        let said = |was_known, took_part| Ok(Forgotten { was_known, took_part });
        assert_eq!(members.forget(&namespace, &other), said(false, false));
        assert_eq!(members.know(key(1), other), Ok(namespace));
        [one, other].iter().for_each(|member| assert_eq!(joined(&mut members, *member), Ok(())));
        assert_eq!(members.of(&other).collect::<Vec<_>>(), [namespace]);
        assert_eq!(members.forget(&namespace, &one), Err(NamespaceError::InUse));
        assert!(members.leave(&namespace, &other) && !members.leave(&namespace, &other));
        assert_eq!(members.who(&namespace).collect::<Vec<_>>(), [&one]);
        assert!(members.is_in(&namespace, &one) && !members.is_in(&namespace, &other));
        // Who took part before the daemon began, and is refused, goes on to do so.
        members.took_part(other, vec![namespace]);
        assert_eq!(members.forget(&namespace, &other), Err(NamespaceError::InUse));
        assert_eq!(members.who(&namespace).collect::<Vec<_>>(), [&one, &other]);
        assert!(members.leave(&namespace, &other));
        assert_eq!(members.forget(&namespace, &one), said(true, true));
        assert_eq!(members.forget(&namespace, &one), said(false, false));
        assert_eq!(members.sweep(), []);
        assert_eq!(members.forget(&namespace, &other), said(true, false));
        assert_eq!(members.sweep(), [namespace]);
    }

    proptest! {
        #[test]
        fn in_which_an_address_takes_part_is_what_the_namespaces_say(
            done in prop::collection::vec((0..6, 0..3_usize, 0..3_usize), 0..60),
        ) {
            let mut members = Members::new(address(0));
            let namespaces = [0, 1, 2].map(|number| Namespace::from_bytes(key(number).public()));
            for (what, number, who) in done {
                let (namespace, who) = (namespaces[number], address(who));
                match what {
                    0 => _ = members.know(key(number), who),
                    1 | 2 => _ = members.join(&namespace, who),
                    3 => _ = members.leave(&namespace, &who),
                    4 => _ = members.forget(&namespace, &who),
                    _ if number == 0 => _ = members.forget_address(&who),
                    _ => _ = members.remove(&namespace),
                }
                members.sweep();
                for who in [0, 1, 2].map(address) {
                    let of: BTreeSet<_> = members.of(&who).collect();
                    let said = namespaces.iter().copied().filter(|namespace| members.is_in(namespace, &who));
                    prop_assert_eq!(of, said.collect::<BTreeSet<_>>());
                }
            }
        }
    }
}
