// SPDX-License-Identifier: AGPL-3.0-or-later
//! What happens while a run waits: tasks that send and receive say it through one bounded channel.

use std::time::Duration;

use ratman_client::types::{Address, Lifetime, News, Recipient};
use ratman_client::{Error, Incoming, Outgoing, RatmanIpc, ReceiveOptions, Reconnect};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, timeout_at};

use super::station::Station;

/// For how long the number of hops is taken as known.
const HOPS_HOLD: Duration = Duration::from_secs(1);

/// How much longer than a reply may take a probe is wanted: clocks of routers differ.
const CLOCKS: Duration = Duration::from_secs(10);

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    /// A stream came from the address that is pinged.
    Came {
        /// When.
        at: Instant,
        content: Vec<u8>,
        hops: Option<u8>,
    },
    /// A stream came that is too long to be a reply. It stays with the router.
    Foreign,
    /// No reply will come to a probe, and why.
    Hopeless { seq: u64, why: String },
    /// Nothing more can come.
    Deaf(Error),
}

/// Receives what the address that is pinged sends, for ever. `longest` is what a reply has at most.
pub(super) async fn hear(station: Station, whom: Address, longest: usize, events: Sender<Event>) {
    let options = ReceiveOptions::new()
        .from(whom)
        .to(Recipient::Address(station.address))
        .reconnect(Reconnect::default());
    let mut incoming = station.ipc.receive(&station.auth, station.address, options);
    let mut hops = Hops { known: None };
    loop {
        let event = hear_one(&station, &mut incoming, whom, longest, &mut hops).await;
        let event = match event {
            Ok(Some(event)) => event,
            Ok(None) => continue,
            Err(error) => Event::Deaf(error),
        };
        let is_last = matches!(event, Event::Foreign | Event::Deaf(_));
        if events.send(event).await.is_err() || is_last {
            return;
        }
    }
}

async fn hear_one(
    station: &Station,
    incoming: &mut Incoming,
    whom: Address,
    longest: usize,
    hops: &mut Hops,
) -> Result<Option<Event>, Error> {
    let Some(mut stream) = incoming.next().await? else { return Err(Error::Ended) };
    let at = Instant::now();
    let content = match stream.content(longest).await {
        Ok(content) => content,
        Err(Error::Unread(_)) if station.is_temporary => {
            // To nobody else's harm: the address is only for this run.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            stream.taken().await?;
            return Ok(None);
        }
        Err(Error::Unread(_)) => return Ok(Some(Event::Foreign)),
        Err(error) => return Err(error),
    };
    if !station.is_temporary && !super::probe::is_probe(&content) {
        return Ok(Some(Event::Foreign));
    }
    stream.taken().await?;
    Ok(Some(Event::Came { at, content, hops: hops.to(&station.ipc, whom).await }))
}

/// How far away somebody is.
struct Hops {
    /// And when that was asked.
    known: Option<(u8, Instant)>,
}

impl Hops {
    async fn to(&mut self, ipc: &RatmanIpc, whom: Address) -> Option<u8> {
        // A reply can be here before there is a route: what is carried needs none.
        if self.known.is_none_or(|(_, asked)| asked.elapsed() >= HOPS_HOLD) {
            let route = ipc.route_query(whom).await.ok().flatten();
            let hops = route.and_then(|route| if route.local { Some(0) } else { route.hops });
            self.known = hops.map(|hops| (hops, Instant::now()));
        }
        self.known.map(|(hops, _)| hops)
    }
}

/// How long a probe is wanted whose reply may take so long.
pub(super) fn lifetime(wait: Duration) -> Lifetime {
    let seconds = u32::try_from((wait + CLOCKS).as_secs() + 1).ok();
    seconds.and_then(Lifetime::from_secs).unwrap_or(Lifetime::MAX)
}

/// Sends a probe, and hears until the deadline whether it is in vain.
pub(super) async fn send(
    station: Station,
    outgoing: Outgoing,
    seq: u64,
    content: Vec<u8>,
    deadline: Instant,
    events: Sender<Event>,
) {
    let why = match timeout_at(deadline, send_one(&station, outgoing, &content)).await {
        Ok(Ok(None)) | Err(_) => return,
        Ok(Ok(Some(why))) => why.to_owned(),
        Ok(Err(error)) => error.to_string(),
    };
    // Where nobody listens the run is over.
    let _over = events.send(Event::Hopeless { seq, why }).await;
}

/// Why it is in vain; nothing if it is not, or nobody knows.
async fn send_one(
    station: &Station,
    outgoing: Outgoing,
    content: &[u8],
) -> Result<Option<&'static str>, Error> {
    let mut sending = station.ipc.send(&station.auth, outgoing).await?;
    match sending.write_all(content).await.map_err(Error::from) {
        Ok(()) => sending.finish().await?,
        // The news tell why it is over.
        Err(Error::Ended) => {}
        Err(error) => return Err(error),
    }
    while let Some((_, news)) = sending.next_news().await? {
        match news {
            News::Progress(_) | News::Accepted | News::Stored | News::Delivered | News::Published => {}
            News::Denied => return Ok(Some("denied: it does not want it")),
            News::Refused => return Ok(Some("refused by its router")),
            News::Expired => return Ok(Some("expired on the way")),
            News::Failed => return Ok(Some("failed: our router could not keep it")),
            News::Cancelled => return Ok(Some("cancelled")),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_live_little_longer_than_they_are_waited_for() {
        let seconds = |wait| lifetime(wait).as_secs();
        assert_eq!(seconds(Duration::from_millis(200)), 11);
        assert_eq!(seconds(Duration::from_secs(10)), 21);
        assert_eq!(lifetime(Duration::from_secs(30 * 86_400)), Lifetime::MAX);
    }
}
