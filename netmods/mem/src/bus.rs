// SPDX-License-Identifier: AGPL-3.0-or-later
//! The medium: who is on it, what it carries, what it loses.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use netmod_api::{Capabilities, DownReason, Inbox, LinkUp};
use ratman_types::{Hop, Mtu, RouterId, blake2b};

use crate::Station;
use crate::station::Wire;

/// Says whether a frame from the first router to the second is lost.
pub type Loss = Box<dyn FnMut(RouterId, RouterId, &[u8]) -> bool + Send>;

/// A medium that any number of routers attach to.
#[derive(Clone)]
pub struct Bus(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) capabilities: Capabilities,
    pub(crate) mtu: Mtu,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stations: BTreeMap<RouterId, Arc<Station>>,
    /// Who hears whom: both directions of every link that is up.
    wires: BTreeMap<(RouterId, RouterId), Arc<Wire>>,
    loss: Option<Loss>,
}

impl Bus {
    /// A medium of one kind that nobody is on.
    pub fn new(capabilities: Capabilities, mtu: Mtu) -> Self {
        Self(Arc::new(Shared { capabilities, mtu, state: Mutex::default() }))
    }

    /// Attaches a router: a link comes up between it and every router that is there already, which listens while
    /// the newcomer dials.
    ///
    /// # Panics
    /// If the router is attached already.
    pub fn attach(&self, router: RouterId, inbox: Arc<dyn Inbox>) -> Arc<Station> {
        let station = Arc::new(Station::new(router, inbox, self.clone()));
        let others: Vec<_> = self.0.lock().stations.values().cloned().collect();
        let before = self.0.lock().stations.insert(router, Arc::clone(&station));
        assert!(before.is_none(), "{router} is attached already");
        for other in others {
            self.join(&station, &other);
        }
        station
    }

    /// From now on loses the frames that `loss` says; data frames lost since the last that arrived are what nobody
    /// acknowledged ([`Outbox::unacknowledged`](netmod_api::Outbox::unacknowledged)).
    pub fn set_loss(&self, loss: Loss) {
        self.0.lock().loss = Some(loss);
    }

    /// Lets the way from one router to another take no data, or takes it again and tells who was refused; control
    /// passes all the time. Without such a link nothing happens.
    pub fn set_busy(&self, from: RouterId, to: RouterId, busy: bool) {
        let Some(wire) = self.wire(from, to) else { return };
        if wire.set_busy(busy)
            && let Some(station) = self.station(from)
        {
            station.inbox().writable(wire.hop());
        }
    }

    fn join(&self, dialer: &Arc<Station>, listener: &Arc<Station>) {
        // Without a peering there are no proofs; both ends know each other's ids.
        let proofs = blake2b(&[dialer.router().as_bytes(), listener.router().as_bytes()]);
        for (own, other, dialed) in [(dialer, listener, true), (listener, dialer, false)] {
            let wire = Arc::new(own.wire_to(other.router()));
            self.0.lock().wires.insert((own.router(), other.router()), Arc::clone(&wire));
            own.inbox().link_up(LinkUp {
                hop: wire.hop(),
                netmod: crate::station::NAME,
                outbox: wire,
                mtu: self.0.mtu,
                dialed,
                local: own.router().short(),
                remote: other.router().short(),
                proofs,
            });
        }
    }

    /// Ends the link between two routers; a second time nothing happens.
    pub(crate) fn part(&self, closer: RouterId, other: RouterId) {
        for (own, neighbour, reason) in
            [(closer, other, DownReason::ClosedByUs), (other, closer, DownReason::ClosedByPeer)]
        {
            let Some(wire) = self.0.lock().wires.remove(&(own, neighbour)) else { return };
            if let Some(station) = self.station(own) {
                station.inbox().link_down(wire.hop(), reason);
            }
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(crate) fn wire(&self, from: RouterId, to: RouterId) -> Option<Arc<Wire>> {
        self.0.lock().wires.get(&(from, to)).cloned()
    }

    /// Everybody whom a router reaches.
    pub(crate) fn neighbours(&self, of: RouterId) -> Vec<RouterId> {
        self.0.lock().wires.keys().filter(|(from, _)| *from == of).map(|(_, to)| *to).collect()
    }

    /// Puts a frame into the inbox of the other end and says so, unless it is lost. No lock is held meanwhile: the inbox
    /// may send at once.
    pub(crate) fn deliver(&self, from: RouterId, to: RouterId, frame: &[u8]) -> bool {
        if self.0.lock().loss.as_mut().is_some_and(|loss| loss(from, to, frame)) {
            return false;
        }
        if ratman_wire::peering::is_peering(frame) {
            return true;
        }
        let (Some(station), Some(wire)) = (self.station(to), self.wire(to, from)) else { return false };
        wire.count_received();
        let hop: Hop = wire.hop();
        let mut frame = frame.to_vec();
        station.inbox().receive(hop, station.inbox().now(), &mut core::iter::once(frame.as_mut_slice()));
        true
    }

    fn station(&self, router: RouterId) -> Option<Arc<Station>> {
        self.0.lock().stations.get(&router).cloned()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("INVARIANT: nothing panics under this lock but a loss function")
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("capabilities", &self.0.capabilities)
            .field("mtu", &self.0.mtu)
            .finish_non_exhaustive()
    }
}
