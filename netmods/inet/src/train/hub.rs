// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the trains of all links share: the sockets beside the listeners, and whose turn it is on an interface.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ratman_types::{LinkId, RouterId};
use ratman_wire::train;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::udp::{self, Datagram};
use crate::config::TrainConfig;
use crate::counters::Counters;
use crate::link::Link;

/// Datagrams that wait for the task of one link: the longest train; more are dropped and counted.
const MAILBOX: usize = 512;

/// Shared by all links of the driver.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) config: TrainConfig,
    pub(crate) counters: Arc<Counters>,
    /// Of links that others dialled: their trains come to the listener's port.
    mailboxes: Mutex<BTreeMap<LinkId, Mailbox>>,
    /// Our addresses of which the interface is being measured.
    measured: Mutex<BTreeSet<IpAddr>>,
}

#[derive(Debug)]
struct Mailbox {
    neighbour: RouterId,
    remote: IpAddr,
    sender: mpsc::Sender<Datagram>,
}

/// The right to measure an interface, given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    hub: Arc<Hub>,
    local: IpAddr,
}

impl Hub {
    pub(crate) fn new(config: TrainConfig, counters: Arc<Counters>) -> Arc<Self> {
        let (mailboxes, measured) = Default::default();
        Arc::new(Self { config, counters, mailboxes, measured })
    }

    /// Hears the trains that come to a listener's port, for ever.
    pub(crate) async fn listen(self: Arc<Self>, address: SocketAddr, mark: Option<u32>) {
        let socket = match udp::open(address, None, mark) {
            Ok(socket) => socket,
            Err(error) => return warn!(%address, %error, "no packet trains from those who dial us"),
        };
        loop {
            match udp::receive(&socket).await {
                Ok(datagram) => self.deliver(datagram),
                Err(error) => {
                    debug!(%error, "no datagram for packet trains");
                    tokio::time::sleep(udp::DEAF).await;
                }
            }
        }
    }

    /// Hands a datagram to the links that it can be about. Its MAC is asked for there; until then it costs one look at
    /// its header.
    fn deliver(&self, datagram: Datagram) {
        let Some((_, sender)) = train::peek(&datagram.bytes) else {
            return self.counters.strange_trains.add(1);
        };
        let mailboxes = lock(&self.mailboxes);
        let mailbox = mailboxes
            .values()
            .find(|mailbox| mailbox.neighbour == sender && mailbox.remote == datagram.source.ip());
        match mailbox {
            None => self.counters.strange_trains.add(1),
            Some(mailbox) if mailbox.sender.try_send(datagram).is_err() => {
                self.counters.surplus_trains.add(1);
            }
            Some(_) => {}
        }
    }

    /// Where the datagrams of a link come that somebody else dialled, until [`Hub::leave`].
    pub(crate) fn join(&self, link: &Link) -> mpsc::Receiver<Datagram> {
        let (sender, receiver) = mpsc::channel(MAILBOX);
        let (_, remote) = link.pair();
        let mailbox = Mailbox { neighbour: link.hop.neighbour, remote, sender };
        lock(&self.mailboxes).insert(link.hop.link, mailbox);
        receiver
    }

    pub(crate) fn leave(&self, link: LinkId) {
        lock(&self.mailboxes).remove(&link);
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
