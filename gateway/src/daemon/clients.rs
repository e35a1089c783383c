// SPDX-License-Identifier: AGPL-3.0-or-later
//! The client API's place in the daemon: a thread of its own, so that no client takes the control loop's time or its threads for the
//! disk; done without where its port is another program's.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::client_api::{ClientApi, Doors};
use crate::config::ClientsConfig;

/// Threads that wait for the disk on behalf of clients: a disk does not do more at once. What further ones want waits for them.
const WAITING_FOR_DISK: usize = 32;

/// The running client API.
pub(super) struct ServedClients {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// Serves clients, where there are to be any; or says why nobody does.
pub(super) fn serve(config: &ClientsConfig, doors: Doors) -> Result<Option<ServedClients>, String> {
    if !config.enable {
        return Ok(None);
    }
    start(config, doors).map(Some).map_err(|error| {
        warn!(address = %config.listen, %error, "programs that speak the client protocol cannot connect");
        format!("no clients: cannot listen on {}: {error}", config.listen)
    })
}

fn start(config: &ClientsConfig, doors: Doors) -> io::Result<ServedClients> {
    let runtime =
        Builder::new_current_thread().enable_all().max_blocking_threads(WAITING_FOR_DISK).build()?;
    let (stop, stopped) = oneshot::channel();
    let (said, bound) = mpsc::channel();
    let listen = config.listen;
    let thread = std::thread::Builder::new().name("clients".to_owned()).spawn(move || {
        runtime.block_on(async {
            match ClientApi::bind(listen) {
                Ok(api) => {
                    let _ = said.send(Ok(()));
                    tokio::select! {
                        () = api.serve(doors) => {}
                        // Also where the daemon is gone.
                        _ = stopped => {}
                    }
                }
                Err(error) => drop(said.send(Err(error))),
            }
        });
        // Who waits for the disk is not waited for.
        runtime.shutdown_background();
    })?;
    bound.recv().map_err(io::Error::other)??;
    Ok(ServedClients { thread, stop })
}

impl ServedClients {
    /// Ends it: clients are cut off. Waits for its thread, which is at once.
    pub(super) fn end(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            error!("the thread for clients has panicked");
        }
    }
}
