// SPDX-License-Identifier: AGPL-3.0-or-later
//! All links that are up, and which of two between the same ends stays (source: wire page, peering).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netmod_api::DownReason;
use ratman_types::{Hop, LinkId, RouterId, Timestamp};

use crate::config::InetLimits;
use crate::link::Link;
use crate::peering::Refused;

/// The table of links.
#[derive(Debug)]
pub(crate) struct Links {
    own: RouterId,
    limits: InetLimits,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    up: BTreeMap<LinkId, Arc<Link>>,
    /// Places that strangers may have.
    for_strangers: usize,
    stopped: bool,
}

impl Links {
    /// `lines` is the number of peer lines.
    pub(crate) fn new(own: RouterId, limits: InetLimits, lines: usize) -> Self {
        let links = Self { own, limits, table: Mutex::default() };
        links.set_lines(lines);
        links
    }

    /// Reserves places for so many peer lines from now on; who has a place keeps it.
    pub(crate) fn set_lines(&self, lines: usize) {
        // A line has two places: its link, and the one that replaces it.
        let reserved = self.limits.links_reserved.max(lines.saturating_mul(2));
        self.lock().for_strangers = self.limits.links.saturating_sub(reserved);
    }

    /// Enters a link and returns those that have to make way for it.
    ///
    /// Of two links the listener closes the one that does not stay, so a dialer enters its link and waits for the
    /// verdict; a stalled link is closed by whoever notices.
    ///
    /// `named` says whether a peer line names the router. A router that we do not dial either is a stranger, and
    /// takes a new place only while some are left that are not reserved.
    ///
    /// # Errors
    /// [`Refused::Duplicate`] if the new one has to make way, [`Refused::LinksFull`], [`Refused::Stopped`].
    pub(crate) fn add(
        &self,
        link: &Arc<Link>,
        named: bool,
        now: Timestamp,
    ) -> Result<Vec<Arc<Link>>, Refused> {
        let mut table = self.lock();
        if table.stopped {
            return Err(Refused::Stopped);
        }
        let mut leaving = Vec::new();
        for twin in table.up.values().filter(|twin| is_twin(link, twin)) {
            if self.newer_stays(link, twin, now) {
                if !twin.dialed || twin.is_stalled(now) {
                    leaving.push(Arc::clone(twin));
                }
            } else if !link.dialed {
                return Err(Refused::Duplicate);
            }
        }
        let staying = || table.up.values().filter(|up| leaving.iter().all(|gone| gone.hop != up.hop));
        let of_neighbour = || staying().filter(|up| up.hop.neighbour == link.hop.neighbour);
        let known = named || link.dialed || of_neighbour().any(|up| up.dialed);
        let places = if known || !leaving.is_empty() { self.limits.links } else { table.for_strangers };
        if staying().count() >= places || of_neighbour().count() >= self.limits.links_per_neighbour {
            return Err(Refused::LinksFull);
        }
        table.up.insert(link.hop.link, Arc::clone(link));
        Ok(leaving)
    }

    /// Of dials from both sides the one by the smaller id stays, of two by the same side the later; a stalled link
    /// loses to any.
    fn newer_stays(&self, newer: &Link, older: &Link, now: Timestamp) -> bool {
        if older.is_stalled(now) || newer.dialed == older.dialed {
            return true;
        }
        newer.dialed == (self.own < newer.hop.neighbour)
    }

    pub(crate) fn remove(&self, link: LinkId) {
        self.lock().up.remove(&link);
    }

    /// The link of a hop, if it is up.
    pub(crate) fn get(&self, hop: Hop) -> Option<Arc<Link>> {
        self.lock().up.get(&hop.link).filter(|link| link.hop == hop).cloned()
    }

    /// Another link that is up between the ends of this one.
    pub(crate) fn twin(&self, link: &Link) -> Option<Arc<Link>> {
        self.lock().up.values().find(|twin| is_twin(link, twin)).cloned()
    }

    /// Every link but those of some neighbours.
    pub(crate) fn all_but(&self, neighbours: &[RouterId]) -> Vec<Arc<Link>> {
        let table = self.lock();
        table.up.values().filter(|link| !neighbours.contains(&link.hop.neighbour)).cloned().collect()
    }

    /// Closes every link, and takes no more.
    pub(crate) fn stop(&self) {
        let mut table = self.lock();
        table.stopped = true;
        for link in table.up.values() {
            link.close(DownReason::Stopped);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Every change is one call on the map or one store, so the table is valid wherever a panic stopped.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two links join the same routers over the same pair of underlay addresses without ports.
fn is_twin(link: &Link, other: &Link) -> bool {
    other.hop.link != link.hop.link
        && other.hop.neighbour == link.hop.neighbour
        && other.pair() == link.pair()
        && !other.is_closed()
}

#[cfg(test)]
mod tests;
