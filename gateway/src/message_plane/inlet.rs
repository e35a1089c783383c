// SPDX-License-Identifier: AGPL-3.0-or-later
//! The one way into the message plane.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ratman_types::{Address, Hop, LinkId, Namespace, SecretKey};
use ratman_wire::FrameId;
use ratman_wire::api::FilterRule;
use router_core::Via;
use router_core::streams::StreamFilter;

use super::registry::Ask;
use crate::forward::{Place, Shares};
use crate::store::Completion;

/// How many bytes of one link may wait for the message plane: what three streams have on the way (1 MiB each: wire page,
/// streams), and a burst beside them.
const STREAM_BYTES_PER_LINK: usize = 4 * 1024 * 1024;

/// What happens to the message plane.
#[derive(Debug)]
pub(super) enum Input {
    /// A frame of a stream, or of the user range, came over a hop.
    Frame { from: Hop, bytes: Vec<u8>, _place: Place },
    /// A neighbour answers for frames of ours.
    Custody { from: Hop, frames: Vec<FrameId>, _place: Place },
    /// The forwarding table is another one.
    Routes,
    /// Frames for some addresses may be carried elsewhere: [`Inlet::take_carriers`].
    Carriers,
    /// Other neighbours are there, or others of their links are best: [`Inlet::take_neighbours`].
    Neighbours,
    /// The store has done something.
    Stored(Completion),
    /// A client wants something.
    Ask(Ask),
    /// Streams for an address of ours are taken from now on; its frames start with so many hops.
    LocalUp(Arc<SecretKey>, u8),
    /// No more of them.
    LocalDown(Address),
    /// An address of ours is gone for good, and what was sent to it and by it is to go.
    Forget(Address),
    /// Only these are addresses of ours, up or down: what is here of others is to go.
    Keep(BTreeSet<Address>),
    /// Other streams are taken than before.
    Filter(StreamFilter),
    /// Other streams are taken for one address than before.
    Rules(Address, Vec<FilterRule>),
    /// An address of ours took part in these namespaces before the daemon began, and does.
    TookPart(Address, Vec<Namespace>),
    /// Others are contacts than before.
    Contacts(BTreeSet<Address>),
    /// It is to end.
    End,
    /// It is to panic, as only a fault in it makes it do otherwise.
    #[cfg(test)]
    Panic,
}

/// Takes what happens, never waiting. What waits is bounded by each link's share for frames and custody, by the store's own
/// limit for what it does, and by the places of the control socket for clients.
#[derive(Clone, Debug)]
pub struct Inlet {
    inputs: mpsc::Sender<Input>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    shares: Shares,
    /// Whether an [`Input::Routes`] waits.
    routes: AtomicBool,
    /// Changes that were not taken yet, at most one for each address that the router remembers; an [`Input::Carriers`] waits while
    /// there are some.
    carriers: Mutex<BTreeMap<Address, Option<Via>>>,
    /// What was not taken yet; an [`Input::Neighbours`] waits then.
    neighbours: Mutex<Option<Vec<Via>>>,
    clock_correction: AtomicI64,
}

/// An empty inlet, and what comes out of it.
pub(super) fn inlet() -> (Inlet, mpsc::Receiver<Input>) {
    let (inputs, outlet) = mpsc::channel();
    let shared = Shared {
        shares: Shares::new(STREAM_BYTES_PER_LINK),
        routes: AtomicBool::new(false),
        carriers: Mutex::default(),
        neighbours: Mutex::default(),
        clock_correction: AtomicI64::new(0),
    };
    (Inlet { inputs, shared: Arc::new(shared) }, outlet)
}

impl Inlet {
    /// A link came up; before, nothing is taken of it.
    pub fn link_up(&self, link: LinkId) {
        self.shared.shares.open(link);
    }

    /// A link is gone.
    pub fn link_down(&self, link: LinkId) {
        self.shared.shares.close(link);
    }

