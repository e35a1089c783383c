// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the trains of all links share: the sockets beside the listeners, and whose turn it is on an interface.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ratman_types::{Hop, LinkId, RouterId};
use ratman_wire::Mode;
use ratman_wire::train::{self, TrainKey, TrainPacket, TrainReport};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tracing::{debug, warn};

use super::udp::{self, Datagram};
use crate::config::TrainConfig;
use crate::counters::Counters;
use crate::link::Link;

/// Datagrams that wait for the task of one link: the longest train; more are dropped and counted.
const MAILBOX: usize = 512;
/// Datagrams that are heard before other tasks of the thread have their turn: less than a millisecond of a flood.
const IN_A_ROW: usize = 64;

/// Shared by all links of the driver.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) config: TrainConfig,
    pub(crate) counters: Arc<Counters>,
    /// Of links that others dialled: their trains come to the listener's port.
    mailboxes: Mutex<BTreeMap<LinkId, Mailbox>>,
    /// Our addresses of which the interface is being measured.
    measured: Mutex<BTreeSet<IpAddr>>,
    /// Links that were in use when they were to be measured last, and whose they are.
    in_use: Mutex<BTreeMap<LinkId, RouterId>>,
}

#[derive(Debug)]
struct Mailbox {
    neighbour: RouterId,
    remote: IpAddr,
    key: TrainKey,
    sender: mpsc::Sender<Datagram>,
}

impl Mailbox {
    /// Whether a datagram of this kind was made for this link.
    fn opens(&self, mode: Mode, bytes: &[u8]) -> bool {
        if mode == Mode::TRAIN_REPORT {
            TrainReport::decode(bytes, self.neighbour, &self.key).is_ok()
        } else {
            TrainPacket::decode(bytes, self.neighbour, &self.key).is_ok()
        }
    }
}

/// The right to measure an interface, given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    hub: Arc<Hub>,
    local: IpAddr,
}

impl Hub {
    pub(crate) fn new(config: TrainConfig, counters: Arc<Counters>) -> Arc<Self> {
        let (mailboxes, measured, in_use) = Default::default();
        Arc::new(Self { config, counters, mailboxes, measured, in_use })
    }

    /// Hears the trains that come to a listener's port, for ever.
    pub(crate) async fn listen(self: Arc<Self>, address: SocketAddr, mark: Option<u32>) {
        match udp::open(address, None, mark) {
            Ok(socket) => self.hear(socket).await,
            Err(error) => warn!(%address, %error, "no packet trains from those who dial us"),
        }
    }

    async fn hear(self: Arc<Self>, socket: UdpSocket) {
        loop {
            for _ in 0..IN_A_ROW {
                match udp::receive(&socket).await {
                    Ok(datagram) => self.deliver(datagram),
                    Err(error) => {
                        debug!(%error, "no datagram for packet trains");
                        tokio::time::sleep(udp::DEAF).await;
                    }
                }
            }
            // A socket that always has another one never waits.
            yield_now().await;
        }
    }

    /// Hands a datagram to the link that it is about. Where only one can be meant its MAC is asked for there, and until
    /// then it costs one look at its header; of several links of a neighbour from one address (no more than a neighbour
    /// may have) the MAC tells which.
    fn deliver(&self, datagram: Datagram) {
        let Some((mode, sender)) = train::peek(&datagram.bytes) else {
            return self.counters.strange_trains.add(1);
        };
        let mailboxes = lock(&self.mailboxes);
        let matching = || {
            mailboxes
                .values()
                .filter(|mailbox| mailbox.neighbour == sender && mailbox.remote == datagram.source.ip())
        };
        let mailbox = if matching().nth(1).is_some() {
            matching().find(|mailbox| mailbox.opens(mode, &datagram.bytes))
        } else {
            matching().next()
        };
        match mailbox {
            None => self.counters.strange_trains.add(1),
            Some(mailbox) if mailbox.sender.try_send(datagram).is_err() => {
                self.counters.surplus_trains.add(1);
            }
            Some(_) => {}
        }
    }

    /// Where the datagrams of a link come that somebody else dialled, until [`Hub::leave`].
    pub(crate) fn join(&self, link: &Link, key: &TrainKey) -> mpsc::Receiver<Datagram> {
        let (_, remote) = link.pair();
        self.open(link.hop, remote, key.clone())
    }

    fn open(&self, hop: Hop, remote: IpAddr, key: TrainKey) -> mpsc::Receiver<Datagram> {
        let (sender, receiver) = mpsc::channel(MAILBOX);
        let mailbox = Mailbox { neighbour: hop.neighbour, remote, key, sender };
        lock(&self.mailboxes).insert(hop.link, mailbox);
        receiver
    }

    /// Ends [`Hub::join`] and [`Hub::note_use`].
    pub(crate) fn leave(&self, link: LinkId) {
        lock(&self.mailboxes).remove(&link);
        lock(&self.in_use).remove(&link);
    }

