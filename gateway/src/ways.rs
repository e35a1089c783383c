// SPDX-License-Identifier: AGPL-3.0-or-later
//! The ways out of this router, as the data path sees them: the forwarding table and the queue of every link, both
//! immutable snapshots. Readers load them once per batch; only link changes and the control plane replace them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use ratman_types::{Address, Hop, LinkId, Mtu};
use router_core::{Fib, Lookup};

use crate::egress::Egress;

type Links = HashMap<LinkId, Arc<Egress>>;

/// The current forwarding table and links, shared by every thread of the data path.
#[derive(Debug, Default)]
pub struct Ways {
    fib: ArcSwap<Fib>,
    links: ArcSwap<Links>,
}

impl Ways {
    /// Both tables as they stand; to be taken once per batch and dropped after it.
    pub fn load(&self) -> Snapshot {
        Snapshot { fib: self.fib.load(), links: self.links.load() }
    }

    /// The forwarding table, for who keeps it.
    pub fn fib(&self) -> Arc<Fib> {
        self.fib.load_full()
    }

    /// Replaces the forwarding table.
    pub fn set_fib(&self, fib: Arc<Fib>) {
        self.fib.store(fib);
    }

    /// Adds a link that came up.
    pub fn add(&self, link: LinkId, egress: &Arc<Egress>) {
        self.links.rcu(|links| {
            let mut links = Links::clone(links);
            links.insert(link, Arc::clone(egress));
            links
        });
    }

    /// Forgets a link that is gone, and what waited for it.
    pub fn remove(&self, link: LinkId) {
        let before = self.links.rcu(|links| {
            let mut links = Links::clone(links);
            links.remove(&link);
            links
        });
        if let Some(egress) = before.get(&link) {
            egress.close();
        }
    }
}

/// One consistent reading of [`Ways`].
#[derive(Debug)]
pub struct Snapshot {
    fib: Guard<Arc<Fib>>,
    links: Guard<Arc<Links>>,
}

impl Snapshot {
    /// The forwarding table.
    pub fn fib(&self) -> &Fib {
        &self.fib
    }

    /// The way out over `hop`, if its link is up.
    pub fn egress(&self, hop: Hop) -> Option<&Arc<Egress>> {
        self.links.get(&hop.link)
    }

    /// The way out towards an address elsewhere, and the largest frame that the whole way carries.
    pub fn to(&self, address: &Address) -> Option<(&Arc<Egress>, Mtu)> {
        match self.fib.lookup(address, None) {
            Lookup::Via(via) => self.egress(via.hop).map(|egress| (egress, via.mtu.min(egress.mtu()))),
            Lookup::Local | Lookup::OnlyWayBack | Lookup::NoRoute => None,
        }
    }

    /// The ways out over all links.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, &Arc<Egress>)> {
        self.links.iter().map(|(link, egress)| (*link, egress))
    }
}
