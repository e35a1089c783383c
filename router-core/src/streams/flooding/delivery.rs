// SPDX-License-Identifier: AGPL-3.0-or-later
//! What clients here get of what is flooded: read from the journal, in which it is in any case, as fast as there is room for it;
//! again where it found none, or was lost.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ratman_types::{Address, Namespace, Now, Recipient, SecretKey, Signer, Timestamp};
use ratman_wire::Mode;
use ratman_wire::stream::StreamId;

use super::Order;
use crate::DropReason;
use crate::journal::{GroupNumber, Role};
use crate::streams::frames::Arrived;
use crate::streams::inbound::Inbound;
use crate::streams::store_queue::Reader;
use crate::streams::way::LOOPBACK;
use crate::streams::{StreamKey, Streams, stream_of};

/// Namespaces that local clients may subscribe to.
pub const MAX_NAMESPACES: usize = 1024;
/// Frames that are read at a time.
const MOST_READ: usize = 16;
/// Without another frame a stream that is not whole comes again after this time, and after twice as much each time.
const AGAIN_FIRST: Duration = Duration::from_secs(30);
const AGAIN_LONGEST: Duration = Duration::from_secs(600);

/// Frames on their way to clients here.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    // INVARIANT: both of frames that are held.
    waiting: BTreeSet<Order>,
    reading: BTreeSet<Order>,
    // INVARIANT: both of the groups that any of these is of, with whom it is for.
    under_way: BTreeMap<GroupNumber, Recipient>,
    by_recipient: BTreeSet<(Recipient, GroupNumber)>,
    /// Streams that are not whole here: all of a stream comes again then, in growing pauses, as what was joined of it is not kept
    /// for ever, and what found no room may find it.
    again: BTreeMap<GroupNumber, Again>,
}

#[derive(Clone, Copy, Debug)]
struct Again {
    at: Timestamp,
    pause: Duration,
}

impl Again {
    fn after(pause: Duration, now: Timestamp) -> Self {
        Self { at: now + pause, pause }
    }
}

impl Delivery {
    /// Frames of one group are to be read.
    fn wait(&mut self, places: impl IntoIterator<Item = Order>, to: Recipient) {
        for place in places {
            let (Reverse(group), _) = place;
            self.waiting.insert(place);
            self.under_way.insert(group, to);
            self.by_recipient.insert((to, group));
        }
    }

    pub(super) fn forget(&mut self, place: Order) {
        self.waiting.remove(&place);
        self.is_read(place);
    }

    fn is_read(&mut self, place: Order) {
        self.reading.remove(&place);
        let (group, _) = place;
        let all = (group, 0)..=(group, u32::MAX);
        let is_over = [&self.waiting, &self.reading].iter().all(|of| of.range(all.clone()).next().is_none());
        if is_over && let Some(to) = self.under_way.remove(&group.0) {
            self.by_recipient.remove(&(to, group.0));
        }
    }
}

impl Streams {
    /// Takes streams to a namespace from now on, and what is here of them already: [`Streams::is_catching_up`] says until when.
    ///
    /// False where there are [`MAX_NAMESPACES`].
    pub fn add_namespace(&mut self, key: Arc<SecretKey>, now: Now) -> bool {
        let namespace = Namespace::from_bytes(key.public());
        if self.namespaces.contains_key(&namespace) {
            return true;
        }
        if self.namespaces.len() >= MAX_NAMESPACES {
            return false;
        }
        self.namespaces.insert(namespace, key);
        let recipient = Recipient::Namespace(namespace);
        self.wake(&recipient, now);
        let groups = self.journal.of_recipient(recipient);
        let flooded = groups.filter(|(_, group)| group.key.role == Role::Flooded).map(|(number, _)| number);
        flooded.collect::<Vec<_>>().into_iter().for_each(|group| self.deliver_all(group));
        self.pump_flooding(now);
        true
    }

    /// The newest of what is kept now for namespaces; nothing where there is nothing.
    pub fn newest_flooded(&self) -> Option<GroupNumber> {
        self.flooding.held.first_key_value().map(|((Reverse(group), _), _)| *group)
    }

