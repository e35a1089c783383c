// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which of the streams that are here is whose to take: each goes to one client of the address that it is for, and a stream to a
//! namespace to one client of each address that takes part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ratman_types::{Address, Namespace, Now, Recipient};
use router_core::journal::GroupNumber;
use router_core::streams::{Spot, StreamKey, Streams};
use tokio::sync::oneshot;

use super::clients::{Held, NotStored, ReceiveError, Wanted};
use super::inlet::Inlet;
use super::members::{Forgotten, Members, NamespaceError};
use super::searches::{Finding, Search, Searches};

/// So many streams are looked at in a turn where an address has left a namespace: what of it is over takes up little, and nobody waits for it.
const LOOKS_PER_TURN: usize = 64;

/// What a client is answered that wants a stream.
pub(super) type Receiving = oneshot::Sender<Result<Option<Held>, ReceiveError>>;

/// A client that waits for a stream.
#[derive(Debug)]
struct Waiting {
    by: Address,
    wanted: Wanted,
    reply: Receiving,
}

/// A client that waits until what was sent to its namespace before is to be had.
#[derive(Debug)]
struct Joining {
    namespace: Namespace,
    /// What was there when it asked.
    newest: GroupNumber,
    reply: oneshot::Sender<Result<(), NamespaceError>>,
}

/// All clients that take streams; there are no more than the sockets for clients have places for.
#[derive(Debug)]
pub(super) struct Takers {
    inlet: Inlet,
    own: Address,
    members: Members,
    waiting: Vec<Waiting>,
    /// What clients have in their hands, and for which address.
    held: BTreeSet<(StreamKey, Address)>,
    searches: Searches,
    /// Namespaces that somebody has left, and from where on it is to be looked what is over there.
    left: BTreeMap<Namespace, Spot>,
    joining: Vec<Joining>,
    /// Clients that want to be told that they have a stream for good.
    taking: BTreeMap<(StreamKey, Address), oneshot::Sender<Result<(), NotStored>>>,
}

impl Takers {
    /// Without clients; they answer through `inlet`. The gateway's address is that of who says none.
    pub(super) fn new(inlet: Inlet, own: Address) -> Self {
        Self {
            inlet,
            own,
            members: Members::new(own),
            waiting: Vec::new(),
            held: BTreeSet::new(),
            searches: Searches::default(),
            left: BTreeMap::new(),
            joining: Vec::new(),
            taking: BTreeMap::new(),
        }
    }

    /// Who takes part in which namespace.
    pub(super) fn members(&mut self) -> &mut Members {
        &mut self.members
    }

