// SPDX-License-Identifier: AGPL-3.0-or-later
//! One router of the mesh, with its disk.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ratman_eris::{Decoded, Decoder};
use ratman_types::{Ed25519Verifier, Now, SecretKey, Timestamp};
use ratman_wire::stream::Contents;

use crate::streams::{Arrival, StoreRequest, StreamEvent, Streams, StreamsConfig, Write};

const DISK: Duration = Duration::from_millis(2);

pub(in crate::streams::tests) struct Node {
    pub(in crate::streams::tests) streams: Streams,
    pub(in crate::streams::tests) disk_fails: bool,
    pub(in crate::streams::tests) reads_fail: bool,
    /// One in so many commits in which there is a block or a frame fails.
    pub(in crate::streams::tests) fails_every: Option<u32>,
    pub(super) with_entries: u32,
    /// How long a commit takes.
    pub(in crate::streams::tests) commits_in: Duration,
    pub(super) key: Arc<SecretKey>,
    pub(super) config: StreamsConfig,
    pub(super) entries: BTreeMap<(u64, u32), ([u8; 32], Vec<u8>)>,
    pub(super) groups: BTreeMap<u64, Vec<u8>>,
    /// What the disk is doing, with when it is done; lost when the node stops.
    pub(super) disk: VecDeque<(Timestamp, StoreRequest)>,
    pub(in crate::streams::tests) events: Vec<StreamEvent>,
    pub(super) starts: u8,
}

pub(super) enum Packet {
    Frame(Vec<u8>),
    Custody(Vec<ratman_wire::FrameId>),
}

impl Node {
    pub(super) fn new(index: usize, config: StreamsConfig) -> Self {
        let seed = [u8::try_from(index % 250).unwrap() + 1; 32];
        let key = Arc::new(SecretKey::from_seed(seed));
        let mut streams = Streams::new(config.clone(), Arc::new(Ed25519Verifier), seed);
        streams.add_local(Arc::clone(&key), 60);
        Self {
            streams,
            disk_fails: false,
            reads_fail: false,
            fails_every: None,
            with_entries: 0,
            commits_in: DISK,
            key,
            config,
            entries: BTreeMap::new(),
            groups: BTreeMap::new(),
            disk: VecDeque::new(),
            events: Vec::new(),
            starts: 0,
        }
    }

    /// Does all that is to be done now; whether there was anything.
    pub(super) fn turn(&mut self, now: Now, mut send: impl FnMut(usize, Packet)) -> bool {
        let mut busy = false;
        if self.streams.poll_timeout().is_some_and(|at| at <= now.at) {
            self.streams.handle_timeout(now);
        }
        while let Some(done) = self.disk.iter().position(|(at, _)| *at <= now.at) {
            let Some((_, request)) = self.disk.remove(done) else { break };
            busy = true;
            self.carry_out(request, now);
        }
        while let Some(transmit) = self.streams.poll_transmit(now) {
            busy = true;
            let to = usize::try_from(transmit.hop.link.0).unwrap() - 1;
            send(to, Packet::Frame(transmit.frame));
        }
        while let Some(request) = self.streams.poll_store() {
            busy = true;
            let is_commit = matches!(request, StoreRequest::Commit { .. });
            let takes = if is_commit { self.commits_in } else { DISK };
            self.disk.push_back((now.at + takes, request));
        }
        while let Some(event) = self.streams.poll_event() {
            busy = true;
            if let StreamEvent::Custody { hop, frames } = event {
                send(usize::try_from(hop.link.0).unwrap() - 1, Packet::Custody(frames));
            } else {
                self.events.push(event);
            }
        }
        busy
    }

    fn carry_out(&mut self, request: StoreRequest, now: Now) {
        match request {
            StoreRequest::Commit { id, .. } if self.disk_fails => {
                self.streams.handle_committed(id, false, now)
            }
            StoreRequest::Commit { id, writes } if self.fails_now(&writes) => {
                assert!(!writes.is_empty());
                self.streams.handle_committed(id, false, now);
            }
            StoreRequest::Commit { id, writes } => {
                writes.into_iter().for_each(|write| self.write(write));
                self.streams.handle_committed(id, true, now);
            }
            StoreRequest::Read { id, group, number } => {
                let entry = self.entries.get(&(group.0, number)).filter(|_| !self.reads_fail);
                let entry = entry.map(|(_, bytes)| bytes.clone());
                self.streams.handle_read(id, entry, now);
            }
        }
    }

    fn fails_now(&mut self, writes: &[Write]) -> bool {
        let has_entries = writes.iter().any(|write| matches!(write, Write::Entry { .. }));
        self.with_entries += u32::from(has_entries);
        // Now and then, as good as by chance.
        let chance = self.with_entries.wrapping_mul(0x9e37_79b9) >> 16;
        has_entries && self.fails_every.is_some_and(|every| chance.is_multiple_of(every))
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Entry { group, number, name, bytes } => {
                self.entries.insert((group.0, number), (name, bytes));
            }
            Write::Group { group, record } => {
                self.groups.insert(group.0, record);
            }
            Write::RemoveEntry { group, number } => {
                self.entries.remove(&(group.0, number));
            }
            Write::RemoveGroup { group, entries, record } => {
                if entries > 0 {
                    self.entries.retain(|(of, _), _| *of != group.0);
                }
                if record {
                    self.groups.remove(&group.0);
                }
            }
        }
    }

    pub(super) fn read(&self, arrival: &Arrival) -> Vec<u8> {
        let capability = match &arrival.contents {
            Contents::Inline(contents) => return contents.as_bytes().to_vec(),
            Contents::Blocks(capability) => capability,
        };
        let blocks: BTreeMap<[u8; 32], &[u8]> = self
            .entries
            .iter()
            .filter(|((group, _), _)| *group == arrival.group.0)
            .map(|(_, (name, bytes))| (*name, &bytes[..]))
            .collect();
        let mut decoder = Decoder::whole(capability, arrival.size).unwrap();
        let mut content = Vec::new();
        while let Some(wanted) = decoder.next_wanted() {
            match decoder.handle_block(blocks[wanted.as_bytes()]).unwrap() {
                Decoded::Content(bytes) => content.extend_from_slice(bytes),
                Decoded::Node => {}
                Decoded::Early | Decoded::NotWanted => panic!("a block is damaged"),
            }
        }
        content
    }
}
