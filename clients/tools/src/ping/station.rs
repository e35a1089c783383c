// SPDX-License-Identifier: AGPL-3.0-or-later
//! From where probes are sent, and to where replies come.

use ratman_client::types::{Address, AuthToken};
use ratman_client::{RatmanIpc, RatmanIpcExtV1};

use crate::{GlobalArgs, Result, Session};

/// What the address is called in the router, for who wonders about one that a killed ping left behind.
const NAME: &str = "irdest-ping";

/// An address that is up, at a router.
#[derive(Clone, Debug)]
pub(super) struct Station {
    pub(super) ipc: RatmanIpc,
    pub(super) address: Address,
    pub(super) auth: AuthToken,
    /// Whether it is to go at the end.
    pub(super) is_temporary: bool,
}

impl Station {
    /// The user's own address, or one for this run. Not to be given up in the middle: an address would stay behind.
    pub(super) async fn open(global: &GlobalArgs, ipc: RatmanIpc, own: bool) -> Result<Self> {
        if own {
            let Session { ipc, address, auth } = global.session().await?;
            return Ok(Self { ipc, address, auth, is_temporary: false });
        }
        let (address, auth) = ipc.addr_create(Some(&NAME.to_owned()), None).await?;
        let station = Self { ipc, address, auth, is_temporary: true };
        match station.ipc.addr_up(&station.auth, address).await {
            Ok(()) => Ok(station),
            Err(error) => {
                // The first error says more than that of cleaning up.
                let _ = station.close().await;
                Err(error.into())
            }
        }
    }

    /// Destroys what was made for this run, and with it what is on its way from there and to there.
    pub(super) async fn close(&self) -> Result<()> {
        if self.is_temporary {
            self.ipc.addr_destroy(&self.auth, self.address, true).await?;
        }
        Ok(())
    }
}
