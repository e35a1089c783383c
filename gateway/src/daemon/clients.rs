// SPDX-License-Identifier: AGPL-3.0-or-later
//! The client API's place in the daemon; done without where its port is another program's.

use tracing::warn;

use crate::client_api::ClientApi;
use crate::config::ClientsConfig;

/// Listens for clients, where there are to be any and there is something for them; or says why there is none.
pub(super) fn open(config: &ClientsConfig, has_streams: bool) -> (Option<ClientApi>, Option<String>) {
    if !config.enable || !has_streams {
        return (None, None);
    }
    match ClientApi::bind(config.listen) {
        Ok(api) => (Some(api), None),
        Err(error) => {
            warn!(address = %config.listen, %error, "programs that speak the client protocol cannot connect");
            (None, Some(format!("no clients: cannot listen on {}: {error}", config.listen)))
        }
    }
}