    /// In which namespaces an address takes part.
    pub(super) fn takes_part_in(&self, member: &Address) -> impl Iterator<Item = Namespace> + use<'_> {
        self.members.of(member)
    }

    /// An address takes part in a namespace from now on.
    pub(super) fn join(
        &mut self,
        (namespace, member): (Namespace, Address),
        reply: oneshot::Sender<Result<(), NamespaceError>>,
        streams: &mut Streams,
        now: Now,
    ) {
        let mut joined = Err(NamespaceError::Down);
        if self.is_up(&member, streams) {
            joined = self.members.join(&namespace, member);
        }
        if joined.as_ref().is_ok_and(|key| !streams.add_namespace(Arc::clone(key), now)) {
            self.members.leave(&namespace, &member);
            joined = Err(NamespaceError::TooMany);
        }
        if let Err(error) = joined {
            let _ = reply.send(Err(error));
            return;
        }
        // What slept is awake, and was not told yet.
        self.searches.forget(&Recipient::Namespace(namespace));
        let newest = streams.newest_flooded().unwrap_or_default();
        self.joining.push(Joining { namespace, newest, reply });
        self.tell_joined(streams);
        self.serve_all(&member, streams);
    }

    /// An address takes part in a namespace no more; whether it did.
    pub(super) fn leave(&mut self, (namespace, member): (Namespace, Address), streams: &mut Streams) -> bool {
        let took_part = self.members.leave(&namespace, &member);
        if took_part {
            self.has_left(namespace, streams);
        }
        took_part
    }

    /// Forgets that an address has shown a key that nobody else takes part with; whether it had.
    pub(super) fn forget(
        &mut self,
        (namespace, by): (Namespace, Address),
        streams: &mut Streams,
    ) -> Result<bool, NamespaceError> {
        let Forgotten { was_known, took_part } = self.members.forget(&namespace, &by)?;
        if took_part {
            self.has_left(namespace, streams);
        }
        self.sweep(streams);
        Ok(was_known)
    }

    /// Nobody takes part in a namespace any more, and its key goes; whether it was there.
    pub(super) fn remove(&mut self, namespace: &Namespace, streams: &mut Streams) -> bool {
        let was_there = self.members.remove(namespace);
        streams.remove_namespace(namespace);
        was_there
    }

    /// An address of a client is gone for good.
    pub(super) fn address_is_gone(&mut self, address: &Address, streams: &mut Streams) {
        self.address_is_down(address);
        for namespace in self.members.forget_address(address) {
            self.has_left(namespace, streams);
        }
        self.sweep(streams);
    }

    /// Forgets keys that nobody has shown who is still there.
    pub(super) fn sweep(&mut self, streams: &mut Streams) {
        self.members.sweep().iter().for_each(|namespace| _ = streams.remove_namespace(namespace));
    }

    /// Whether an address may take anything.
    fn is_up(&self, address: &Address, streams: &Streams) -> bool {
        *address == self.own || streams.is_local(address)
    }

    /// An address is down, and takes nothing. What comes to its namespaces waits for it.
    pub(super) fn address_is_down(&mut self, address: &Address) {
        for waiting in self.waiting.extract_if(.., |waiting| waiting.by == *address) {
            let _ = waiting.reply.send(Err(ReceiveError::Down));
        }
    }

    /// What the others have taken that still take part is over; without them nobody opens what comes.
    fn has_left(&mut self, namespace: Namespace, streams: &mut Streams) {
        if self.members.is_open(&namespace) {
            self.left.insert(namespace, Spot::default());
        } else {
            streams.remove_namespace(&namespace);
        }
    }

    /// Ends some of what is over as somebody has left; whether there may be more of it.
    pub(super) fn end_some(&mut self, streams: &mut Streams, now: Now) -> bool {
        for _ in 0..LOOKS_PER_TURN {
            let Some((namespace, from)) = self.left.pop_first() else { return false };
            let next = streams.arrival_from(Recipient::Namespace(namespace), None, from);
            let Some((spot, key)) = next.filter(|_| self.members.is_open(&namespace)) else { continue };
            self.left.insert(namespace, spot.behind());
            if self.members.who(&namespace).all(|member| streams.has_taken(&key, member)) {
                streams.taken(&key, now);
            }
        }
        !self.left.is_empty()
    }

    /// Tells clients that what was sent to their namespaces before is to be had.
    pub(super) fn tell_joined(&mut self, streams: &Streams) {
        let is_over = |waiting: &mut Joining| {
            waiting.reply.is_closed() || !streams.is_catching_up(&waiting.namespace, waiting.newest)
        };
        for Joining { reply, .. } in self.joining.extract_if(.., is_over) {
            let _ = reply.send(Ok(()));
        }
    }

    /// A client wants a stream: the oldest, now or when there is one.
    pub(super) fn receive(&mut self, wanted: Wanted, reply: Receiving, streams: &Streams) {
        self.waiting.retain(|waiting| !waiting.reply.is_closed());
        let waiting = Waiting { by: wanted.by.unwrap_or(self.own), wanted, reply };
        if !self.is_up(&waiting.by, streams) {
            let _ = waiting.reply.send(Err(ReceiveError::Down));
            return;
        }
        match self.oldest_for(&waiting, streams) {
            Some(key) => self.hand(&key, waiting, streams),
            // Nobody waits for what is not here: a stream that is asked for by name has been.
            None if wanted.wait && (wanted.stream.is_none() || self.is_here(&waiting, streams)) => {
                self.waiting.push(waiting);
            }
            None => _ = waiting.reply.send(Ok(None)),
        }
    }

    /// A stream is here: hands it to those who wait for it.
    pub(super) fn arrived(&mut self, key: &StreamKey, streams: &Streams) {
        self.is_there(key, streams);
        self.waiting.retain(|waiting| !waiting.reply.is_closed());
        while let Some(next) = self.next_for(key, streams) {
            let waiting = self.waiting.remove(next);
            self.hand(key, waiting, streams);
        }
    }

    /// A stream is to be found by who searches for one.
    fn is_there(&mut self, key: &StreamKey, streams: &Streams) {
        if let Some(spot) = streams.spot_of(key) {
            self.searches.is_there(key.recipient, key.sender, spot);
        }
    }

    /// A client gave a stream back.
    pub(super) fn released(&mut self, key: &StreamKey, by: Address, streams: &Streams) {
        self.held.remove(&(*key, by));
        if streams.spot_of(key).is_some() {
            self.arrived(key, streams);
        }
    }

    /// A client has a stream; it hears so when that is durable.
    pub(super) fn taken(
        &mut self,
        (key, by): (StreamKey, Address),
        reply: oneshot::Sender<Result<(), NotStored>>,
        streams: &mut Streams,
        now: Now,
    ) {
        self.held.remove(&(key, by));
        self.taking.insert((key, by), reply);
        let others = |namespace: &Namespace| {
            let mut others = self.members.who(namespace).filter(|member| **member != by);
            others.any(|member| !streams.has_taken(&key, member))
        };
        match &key.recipient {
            Recipient::Namespace(namespace) if others(namespace) => streams.taken_by(&key, by),
            Recipient::Namespace(_) | Recipient::Address(_) => streams.taken(&key, now),
        }
    }

    /// Tells clients, if they are still there, whether it is stored that they have a stream; one, or all that wait for it.
    pub(super) fn is_taken(
        &mut self,
        key: &StreamKey,
        by: Option<Address>,
        durable: bool,
        streams: &Streams,
    ) {
        if !durable {
            // It is to be had again.
            self.is_there(key, streams);
        }
        let is_of_it =
            |(of, member): &(StreamKey, Address), _: &mut _| of == key && by.is_none_or(|by| by == *member);
        for (_, reply) in self.taking.extract_if(.., is_of_it) {
            let _ = reply.send(if durable { Ok(()) } else { Err(NotStored) });
        }
        // Nobody waits for what is gone.
        let is_for = |waiting: &mut Waiting| {
            waiting.wanted.stream == Some(*key) && by.is_none_or(|by| by == waiting.by)
        };
        for waiting in self.waiting.extract_if(.., is_for) {
            let _ = waiting.reply.send(Ok(None));
        }
    }

    /// Looks for what an address's clients wait for, which may have come to be theirs.
    fn serve_all(&mut self, by: &Address, streams: &Streams) {
        let (theirs, others) = self.waiting.drain(..).partition(|waiting| waiting.by == *by);
        self.waiting = others;
        let theirs: Vec<Waiting> = theirs;
        for waiting in theirs {
            match self.oldest_for(&waiting, streams) {
                Some(key) => self.hand(&key, waiting, streams),
                None => self.waiting.push(waiting),
            }
        }
    }

    /// The oldest stream that a client may have.
    fn oldest_for(&mut self, waiting: &Waiting, streams: &Streams) -> Option<StreamKey> {
        let Wanted { from, to, stream, .. } = waiting.wanted;
        if let Some(key) = stream {
            let is_here = streams.spot_of(&key).is_some();
            return (is_here && self.may_have(waiting, &key, streams)).then_some(key);
        }
        let recipients: Vec<Recipient> = match to {
            Some(Recipient::Namespace(to)) if !self.members.is_in(&to, &waiting.by) => Vec::new(),
            Some(Recipient::Address(to)) if to != waiting.by => Vec::new(),
            Some(to) => vec![to],
            None => {
                let namespaces = self.members.of(&waiting.by).map(Recipient::Namespace);
                namespaces.chain([Recipient::Address(waiting.by)]).collect()
            }
        };
        let (by, held) = (waiting.by, &self.held);
        let find = |key: &StreamKey| match &key.recipient {
            Recipient::Namespace(_) if streams.has_taken(key, &by) => Finding::Taken,
            Recipient::Namespace(_) | Recipient::Address(_) if held.contains(&(*key, by)) => Finding::Held,
            Recipient::Namespace(_) | Recipient::Address(_) => Finding::Free,
        };
        let searches = &mut self.searches;
        let oldest_of_each = recipients.into_iter().filter_map(|to| {
            let next = |spot| streams.arrival_from(to, from, spot);
            searches.first(Search { to, from, by }, next, find)
        });
        oldest_of_each.min().map(|(_, key)| key)
    }

    /// Whether a stream that is wanted by name is here, and another client of the same address has it in its hands.
    fn is_here(&self, waiting: &Waiting, streams: &Streams) -> bool {
        let held = waiting.wanted.stream.filter(|key| self.held.contains(&(*key, waiting.by)));
        held.is_some_and(|key| streams.spot_of(&key).is_some())
    }

    /// Who is next to have a stream: those who go first, and the one who has waited longest.
    fn next_for(&self, key: &StreamKey, streams: &Streams) -> Option<usize> {
        let all = self.waiting.iter().enumerate();
        let wanting = all.filter(|(_, waiting)| self.may_have(waiting, key, streams));
        wanting.min_by_key(|(place, waiting)| (!waiting.wanted.first, *place)).map(|(place, _)| place)
    }

    fn may_have(&self, waiting: &Waiting, key: &StreamKey, streams: &Streams) -> bool {
        let Wanted { from, to, stream, .. } = &waiting.wanted;
        let is_wanted = from.is_none_or(|from| from == key.sender)
            && to.is_none_or(|to| to == key.recipient)
            && stream.is_none_or(|stream| stream == *key);
        is_wanted && self.is_for(&waiting.by, key, streams) && !self.held.contains(&(*key, waiting.by))
    }

    /// Whether a stream is for an address, and it has not taken it.
    fn is_for(&self, address: &Address, key: &StreamKey, streams: &Streams) -> bool {
        match &key.recipient {
            Recipient::Address(to) => to == address,
            Recipient::Namespace(to) => self.members.is_in(to, address) && !streams.has_taken(key, address),
        }
    }

    fn hand(&mut self, key: &StreamKey, to: Waiting, streams: &Streams) {
        let Some(arrival) = streams.arrival(key) else { return };
        self.held.insert((*key, to.by));
        // Where nobody takes it any more, it says itself that it was released.
        let _ = to.reply.send(Ok(Some(Held::new(arrival, to.by, self.inlet.clone()))));
    }
}