    /// A frame came for which the data path says [`Forward::Stream`](router_core::Forward::Stream); whether it found room.
    pub fn frame(&self, from: Hop, frame: &[u8]) -> bool {
        let place = self.shared.shares.take(from.link, frame.len());
        place.is_some_and(|_place| self.put(Input::Frame { from, bytes: frame.to_vec(), _place }))
    }

    /// A neighbour answers for frames of ours; whether that found room.
    pub fn custody(&self, from: Hop, frames: Vec<FrameId>) -> bool {
        let place = self.shared.shares.take(from.link, frames.len() * size_of::<FrameId>());
        place.is_some_and(|_place| self.put(Input::Custody { from, frames, _place }))
    }

    /// The forwarding table of the [`Ways`](crate::ways::Ways) is another one.
    pub fn routes_changed(&self) {
        if !self.shared.routes.swap(true, Ordering::AcqRel) {
            self.put(Input::Routes);
        }
    }

    /// Frames for an address without a live route may be carried there from now on, or nowhere.
    pub fn carrier(&self, address: Address, via: Option<Via>) {
        let mut carriers = self.carriers();
        if carriers.is_empty() {
            self.put(Input::Carriers);
        }
        carriers.insert(address, via);
    }

    /// The neighbours that answer, each over its best link; the last that was said counts.
    pub fn neighbours(&self, neighbours: Vec<Via>) {
        if self.shared.neighbours.lock().unwrap_or_else(PoisonError::into_inner).replace(neighbours).is_none()
        {
            self.put(Input::Neighbours);
        }
    }

