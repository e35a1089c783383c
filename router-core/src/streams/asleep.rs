// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams for addresses of this router that are down, and for namespaces that nobody subscribes to now: nobody here can open
//! them, and their senders may have been told that they are delivered, so that they wait as the store has them.

use core::ops::Bound;
use std::collections::BTreeSet;
use std::sync::Arc;

use ratman_types::{Address, ByteCount, Namespace, Now, Recipient, SecretKey, Signer};

use super::inbound::Restored;
use super::listed::{ListedStream, StreamStage};
use super::{StreamEvent, StreamKey, Streams};
use crate::journal::Group;

impl Streams {
    /// An address of this router comes up after [`Streams::restored`]: as [`Streams::add_local`], and what was sent to it and
    /// by it goes on.
    pub fn local_up(&mut self, key: Arc<SecretKey>, hops_left: u8, now: Now) {
        let address = key.address();
        self.add_local(key, hops_left);
        self.open_shared(&address);
        self.wake(&Recipient::Address(address), now);
        self.ways_changed(now);
    }

    /// An address of this router is down: its key is forgotten. What it sends waits; what was sent to it, and what comes for it
    /// from now on, is kept sealed until it is up again or has expired.
    pub fn local_down(&mut self, address: &Address, now: Now) {
        if self.locals.remove(address).is_some() {
            self.put_to_sleep(&Recipient::Address(*address));
            self.close_shared(address);
            self.ways_changed(now);
        }
    }

    /// Takes no more streams to a namespace, whose key is forgotten; what has come, and no client took, is kept sealed until somebody
    /// subscribes again or it has expired. False where nobody subscribed.
    pub fn remove_namespace(&mut self, namespace: &Namespace) -> bool {
        let was_there = self.namespaces.remove(namespace).is_some();
        self.put_to_sleep(&Recipient::Namespace(*namespace));
        was_there
    }

    /// What sleeps, as lists show it: how long its content is, only its key tells.
    pub(super) fn listed_asleep(&self, key: &StreamKey) -> Option<ListedStream> {
        self.asleep.get(key).map(|stream| ListedStream {
            key: *key,
            stage: StreamStage::Sleeping,
            size: None,
            arrived: self.journal.get(stream.group).map_or(ByteCount(0), Group::bytes),
            in_all: None,
            end: stream.end,
            capability: None,
        })
    }

    /// An address of this router is gone for good: what was sent to it and not taken, and what it sends and shares, goes at once. What is
    /// carried to it stays, as for anybody else: others may have its key, and somebody was told that we answer for it.
    pub fn forget_address(&mut self, address: &Address) {
        self.locals.remove(address);
        self.rules.remove(address);
        self.forget_streams_of(|other| other == address);
    }

    /// [`Streams::forget_address`] of all that are neither up nor among these.
    pub fn forget_all_but(&mut self, addresses: &BTreeSet<Address>) {
        let up: BTreeSet<Address> = self.locals.keys().copied().collect();
        self.forget_streams_of(|address| !up.contains(address) && !addresses.contains(address));
    }

    fn forget_streams_of(&mut self, gone: impl Fn(&Address) -> bool) {
        let shared: Vec<_> = self.shared.keys().copied().filter(|(sender, _)| gone(sender)).collect();
        for (sender, stream) in shared {
            self.take_down(sender, stream);
        }
        let sent: Vec<_> = self.sent.keys().copied().filter(|key| gone(&key.sender)).collect();
        for key in sent {
            self.remove_sent(&key);
            self.events.push_back(StreamEvent::Failed(key));
        }
        let theirs = |key: &&StreamKey| matches!(&key.recipient, Recipient::Address(to) if gone(to));
        let received = self.received.iter().filter(|(key, _)| theirs(key)).map(|(_, inbound)| inbound.group);
        let asleep = self.asleep.iter().filter(|(key, _)| theirs(key)).map(|(_, restored)| restored.group);
        for group in received.chain(asleep).collect::<Vec<_>>() {
            self.remove_group(group);
        }
        for key in self.finished.keys().filter(theirs).copied().collect::<Vec<_>>() {
            self.forget_finished(&key);
        }
        self.refused.retain(|key, _| !theirs(&key));
    }

    /// Whether a stream is for an address that is not up here, or for a namespace that nobody subscribed to again.
    pub(super) fn must_sleep(&self, key: &StreamKey) -> bool {
        self.key_of(&key.recipient).is_none()
    }

    /// Keeps a stream until its address is up.
    pub(super) fn sleep(&mut self, key: StreamKey, stream: Restored) {
        if stream.complete {
            self.journal.hold(stream.group);
        }
        self.asleep.insert(key, stream);
    }

    /// Forgets what of a recipient's streams only its key opens.
    fn put_to_sleep(&mut self, recipient: &Recipient) {
        for key in self.here_for(*recipient, Bound::Unbounded).collect::<Vec<_>>() {
            if let Some(inbound) = self.received.remove(&key) {
                self.received_deadlines.set(key, None);
                self.whole.remove(&key, inbound.spot());
                self.storing.remove(&(key.recipient, key));
                let stream = inbound.asleep();
                self.sleep(key, stream);
            }
        }
    }

    /// Goes on with the streams of a recipient that can be opened, and tells of those that are whole.
    pub(super) fn wake(&mut self, recipient: &Recipient, now: Now) {
        for key in self.here_for(*recipient, Bound::Unbounded).collect::<Vec<_>>() {
            let Some(stream) = self.asleep.remove(&key) else { continue };
            let group = stream.group;
            if !self.restored_received(key, stream, now) {
                self.remove_group(group);
            }
            let whole = self.received.get(&key).and_then(|inbound| inbound.arrival(key));
            self.events.extend(whole.map(|arrival| StreamEvent::Received(Box::new(arrival))));
        }
    }
}
