// SPDX-License-Identifier: AGPL-3.0-or-later
//! The client API's place in the daemon: a thread of its own, so that no client takes the control loop's time or its threads for the
//! disk. Where its port is another program's, or its unix socket cannot be made, it is done without that.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::client_api::{ClientApi, Doors};
use crate::config::ClientsConfig;
use crate::control::Allowed;

/// Threads that wait for the disk on behalf of clients: a disk does not do more at once. What further ones want waits for them.
const WAITING_FOR_DISK: usize = 32;

/// The running client API.
pub(super) struct ServedClients {
    thread: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// Serves clients, where there are to be any; and says where nobody does who should.
pub(super) fn serve(
    config: &ClientsConfig,
    allowed: Allowed,
    doors: Doors,
) -> (Option<ServedClients>, Vec<String>) {
    if !config.enable {
        return (None, Vec::new());
    }
    match start(config.clone(), allowed, doors) {
        Ok((served, missing)) => (Some(served), missing),
        Err(error) => {
            warn!(%error, "programs that speak the client protocol cannot connect");
            (None, vec![format!("no clients: {error}")])
        }
    }
}

fn start(config: ClientsConfig, allowed: Allowed, doors: Doors) -> io::Result<(ServedClients, Vec<String>)> {
    let runtime =
        Builder::new_current_thread().enable_all().max_blocking_threads(WAITING_FOR_DISK).build()?;
    let (stop, stopped) = oneshot::channel();
    let (said, opened) = mpsc::channel();
    let thread = std::thread::Builder::new().name("clients".to_owned()).spawn(move || {
        runtime.block_on(async {
            let (api, missing) = open(&config, allowed);
            let _ = said.send(missing);
            if !api.is_open() {
                return;
            }
            tokio::select! {
                () = api.serve(doors) => {}
                // Also where the daemon is gone.
                _ = stopped => {}
            }
        });
        // Who waits for the disk is not waited for.
        runtime.shutdown_background();
    })?;
    let missing = opened.recv().map_err(io::Error::other)?;
    Ok((ServedClients { thread, stop }, missing))
}

/// Both ways in are good for themselves: where one cannot be had, clients take the other.
fn open(config: &ClientsConfig, allowed: Allowed) -> (ClientApi, Vec<String>) {
    let mut api = ClientApi::default();
    let mut missing = Vec::new();
    if let Err(error) = api.listen(config.listen) {
        warn!(address = %config.listen, %error, "programs that speak the client protocol cannot connect over TCP");
        missing.push(format!("no clients over TCP: cannot listen on {}: {error}", config.listen));
    }
    if let Some(Err(error)) = config.socket.as_deref().map(|path| api.open_socket(path, allowed)) {
        warn!(%error, "programs that speak the client protocol cannot connect on a unix socket");
        missing.push(format!("no clients on a unix socket: {error}"));
    }
    (api, missing)
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// The beginnings of what is told.
    fn beginnings(missing: &[String]) -> Vec<&str> {
        missing.iter().filter_map(|why| why.split(':').next()).collect()
    }

    #[tokio::test]
    async fn each_way_in_is_there_without_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let allowed = Allowed::of_group(0);
        // Somebody else's.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = port.local_addr().unwrap();
        let path = dir.path().join("clients.sock");
        let config = |socket: PathBuf| ClientsConfig { enable: true, listen, socket: Some(socket) };
        let (api, missing) = open(&config(path.clone()), allowed);
        assert!(api.is_open() && api.address().is_none() && path.exists());
        assert_eq!(beginnings(&missing), ["no clients over TCP"]);

        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let beneath = config(file.join("clients.sock"));
        let (api, missing) = open(&beneath, allowed);
        assert!(!api.is_open());
        assert_eq!(beginnings(&missing), ["no clients over TCP", "no clients on a unix socket"]);

        drop(port);
        let (api, missing) = open(&beneath, allowed);
        assert!(api.is_open() && api.address().is_some());
        assert_eq!(beginnings(&missing), ["no clients on a unix socket"]);
        drop(api);
        let (api, missing) = open(&ClientsConfig { socket: None, ..beneath }, allowed);
        assert!(api.is_open() && missing.is_empty());
    }
}
