// SPDX-License-Identifier: AGPL-3.0-or-later
//! Taking away what was done to the host, as far as it is still there.

use tracing::{info, warn};

use super::record::Record;
use super::sysctl::Sysctls;
use super::{HostError, Plan, nat};
use crate::netlink::{Netlink, NetlinkError};

/// As [`remove`] where nothing can be awaited: in a runtime of its own.
pub(super) fn remove_blocking(mut record: Record, plan: Option<Plan>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            match Netlink::connect() {
                Ok(netlink) => remove(&netlink, &mut record, plan.as_ref()).await,
                Err(error) => warn!(%error, "routes and rules stay on the host"),
            }
        }),
        Err(error) => warn!(%error, "routes and rules stay on the host"),
    }
}

/// Takes away what `record` tells of, last first, and the addresses of `plan`.
pub(super) async fn remove(netlink: &Netlink, record: &mut Record, plan: Option<&Plan>) {
    let Some((device, table)) = record.subject() else { return };
    let told = |what: &str, done: Result<(), HostError>| {
        if let Err(error) = done {
            info!(%error, "could not remove {what}");
        }
    };
    told("our rules", netlink.remove_rules(table, None).await.map_err(HostError::from));
    Sysctls::of_the_host().put_back(&[], record);
    if record.nft() {
        told("our nftables table", nat::delete(&device).await);
    }
    told("our routes", clear(netlink, table).await.map_err(HostError::from));
    if let (Some(plan), Ok(link)) = (plan, netlink.link(&device).await) {
        for address in &plan.addresses {
            told("an address", netlink.remove_address(&link, *address).await.map_err(HostError::from));
        }
    }
    told("the record of changes", record.erase());
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