    /// Notes whether a link was found in use.
    pub(crate) fn note_use(&self, hop: Hop, used: bool) {
        let mut in_use = lock(&self.in_use);
        if used {
            in_use.insert(hop.link, hop.neighbour);
        } else {
            in_use.remove(&hop.link);
        }
    }

    /// Whether another link to the same neighbour is in use, whose traffic this one could take.
    pub(crate) fn has_rival(&self, hop: Hop) -> bool {
        lock(&self.in_use).iter().any(|(link, neighbour)| *neighbour == hop.neighbour && *link != hop.link)
    }

    /// The turn on the interface of one of our addresses, if nobody has it.
    pub(crate) fn turn(self: &Arc<Self>, local: IpAddr) -> Option<Turn> {
        let free = lock(&self.measured).insert(local);
        if !free {
            debug!(%local, "the interface is being measured");
        }
        free.then(|| Turn { hub: Arc::clone(self), local })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.hub.measured).remove(&self.local);
    }
}

/// Every change is one call, so what is in it is valid wherever a panic stopped.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use ratman_wire::train::{MAX_TRAIN_PACKET, MIN_TRAIN_PACKET};
    use tokio::sync::mpsc::Receiver;

    use super::*;

    const NEIGHBOUR: RouterId = RouterId::from_bytes([1; 32]);

    fn key(seed: u8) -> TrainKey {
        TrainKey::derive(&[seed; 32], &[0; 32], &[0; 32])
    }

    fn packet(seed: u8) -> Vec<u8> {
        TrainPacket { train: 1, index: 0, count: 64 }.encode(NEIGHBOUR, MIN_TRAIN_PACKET, &key(seed))
    }

    fn report(seed: u8) -> Vec<u8> {
        TrainReport { train: 1, received: 0, arrivals: vec![] }.encode(NEIGHBOUR, &key(seed))
    }

    fn hub() -> Arc<Hub> {
        Hub::new(TrainConfig::default(), Arc::default())
    }

    /// A link of the neighbour from 127.0.0.1, under a key of its own.
    fn link(hub: &Hub, seed: u8) -> Receiver<Datagram> {
        let hop = Hop { link: LinkId(seed.into()), neighbour: NEIGHBOUR };
        hub.open(hop, [127, 0, 0, 1].into(), key(seed))
    }

    fn hears(hub: &Hub, bytes: Vec<u8>) {
        let source = SocketAddr::from(([127, 0, 0, 1], 1001));
        hub.deliver(Datagram { bytes: bytes.into(), source, stamp: Default::default() });
    }

    fn counted(hub: &Hub) -> (u64, u64) {
        let counters = hub.counters.snapshot();
        (counters.strange_trains, counters.surplus_trains)
    }

    #[test]
    fn each_link_of_one_address_gets_its_own() {
        let hub = hub();
        let mut links = [1, 2, 3].map(|seed| link(&hub, seed));
        for seed in [3, 1, 2] {
            hears(&hub, packet(seed));
            hears(&hub, report(seed));
        }
        for (link, seed) in links.iter_mut().zip(1..) {
            assert_eq!(*link.try_recv().unwrap().bytes, *packet(seed));
            assert_eq!(*link.try_recv().unwrap().bytes, *report(seed));
            assert!(link.try_recv().is_err());
        }
        assert_eq!(counted(&hub), (0, 0));
        hears(&hub, packet(4));
        assert_eq!(counted(&hub), (1, 0), "nobody's is counted once");
        assert!(links.iter_mut().all(|link| link.try_recv().is_err()));
    }

    #[tokio::test]
    async fn a_flood_leaves_others_their_turn() {
        let socket = udp::open("127.0.0.1:0".parse().unwrap(), None, None).unwrap();
        let flood = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let all = 2 * IN_A_ROW + 1;
        for _ in 0..all {
            flood.send_to(b"hello", socket.local_addr().unwrap()).unwrap();
        }
        let hub = hub();
        let hearing = tokio::spawn(Arc::clone(&hub).hear(socket));
        let mut seen = 0;
        while seen < all {
            yield_now().await;
            let now = usize::try_from(counted(&hub).0).unwrap();
            assert!(now - seen <= IN_A_ROW, "{seen}, then {now}");
            seen = now;
        }
        hearing.abort();
    }

    #[test]
    fn a_mailbox_takes_no_more_than_a_train() {
        let hub = hub();
        let mut link = link(&hub, 1);
        for _ in 0..MAILBOX + 3 {
            hears(&hub, packet(1));
        }
        assert_eq!(counted(&hub), (0, 3));
        assert_eq!(std::iter::from_fn(|| link.try_recv().ok()).count(), MAILBOX);
        hub.leave(LinkId(1));
        hears(&hub, vec![0; MAX_TRAIN_PACKET]);
        hears(&hub, packet(1));
        assert_eq!(counted(&hub), (2, 3));
    }
}
