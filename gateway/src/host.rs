// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the gateway changes on its host: addresses, routes and rules, forwarding, NAT, sysctls.
//!
//! [`Host`] makes the host as a [`Plan`] says, keeps it so while the host's network changes around it, moves to another
//! plan without touching what both have, and takes everything away at the end. Mesh routes live in a routing table of
//! our own, which all traffic but that of marked sockets asks before the main one. What a killed daemon leaves behind is
//! written down in the state directory; the next start takes it over. Meanwhile destinations of the mesh stay
//! unreachable, which keeps their traffic off the underlay.

use std::collections::BTreeSet;
use std::path::Path;

use tracing::{debug, warn};

use crate::netlink::{Link, MainRoute, Netlink, Watch};

mod error;
mod nat;
mod plan;
mod record;
mod removal;
mod reverse_path;
mod sysctl;
mod table;

pub use error::HostError;
pub(crate) use nat::{find_nft, is_plain};
pub use plan::{Forward, Plan, Routing};
use record::Record;
use removal::{clean_up, is_of_this_network, remove, remove_blocking};
use sysctl::Sysctls;

/// The host as a gateway uses it; what was changed is put back with this value, also when it is dropped in a panic.
#[derive(Debug)]
pub struct Host {
    plan: Plan,
    record: Record,
    sysctls: Sysctls,
    netlink: Netlink,
    watch: Watch,
    /// What the operator was told already.
    told: BTreeSet<String>,
    ended: bool,
}

impl Host {
    /// Makes the host as `plan` says; on an error everything is put back. `state_dir` is where changes are written down.
    ///
    /// What a killed daemon left is taken over where it serves the same device and table, or else removed. Must be
    /// called within a tokio runtime; needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// No such device, a route or a table in the way, a missing `nft` where something is to be forwarded.
    pub async fn start(plan: Plan, state_dir: &Path) -> Result<Self, HostError> {
        let netlink = Netlink::connect()?;
        let watch = Watch::new()?;
        let mut record = Record::load(state_dir)?;
        if !is_of_this_network(&netlink, &record).await? {
            record.discard();
        }
        if !record.is_for(&plan) {
            debug!("removing what an earlier daemon left");
            if let Err(error) = remove(&netlink, &mut record, None).await {
                warn!(%error, "not all that an earlier daemon left could be removed");
                record.erase()?;
            }
        }
        let link = netlink.link(&plan.device).await?;
        refuse_taken(&netlink, &plan, &link).await?;
        if let Err(error) = record.begin(&plan) {
            // Routes and rules are known by their protocol number; whatever needs to be written down is refused later.
            warn!(%error, "changes of this host cannot be written down: `irdest-gateway cleanup` would not know of this daemon");
        }
        let sysctls = Sysctls::of_the_host();
        let told = BTreeSet::new();
        let mut host = Self { plan, record, sysctls, netlink, watch, told, ended: false };
        match host.become_planned(&link).await {
            Ok(()) => Ok(host),
            Err(error) => {
                host.end().await;
                Err(error)
            }
        }
    }

    /// Moves to another plan, changing only the difference: a route that is in both is there all the time.
    ///
    /// # Errors
    /// As [`Host::start`], and what only a restart can change; the old plan then holds as before.
    pub async fn apply(&mut self, plan: Plan) -> Result<(), HostError> {
        self.plan.refuse_restart(&plan)?;
        let link = self.netlink.link(&plan.device).await?;
        refuse_taken(&self.netlink, &plan, &link).await?;
        let old = std::mem::replace(&mut self.plan, plan);
        match self.become_planned(&link).await {
            Ok(()) => self.remove_addresses_of(&old, &link).await,
            Err(error) => {
                let failed = std::mem::replace(&mut self.plan, old);
                let back = async {
                    self.become_planned(&link).await?;
                    self.remove_addresses_of(&failed, &link).await
                };
                if let Err(error) = back.await {
                    warn!(%error, "the host is not as it was before the failed reload");
                }
                Err(error)
            }
        }
    }

    /// Waits until the host's network changed and looks after our part in it; safe to cancel and call again.
    pub async fn follow(&mut self) {
        self.watch.changed().await;
        if let Err(error) = self.refresh().await {
            self.tell(format!("{error}"));
        }
    }

    /// Puts everything back; what is gone already is not missed.
    pub async fn end(mut self) {
        let removed = remove(&self.netlink, &mut self.record, Some(&self.plan)).await;
        self.ended = true;
        tell_what_stays(removed);
    }

    async fn become_planned(&mut self, link: &Link) -> Result<(), HostError> {
        self.netlink.set_up(link, self.plan.mtu).await?;
        for address in &self.plan.addresses {
            self.netlink.add_address(link, *address).await?;
        }
        self.forward().await?;
        let main = self.sync_routes(link).await?;
        for words in reverse_path::warnings(&self.plan, &self.netlink, &main).await {
            self.tell(words);
        }
        Ok(())
    }

