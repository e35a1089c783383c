// SPDX-License-Identifier: AGPL-3.0-or-later
//! Taking away what was done to the host, as far as it is still there.

use tokio::runtime::Runtime;
use tracing::debug;

use super::record::Record;
use super::sysctl::Sysctls;
use super::{HostError, Plan, nat};
use crate::netlink::{Netlink, NetlinkError};

/// As [`remove`] where nothing can be awaited: in a runtime of its own.
pub(super) fn remove_blocking(mut record: Record, plan: Option<Plan>) -> Result<(), HostError> {
    runtime()?.block_on(async { remove(&Netlink::connect()?, &mut record, plan.as_ref()).await })
}

/// The same for what a daemon left that is no more, and perhaps in a network that is no more either.
pub(super) fn clean_up(mut record: Record) -> Result<(), HostError> {
    runtime()?.block_on(async {
        let netlink = Netlink::connect()?;
        if !is_of_this_network(&netlink, &record).await? {
            record.discard_sysctls();
        }
        remove(&netlink, &mut record, None).await
    })
}

fn runtime() -> Result<Runtime, HostError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(NetlinkError::Socket)?)
}

/// Whether what `record` tells of was done to the network that we are in. Sysctls end with their network namespace, at a
/// reboot of the machine or only of the container, and so do our rules and our table of filters, without which no sysctl is
/// changed: it is their network where one of them is left. (The boot id says less: containers share that of the
/// machine, or are shown one of their own, and by another `/proc` not even the same one to all.)
pub(super) async fn is_of_this_network(netlink: &Netlink, record: &Record) -> Result<bool, HostError> {
    let Some((device, table)) = record.subject() else { return Ok(false) };
    Ok(netlink.has_rules(table).await? || record.nft() && nat::is_there(&device).await)
}

/// Takes away what `record` tells of, last first, and the addresses of `plan`; goes on after an error and returns the first.
/// The record ends only when nothing is left.
pub(super) async fn remove(
    netlink: &Netlink,
    record: &mut Record,
    plan: Option<&Plan>,
) -> Result<(), HostError> {
    let Some((device, table)) = record.subject() else { return Ok(()) };
    let rules = netlink.remove_rules(table, None).await;
    Sysctls::of_the_host().put_back(&[], record);
    let filter = if record.nft() { nat::delete(&device).await } else { Ok(()) };
    let routes = clear(netlink, table).await;
    if let (Some(plan), Ok(link)) = (plan, netlink.link(&device).await) {
        for address in &plan.addresses {
            if let Err(error) = netlink.remove_address(&link, *address).await {
                debug!(%error, "an address goes with the device");
            }
        }
    }
    rules?;
    filter?;
    routes?;
    record.erase()
}

/// Removes our routes from routing table `table`, whatever device they go through.
async fn clear(netlink: &Netlink, table: u32) -> Result<(), NetlinkError> {
    let (_main, own) = netlink.tables(table, 0).await?;
    let (_main, own) = netlink.tables(table, own.other_device.unwrap_or(0)).await?;
    for route in own.routes {
        netlink.remove_route(table, 0, route).await?;
    }
    Ok(())
}
