// SPDX-License-Identifier: AGPL-3.0-or-later
//! Blocks that are missing are asked for; those of content that its sender shares with a namespace by one of our addresses, to
//! which they come then.

use ratman_eris::Reference;
use ratman_types::{Address, Digest, Now, Recipient};
use ratman_wire::Mode;
use ratman_wire::stream::{Contents, Manifest, PullRequest, StreamId};

use super::{Inbound, Stage};
use crate::streams::{StreamKey, Streams, Way};

impl Streams {
    pub(super) fn can_ask(&self, key: &StreamKey, inbound: &Inbound) -> bool {
        self.room_to_ask(key, inbound) > 0
    }

    /// How many blocks can be asked for at once: none where there is no way, or none that takes a request.
    fn room_to_ask(&self, key: &StreamKey, inbound: &Inbound) -> usize {
        let is_there = inbound.manifest.as_ref().is_some_and(|manifest| is_of_shared(key, manifest));
        if matches!(key.recipient, Recipient::Namespace(_)) && !is_there {
            // It is in the journal of what is flooded, or comes there.
            return 0;
        }
        if self.asks(key).is_none() {
            return 0;
        }
        match self.way(&key.sender) {
            Way::Live(via) => PullRequest::room(via.mtu).min(PullRequest::MAX_REFERENCES),
            Way::Local => PullRequest::MAX_REFERENCES,
            Way::Carry(_) | Way::Flood | Way::None => 0,
        }
    }

    pub(super) fn pull(&mut self, key: &StreamKey, inbound: &mut Inbound, now: Now) {
        let most = self.room_to_ask(key, inbound);
        if most == 0 {
            return;
        }
        let (Some(receiving), Some(group)) = (&mut inbound.receiving, self.journal.get(inbound.group)) else {
            return;
        };
        if inbound.stage != Stage::Coming || inbound.reading.is_some() {
            return;
        }
        let wanted = receiving.pull(most, |reference| group.find(reference.as_bytes()).is_some(), now.at);
        let wanted: Vec<Digest> = wanted.iter().map(Reference::digest).collect();
        let time = self.stamp(now);
        if let Ok(request) = PullRequest::blocks(time, key.stream, wanted) {
            let mut payload = Vec::new();
            request.encode_into(&mut payload);
            self.ask_sender(key, Mode::PULL_REQUEST, &payload);
        }
    }

    /// The address that asks the sender of a stream: its recipient, or for a namespace our first.
    fn asks(&self, key: &StreamKey) -> Option<Address> {
        match key.recipient {
            Recipient::Address(us) => Some(us),
            Recipient::Namespace(_) => {
                let first = self.first.filter(|first| self.locals.contains_key(first));
                first.or_else(|| self.locals.keys().next().copied())
            }
        }
    }

    /// Says something about blocks to the sender of a stream.
    pub(super) fn ask_sender(&mut self, key: &StreamKey, mode: Mode, payload: &[u8]) {
        if let Some(us) = self.asks(key) {
            self.answer(&StreamKey { recipient: Recipient::Address(us), ..*key }, mode, payload);
        }
    }

    /// The streams that blocks to an address of ours are of: those that they say, and those to namespaces that wait for the same
    /// content. None where all of them are over.
    pub(in crate::streams) fn streams_of_blocks(&self, key: &StreamKey) -> Vec<StreamKey> {
        if matches!(key.recipient, Recipient::Namespace(_)) {
            return vec![*key];
        }
        let is_coming =
            |key: &StreamKey| self.received.get(key).is_some_and(|inbound| inbound.stage == Stage::Coming);
        let to_namespaces = self
            .namespaces
            .keys()
            .map(|namespace| StreamKey { recipient: Recipient::Namespace(*namespace), ..*key });
        let known: Vec<StreamKey> = to_namespaces
            .filter(|other| self.received.contains_key(other) || self.has_all_of(other))
            .collect();
        if known.is_empty() {
            return vec![*key];
        }
        let mut coming: Vec<StreamKey> = known.into_iter().filter(is_coming).collect();
        coming.extend(Some(*key).filter(is_coming));
        coming
    }
}

/// Whether the blocks of a stream are there for anybody who asks its sender: its name is that of the content.
pub(super) fn is_of_shared(key: &StreamKey, manifest: &Manifest) -> bool {
    match manifest.contents() {
        Contents::Blocks(capability) => StreamId::of_shared(capability) == key.stream,
        Contents::Inline(_) => false,
    }
}
