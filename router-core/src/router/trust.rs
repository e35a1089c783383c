// SPDX-License-Identifier: AGPL-3.0-or-later
//! What trust in addresses says about neighbours: one is trusted as the most trusted address that is reached through it
//! (decisions/trust-in-routers.md).

use std::collections::{BTreeMap, BTreeSet};

use ratman_types::{Address, Now, RouterId};

use super::Router;

/// Where the trusted addresses are reached.
#[derive(Debug, Default)]
pub(super) struct Trust {
    // INVARIANT: both say the same, of no more addresses than the operator trusts.
    reached: BTreeMap<Address, (RouterId, u32)>,
    through: BTreeMap<RouterId, BTreeSet<(u32, Address)>>,
}

impl Trust {
    /// The most trust in an address that is reached through a neighbour.
    fn through(&self, neighbour: &RouterId) -> Option<u32> {
        self.through.get(neighbour)?.last().map(|(score, _)| *score)
    }

    /// A trusted address is reached through this neighbour now, or through none; the neighbours of which that may change
    /// something.
    fn reach(&mut self, address: Address, now: Option<(RouterId, u32)>) -> [Option<RouterId>; 2] {
        let before = match now {
            Some(now) => self.reached.insert(address, now),
            None => self.reached.remove(&address),
        };
        if let Some((neighbour, score)) = before
            && let Some(there) = self.through.get_mut(&neighbour)
        {
            there.remove(&(score, address));
            if there.is_empty() {
                self.through.remove(&neighbour);
            }
        }
        if let Some((neighbour, score)) = now {
            self.through.entry(neighbour).or_default().insert((score, address));
        }
        [before, now].map(|reached| reached.map(|(neighbour, _)| neighbour))
    }
}

impl Router {
    /// Takes other trust scores (source: manual, Appendix C), of as many addresses as the operator trusts; one without a score is
    /// absent. A score under the id of a neighbour goes before what is reached through it.
    pub fn set_trust(&mut self, scores: BTreeMap<Address, u32>, now: Now) {
        self.now = now;
        self.trust = Trust::default();
        for (address, score) in &scores {
            let hop = self.rib.get(address).and_then(|known| known.hop_in_use());
            self.trust.reach(*address, hop.map(|hop| (hop.neighbour, *score)));
        }
        let reached = self.trust.through.keys().filter_map(|id| Some((*id, self.trust.through(id)?)));
        self.scorer_config.reached = reached.collect();
        self.scorer_config.trust_scores = scores;
        self.choose_all_carriers(now);
    }

    /// An address is reached through another neighbour than before, or not at all.
    pub(super) fn note_reached(&mut self, address: &Address, through: Option<RouterId>, now: Now) {
        let Some(score) = self.scorer_config.trust_scores.get(address).copied() else { return };
        let concerned = self.trust.reach(*address, through.map(|neighbour| (neighbour, score)));
        for neighbour in concerned.into_iter().flatten() {
            let before = self.scorer_config.trust_in(&neighbour);
            match self.trust.through(&neighbour) {
                Some(score) => self.scorer_config.reached.insert(neighbour, score),
                None => self.scorer_config.reached.remove(&neighbour),
            };
            if self.scorer_config.trust_in(&neighbour) != before {
                self.choose_carriers_by(neighbour, now);
            }
        }
    }
}