    /// Removes what `other` had and the plan has not.
    async fn remove_addresses_of(&self, other: &Plan, link: &Link) -> Result<(), HostError> {
        for address in other.addresses.iter().filter(|address| !self.plan.addresses.contains(address)) {
            self.netlink.remove_address(link, *address).await?;
        }
        Ok(())
    }

    /// After a change of the host's network: throw routes follow the main table, and what somebody removed comes back.
    async fn refresh(&mut self) -> Result<(), HostError> {
        let link = self.netlink.link(&self.plan.device).await?;
        let down =
            format!("{0} was set down: nothing reaches the mesh until `ip link set {0} up`", link.name);
        if !link.up {
            self.tell(down);
            return Ok(());
        }
        self.told.remove(&down);
        for address in &self.plan.addresses {
            self.netlink.add_address(&link, *address).await?;
        }
        let _main = self.sync_routes(&link).await?;
        self.set_sysctls()
    }

    /// Makes our routing table and the rules for it as they have to be now beside the main table, which it returns; adds
    /// before it removes.
    async fn sync_routes(&mut self, link: &Link) -> Result<Vec<MainRoute>, HostError> {
        let routing = &self.plan.routing;
        let (main, own) = self.netlink.tables(routing.table, link.index).await?;
        let wanted = table::wanted(routing, &main, link.index);
        let present = own.routes;
        for route in wanted.routes.difference(&present) {
            self.netlink.add_route(routing.table, link, *route).await?;
        }
        self.netlink.add_rule(routing.rule()).await?;
        for route in present.difference(&wanted.routes) {
            self.netlink.remove_route(routing.table, link.index, *route).await?;
        }
        self.netlink.remove_rules(routing.table, Some(routing.rule())).await?;
        let ignored = table::conflicts(routing, &main, link.index).map(|route| route.prefix);
        let mut words: Vec<_> = ignored
            .map(|prefix| format!("the host's own route for {prefix} is not used: the mesh has it"))
            .collect();
        if wanted.left_out > 0 {
            words.push(format!(
                "{} routes of the host are more than can be kept out of the mesh",
                wanted.left_out
            ));
        }
        words.into_iter().for_each(|words| self.tell(words));
        Ok(main)
    }

    /// Filters first, then forwards: nothing crosses in between that the filter would not let pass.
    async fn forward(&mut self) -> Result<(), HostError> {
        let Plan { device, forward, .. } = &self.plan;
        let kept = self.sysctls.wanted(device, forward, &self.record);
        self.sysctls.put_back(&kept, &mut self.record);
        if forward.is_off() {
            if self.record.nft() {
                nat::delete(device).await?;
                self.record.set_nft(false)?;
            }
            return Ok(());
        }
        let script = nat::script(device, forward, &self.sysctls.closed(forward, &self.record))?;
        self.record.set_nft(true)?;
        nat::load(script).await?;
        self.set_sysctls()
    }

    fn set_sysctls(&mut self) -> Result<(), HostError> {
        let wanted = self.sysctls.wanted(&self.plan.device, &self.plan.forward, &self.record);
        for words in self.sysctls.set(wanted, &mut self.record)? {
            self.tell(words);
        }
        Ok(())
    }

    /// Every warning once: the host's network may change every second, the operator need not hear it.
    fn tell(&mut self, words: String) {
        if self.told.len() < MOST_TOLD && self.told.insert(words.clone()) {
            warn!("{words}");
        }
    }
}

/// Warnings name routes and interfaces of the host, so that only a host that changes for weeks has more; then it is told
/// no more.
const MOST_TOLD: usize = 256;

impl Drop for Host {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Dropping cannot await, and the runtime may be ending: a thread with a small runtime of its own can, and sees
        // the same network namespace.
        let (plan, record) = (self.plan.clone(), self.record.clone());
        let remover = std::thread::spawn(move || tell_what_stays(remove_blocking(record, Some(plan))));
        let _panicked = remover.join();
    }
}

/// Removes what a daemon that was killed left on the host; `state_dir` is its own, locked by the caller.
///
/// # Errors
/// What could not be removed; it stays written down.
pub fn cleanup(state_dir: &Path) -> Result<(), HostError> {
    clean_up(Record::load(state_dir)?)
}

fn tell_what_stays(removed: Result<(), HostError>) {
    if let Err(error) = removed {
        warn!(%error, "not everything could be taken away from the host; `irdest-gateway cleanup` tries again");
    }
}

/// Refuses a table that is not ours alone, and routes in the way; asked before anything is changed.
async fn refuse_taken(netlink: &Netlink, plan: &Plan, link: &Link) -> Result<(), HostError> {
    let table = plan.routing.table;
    let (main, own) = netlink.tables(table, link.index).await?;
    if let Some(other) = own.other_device {
        return Err(HostError::TableInUse { table, device: netlink.device_name(other).await });
    }
    if own.foreign {
        return Err(HostError::TableTaken(table));
    }
    let conflict = table::conflicts(&plan.routing, &main, link.index).next();
    let Some(route) = conflict else { return Ok(()) };
    let (device, prefix) = (link.name.clone(), route.prefix);
    Err(HostError::RouteExists { device, prefix, existing: netlink.describe(route).await })
}
