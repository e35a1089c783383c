// SPDX-License-Identifier: AGPL-3.0-or-later
//! The ways out of this router, as the data path sees them: the forwarding table and the outbox of every hop, both
//! immutable snapshots. Readers load them once per batch; only link changes and the control plane replace them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use netmod_api::Outbox;
use ratman_types::{Address, Hop, LinkId, Mtu};
use router_core::{Fib, Lookup};

type Outboxes = HashMap<LinkId, Arc<dyn Outbox>>;

/// The current forwarding table and outboxes, shared by every thread of the data path.
#[derive(Debug, Default)]
pub struct Ways {
    fib: ArcSwap<Fib>,
    outboxes: ArcSwap<Outboxes>,
}

impl Ways {
    /// Both tables as they stand; to be taken once per batch and dropped after it.
    pub fn load(&self) -> Snapshot {
        Snapshot { fib: self.fib.load(), outboxes: self.outboxes.load() }
    }

    /// Replaces the forwarding table.
    pub fn set_fib(&self, fib: Arc<Fib>) {
        self.fib.store(fib);
    }

    /// Adds the outbox of a link that came up.
    pub fn add(&self, link: LinkId, outbox: &Arc<dyn Outbox>) {
        self.outboxes.rcu(|outboxes| {
            let mut outboxes = Outboxes::clone(outboxes);
            outboxes.insert(link, Arc::clone(outbox));
            outboxes
        });
    }

    /// Forgets the outbox of a link that is gone.
    pub fn remove(&self, link: LinkId) {
        self.outboxes.rcu(|outboxes| {
            let mut outboxes = Outboxes::clone(outboxes);
            outboxes.remove(&link);
            outboxes
        });
    }
}

/// One consistent reading of [`Ways`].
#[derive(Debug)]
pub struct Snapshot {
    fib: Guard<Arc<Fib>>,
    outboxes: Guard<Arc<Outboxes>>,
}

impl Snapshot {
    /// The forwarding table.
    pub fn fib(&self) -> &Fib {
        &self.fib
    }

    /// The way out over `hop`, if its link is up.
    pub fn outbox(&self, hop: Hop) -> Option<&Arc<dyn Outbox>> {
        self.outboxes.get(&hop.link)
    }

    /// The way out towards an address elsewhere, and the largest frame that the whole way carries.
    pub fn to(&self, address: &Address) -> Option<(&Arc<dyn Outbox>, Mtu)> {
        match self.fib.lookup(address, None) {
            Lookup::Via(via) => self.outbox(via.hop).map(|outbox| (outbox, via.mtu.min(outbox.mtu()))),
            Lookup::Local | Lookup::OnlyWayBack | Lookup::NoRoute => None,
        }
    }

    /// The outboxes of all links.
    pub fn outboxes(&self) -> impl Iterator<Item = (LinkId, &Arc<dyn Outbox>)> {
        self.outboxes.iter().map(|(link, outbox)| (*link, outbox))
    }
}
