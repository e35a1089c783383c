// SPDX-License-Identifier: AGPL-3.0-or-later
//! Takes inbound connections, few at a time until they have proven who they are.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use crate::half_open::Full;
use crate::inet::Shared;
use crate::peering::Refused;
use crate::socket;

/// The wait after `accept` failed: out of descriptors, say, which the next call would only repeat.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts for ever.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    let mut told: Option<ErrorKind> = None;
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                told = None;
                admit(&shared, stream, remote);
            }
            Err(error) => {
                if told.replace(error.kind()) != Some(error.kind()) {
                    warn!(%error, "cannot accept connections, trying again");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn admit(shared: &Arc<Shared>, stream: TcpStream, remote: SocketAddr) {
    let place = match shared.half_open.take(remote.ip()) {
        Ok(place) => place,
        Err(Full::Total) => return shared.counters.half_open_full.add(1),
        Err(Full::Source) => return shared.counters.half_open_source_full.add(1),
    };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let met = meet(&shared, stream).await;
        drop(place);
        if let Err(reason) = met {
            // Whoever connects can cause this line, so it stands below what is logged by default.
            debug!(%remote, %reason, "connection refused");
            shared.count(&reason);
        }
    });
}

async fn meet(shared: &Arc<Shared>, mut stream: TcpStream) -> Result<(), Refused> {
    socket::tune(&stream)?;
    let proven = shared.identity.listen(&mut stream, |router| shared.accepts(router)).await?;
    shared.link(stream, &proven, false, shared.mtu)?;
    Ok(())
}