    /// Whether something is on its way to clients here of what was sent to a namespace and is no newer than this.
    pub fn is_catching_up(&self, namespace: &Namespace, newest: GroupNumber) -> bool {
        let recipient = Recipient::Namespace(*namespace);
        let mut under_way = self.flooding.delivery.by_recipient.range((recipient, GroupNumber(0))..);
        if under_way.next().is_some_and(|(to, group)| *to == recipient && *group <= newest) {
            return true;
        }
        let first = StreamKey {
            sender: Address::from_bytes([0; 32]),
            recipient,
            stream: StreamId::from_bytes([0; 32]),
        };
        let storing = self.storing.range((recipient, first)..).take_while(|(to, _)| *to == recipient);
        let storing = storing.filter(|(_, key)| self.received.get(key).is_some_and(Inbound::is_storing));
        let mut flooded = storing.filter_map(|(_, key)| self.journal.find(&key.group(Role::Flooded)));
        flooded.any(|group| group <= newest)
    }

    /// A client here may want a frame.
    pub(super) fn deliver_soon(&mut self, place: Order, now: Now) {
        let (Reverse(group), _) = place;
        if let Some(to) = self.wants_flooded(group) {
            let delivery = &mut self.flooding.delivery;
            delivery.wait([place], to);
            delivery.again.insert(group, Again::after(AGAIN_FIRST, now.at));
        }
    }

    fn deliver_all(&mut self, group: GroupNumber) {
        if let Some(to) = self.wants_flooded(group) {
            let durable = self.flooding.of_group(group).filter(|(_, held)| held.durable);
            let places: Vec<Order> = durable.map(|(place, _)| place).collect();
            self.flooding.delivery.wait(places, to);
        }
    }

    /// Something of a stream was lost here.
    pub(in crate::streams) fn deliver_again(&mut self, key: &StreamKey) {
        if let Some(group) = self.journal.find(&key.group(Role::Flooded)) {
            self.flooding
                .delivery
                .again
                .entry(group)
                .or_insert(Again::after(AGAIN_FIRST, Timestamp::default()));
        }
    }

    /// Streams that are not whole come again, those that are, or are gone, do not.
    pub(in crate::streams) fn sweep_delivery(&mut self, now: Now) {
        let mut again = core::mem::take(&mut self.flooding.delivery.again);
        again.retain(|group, again| {
            let is_wanted = self.wants_flooded(*group).is_some();
            if is_wanted && again.at <= now.at {
                self.deliver_all(*group);
                *again = Again::after((again.pause * 2).min(AGAIN_LONGEST), now.at);
            }
            is_wanted
        });
        self.flooding.delivery.again = again;
    }

    /// Whom a stream of others is for, if that is a client here that does not have it.
    fn wants_flooded(&self, group: GroupNumber) -> Option<Recipient> {
        let key = self.journal.get(group).and_then(stream_of)?;
        let is_wanted = self.key_of(&key.recipient).is_some() && !self.has_all_of(&key);
        is_wanted.then_some(key.recipient)
    }

    pub(super) fn pump_delivery(&mut self) {
        while self.store.may_read()
            && self.store.has_room()
            && self.flooding.delivery.reading.len() < MOST_READ
            // The oldest stream first, its frames from behind: in any order.
            && let Some(place) = self.flooding.delivery.waiting.last().copied()
        {
            let (Reverse(group), number) = place;
            if self.wants_flooded(group).is_some() {
                self.flooding.delivery.waiting.remove(&place);
                self.flooding.delivery.reading.insert(place);
                self.store.read(group, number, Reader::Subscribed { group, number });
            } else {
                self.flooding.delivery.forget(place);
            }
        }
    }

    /// A frame was read, for a client here.
    pub(in crate::streams) fn subscribed_read(
        &mut self,
        (group, number): (GroupNumber, u32),
        frame: Option<Vec<u8>>,
        now: Now,
    ) {
        self.flooding.delivery.is_read((Reverse(group), number));
        self.flooding.delivery.again.entry(group).or_insert(Again::after(AGAIN_FIRST, now.at));
        let Some(bytes) = frame else { return };
        let arrived = Arrived::decode(LOOPBACK, &bytes);
        if let Err(reason) = arrived.and_then(|arrived| self.deliver_flooded(&arrived, now)) {
            self.drops.count(reason);
        }
    }

    fn deliver_flooded(&mut self, arrived: &Arrived<'_>, now: Now) -> Result<(), DropReason> {
        if arrived.frame.header.mode == Mode::PACKED {
            self.receive_packed(arrived, now)
        } else {
            self.receive_slice(arrived, now)
        }
    }
}
