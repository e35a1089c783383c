// SPDX-License-Identifier: AGPL-3.0-or-later
//! Taking away what was done to the host, as far as it is still there.

use tracing::debug;

use super::record::Record;
use super::sysctl::Sysctls;
use super::{HostError, Plan, nat};
use crate::netlink::{Netlink, NetlinkError};

/// As [`remove`] where nothing can be awaited: in a runtime of its own.
pub(super) fn remove_blocking(mut record: Record, plan: Option<Plan>) -> Result<(), HostError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(NetlinkError::Socket)?;
    runtime.block_on(async { remove(&Netlink::connect()?, &mut record, plan.as_ref()).await })
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