    /// The neighbours that answer, if they are others than before.
    pub(super) fn take_neighbours(&self) -> Option<Vec<Via>> {
        self.shared.neighbours.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the router adds to this host's clock, in microseconds; heeded from the next input on.
    pub fn set_clock_correction(&self, micros: i64) {
        self.shared.clock_correction.store(micros, Ordering::Relaxed);
    }

    /// What the router adds to this host's clock.
    pub(super) fn clock_correction(&self) -> i64 {
        self.shared.clock_correction.load(Ordering::Relaxed)
    }

    /// The table is about to be read: what changes from now on is another change.
    pub(super) fn routes_taken(&self) {
        self.shared.routes.store(false, Ordering::Release);
    }

    /// Where frames for addresses may be carried from now on.
    pub(super) fn take_carriers(&self) -> BTreeMap<Address, Option<Via>> {
        std::mem::take(&mut self.carriers())
    }

    fn carriers(&self) -> MutexGuard<'_, BTreeMap<Address, Option<Via>>> {
        self.shared.carriers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store has done something.
    pub(super) fn stored(&self, completion: Completion) {
        self.put(Input::Stored(completion));
    }

    /// A client wants something; false once the message plane has ended.
    pub(super) fn ask(&self, ask: Ask) -> bool {
        self.put(Input::Ask(ask))
    }

    /// Other streams are taken than before, from now on.
    pub fn filter(&self, filter: StreamFilter) {
        self.put(Input::Filter(filter));
    }

    /// For this address, up or not, other streams are taken than before.
    pub fn rules(&self, address: Address, rules: Vec<FilterRule>) {
        self.put(Input::Rules(address, rules));
    }

    /// An address of ours, which is not up yet, took part in these namespaces before the daemon began: what comes to them is for it, too,
    /// once it has shown their keys again.
    pub fn took_part(&self, address: Address, namespaces: Vec<Namespace>) {
        self.put(Input::TookPart(address, namespaces));
    }

    /// Rules of addresses mean others by contacts than before.
    pub fn contacts(&self, contacts: BTreeSet<Address>) {
        self.put(Input::Contacts(contacts));
    }

    /// Streams for this address are taken from now on, and what it sends goes on.
    pub fn local_up(&self, key: Arc<SecretKey>, initial_hops: u8) {
        self.put(Input::LocalUp(key, initial_hops));
    }

    /// Streams for this address are kept as those of others are, until it is up again; what it sends waits.
    pub fn local_down(&self, address: Address) {
        self.put(Input::LocalDown(address));
    }

    /// This address, which is down, is gone for good: what was sent to it and not taken, and what it sends, goes at once.
    pub fn forget(&self, address: Address) {
        self.put(Input::Forget(address));
    }

    /// Besides the gateway's own only these are addresses of ours, up or down: what was sent to others, or by them, goes. It is of
    /// an address that was destroyed just before the daemon ended.
    pub fn keep(&self, addresses: BTreeSet<Address>) {
        self.put(Input::Keep(addresses));
    }

    /// It is to end.
    pub(super) fn end(&self) {
        self.put(Input::End);
    }

    /// It is to panic.
    #[cfg(test)]
    pub(crate) fn panic(&self) {
        self.put(Input::Panic);
    }

    fn put(&self, input: Input) -> bool {
        self.inputs.send(input).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_types::{Mtu, RouterId};

    const NEAR: Hop = Hop { link: LinkId(1), neighbour: RouterId::from_bytes([1; 32]) };
    const OTHER: Hop = Hop { link: LinkId(2), neighbour: RouterId::from_bytes([2; 32]) };

    #[test]
    fn a_neighbour_fills_its_share_and_nobody_elses() {
        let (inlet, outlet) = inlet();
        assert!(!inlet.frame(NEAR, &[1; 1000]), "a link that is not up");
        [NEAR, OTHER].iter().for_each(|hop| inlet.link_up(hop.link));
        let taken = (0..10_000).take_while(|_| inlet.frame(NEAR, &[1; 1000])).count();
        assert!((3000..4000).contains(&taken), "{taken}");
        assert!(!inlet.custody(NEAR, vec![FrameId::from_bytes([1; 32]); 1000]));
        assert!(inlet.frame(OTHER, &[2; 1000]));
        drop(outlet.recv().unwrap());
        assert!(inlet.frame(NEAR, &[1; 1000]), "what was handled makes room");
    }

    #[test]
    fn changes_of_routes_that_wait_are_one() {
        let (inlet, outlet) = inlet();
        (0..3).for_each(|_| inlet.routes_changed());
        assert!(matches!(outlet.try_recv(), Ok(Input::Routes)));
        assert!(outlet.try_recv().is_err());
        inlet.routes_taken();
        inlet.routes_changed();
        assert!(matches!(outlet.try_recv(), Ok(Input::Routes)));
    }

    #[test]
    fn the_last_word_about_neighbours_counts() {
        let (inlet, outlet) = inlet();
        let via = Via { hop: NEAR, mtu: Mtu(1280) };
        [vec![via], vec![], vec![via, via]].into_iter().for_each(|neighbours| inlet.neighbours(neighbours));
        assert!(matches!(outlet.try_recv(), Ok(Input::Neighbours)));
        assert!(outlet.try_recv().is_err());
        assert_eq!(inlet.take_neighbours(), Some(vec![via, via]));
        assert_eq!(inlet.take_neighbours(), None);
        inlet.neighbours(vec![]);
        assert!(matches!(outlet.try_recv(), Ok(Input::Neighbours)));
    }

    #[test]
    fn the_last_carrier_of_an_address_counts() {
        let (inlet, outlet) = inlet();
        let [one, other] = [1, 2].map(|byte| Address::from_bytes([byte; 32]));
        let via = Via { hop: NEAR, mtu: Mtu(1280) };
        for (address, via) in [(one, None), (one, Some(via)), (other, Some(via)), (one, None)] {
            inlet.carrier(address, via);
        }
        assert!(matches!(outlet.try_recv(), Ok(Input::Carriers)));
        assert!(outlet.try_recv().is_err());
        assert_eq!(inlet.take_carriers(), BTreeMap::from([(one, None), (other, Some(via))]));
        inlet.carrier(one, Some(via));
        assert!(matches!(outlet.try_recv(), Ok(Input::Carriers)));
    }
}
