// SPDX-License-Identifier: AGPL-3.0-or-later
//! Routers in a line, with links that take a millisecond and disks that take two, in simulated time.

mod node;

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use ratman_eris::ReadCapability;
use ratman_types::{
    Address, ByteCount, Digest, Hop, LinkId, Mtu, Now, Recipient, RouterId, SecretKey, Signer, Timestamp,
    WallTime,
};
use ratman_wire::stream::{AuxiliaryData, Lifetime, StreamId};
use ratman_wire::{Frame, Mode};

use crate::fib::FibEntry;
use crate::journal::{GroupNumber, Role};
use crate::prng::Prng;
use crate::stream::{Ended, Routing};
use crate::streams::{NewStream, SendError, StreamEvent, StreamKey, StreamsConfig};
use crate::{Fib, Via};
use node::{Node, Packet};

const LINK: Duration = Duration::from_millis(1);
pub(super) const LIFETIME: Duration = Duration::from_secs(3600);
/// Frames at a time on a link, as a fair queue would hold.
const START: u64 = 1_800_000_000_000_000;

pub(super) enum Cut {
    Between(usize, usize),
}

pub(super) struct Mesh {
    nodes: Vec<Node>,
    now: Timestamp,
    up: BTreeSet<(usize, usize)>,
    /// Nodes whose address is down.
    down: BTreeSet<usize>,
    mtu: Mtu,
    packets: VecDeque<(Timestamp, usize, usize, Packet)>,
    loss: Option<(u32, Prng)>,
    longest: usize,
    bytes: usize,
    seen: Vec<(usize, Vec<u8>)>,
    without_manifests: bool,
    without_blocks: bool,
}

impl Mesh {
    pub(super) fn line(length: usize) -> Self {
        let nodes = (0..length).map(|index| Node::new(index, StreamsConfig::default())).collect();
        let up = (1..length).map(|index| (index - 1, index)).collect();
        let mut mesh = Self {
            nodes,
            now: Timestamp::from_micros(1_000_000),
            up,
            down: BTreeSet::new(),
            mtu: Mtu(33_004),
            packets: VecDeque::new(),
            loss: None,
            longest: 0,
            bytes: 0,
            seen: Vec::new(),
            without_manifests: false,
            without_blocks: false,
        };
        mesh.routes_changed();
        mesh
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    pub(super) fn node_mut(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[index]
    }

    pub(super) fn address(&self, index: usize) -> Address {
        self.nodes[index].key.address()
    }

    pub(super) fn now(&self) -> Now {
        Now { at: self.now, wall: WallTime::from_micros(START + self.now.as_micros()) }
    }

    pub(super) fn set_mtu(&mut self, mtu: usize) {
        self.mtu = Mtu(u32::try_from(mtu).unwrap());
        self.routes_changed();
    }

    /// Loses so many of a hundred frames.
    pub(super) fn lose(&mut self, percent: u32, seed: u64) {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        self.loss = Some((percent, Prng::new(key)));
    }

    pub(super) fn cut(&mut self, cut: Cut) {
        let Cut::Between(one, other) = cut;
        self.up.remove(&(one, other));
        self.packets.retain(|(_, from, to, _)| (*from.min(to), *from.max(to)) != (one, other));
        self.routes_changed();
    }

    pub(super) fn join(&mut self, one: usize, other: usize) {
        self.up.insert((one, other));
        self.routes_changed();
    }

    pub(super) fn address_down(&mut self, index: usize) {
        let (address, now) = (self.address(index), self.now());
        self.nodes[index].streams.local_down(&address, now);
        self.down.insert(index);
        self.routes_changed();
    }

    pub(super) fn address_up(&mut self, index: usize) {
        let now = self.now();
        let Node { streams, key, .. } = &mut self.nodes[index];
        streams.local_up(Arc::clone(key), 60, now);
        self.down.remove(&index);
        self.routes_changed();
    }

    pub(super) fn hold_back_manifests(&mut self, hold: bool) {
        self.without_manifests = hold;
    }

    pub(super) fn hold_back_blocks(&mut self, hold: bool) {
        self.without_blocks = hold;
    }

    /// Who lies behind a link that is down is not announced, and was known better by who is nearer.
    fn routes_changed(&mut self) {
        let now = self.now();
        for index in 0..self.nodes.len() {
            let mut fib = Fib::default();
            let mut carriers = Vec::new();
            for other in (0..self.nodes.len()).filter(|other| *other != index) {
                let (next, way): (usize, Vec<usize>) = if other > index {
                    (index + 1, (index..other).collect())
                } else {
                    (index - 1, (other..index).collect())
                };
                let is_up = |left: &usize| self.up.contains(&(*left, *left + 1));
                let via = Via { hop: hop(next), mtu: self.mtu };
                let address = self.address(other);
                if way.iter().all(is_up) && !self.down.contains(&other) {
                    fib.set(&address, Some(FibEntry::Remote { best: via, other: None }));
                }
                let first = index.min(next);
                carriers.push((address, Some(via).filter(|_| is_up(&first))));
            }
            let is_up = |near: &usize| self.up.contains(&(index.min(*near), index.max(*near)));
            let near = [index.checked_sub(1), Some(index + 1)].into_iter().flatten().filter(is_up);
            let neighbours: Vec<Via> = near.map(|near| Via { hop: hop(near), mtu: self.mtu }).collect();
            let streams = &mut self.nodes[index].streams;
            streams.handle_carriers(carriers, now);
            streams.handle_routes(Arc::new(fib), now);
            streams.handle_neighbours(&neighbours, now);
        }
    }

    pub(super) fn new_stream(&self, sender: usize, recipient: usize, size: Option<u64>) -> NewStream {
        NewStream {
            sender: self.address(sender),
            recipient: Recipient::Address(self.address(recipient)),
            size: size.map(ByteCount),
            lifetime: Lifetime::from_secs(u32::try_from(LIFETIME.as_secs()).unwrap()).unwrap(),
            routing: Routing::Push,
            auxiliary_data: AuxiliaryData::default(),
        }
    }

    pub(super) fn open(&mut self, sender: usize, recipient: usize, size: Option<u64>) -> StreamKey {
        let (new, now) = (self.new_stream(sender, recipient, size), self.now());
        self.nodes[sender].streams.send(new, now).unwrap()
    }

    /// Writes as much as is taken at once.
    pub(super) fn write(&mut self, sender: usize, key: &StreamKey, content: &[u8]) -> usize {
        let now = self.now();
        self.nodes[sender].streams.write(key, content, now).unwrap()
    }

    /// Writes all of a piece, the clock going on meanwhile.
    pub(super) fn write_piece(
        &mut self,
        sender: usize,
        key: &StreamKey,
        mut content: &[u8],
    ) -> Result<(), SendError> {
        let end = self.now + Duration::from_secs(60);
        while !content.is_empty() {
            let now = self.now();
            let taken = self.nodes[sender].streams.write(key, content, now)?;
            content = &content[taken..];
            if taken == 0 {
                assert!(self.now < end, "no room within a minute");
                self.step();
            }
        }
        Ok(())
    }

    pub(super) fn write_all(
        &mut self,
        sender: usize,
        key: &StreamKey,
        mut content: &[u8],
    ) -> Result<(), SendError> {
        while !content.is_empty() {
            let now = self.now();
            let taken = self.nodes[sender].streams.write(key, content, now)?;
            content = &content[taken..];
            if taken == 0 {
                self.step();
            }
            if self.has_ended(sender, key).is_some() || self.has_failed(sender, key) {
                return Err(SendError::NotOpen);
            }
        }
        let now = self.now();
        self.nodes[sender].streams.finish(key, now)
    }

    /// Sends a whole stream of unknown length, the clock going on while it is read.
    pub(super) fn send(&mut self, sender: usize, recipient: usize, content: &[u8]) -> StreamKey {
        let size = content.len().is_multiple_of(2).then(|| u64::try_from(content.len()).unwrap());
        let key = self.open(sender, recipient, size);
        match self.write_all(sender, &key, content) {
            Ok(()) | Err(SendError::NotOpen) => key,
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes what happened now, and lets the next thing happen.
    pub(super) fn step(&mut self) {
        self.settle_now();
        let next = [
            self.packets.iter().map(|(at, ..)| *at).min(),
            self.nodes.iter().flat_map(|node| node.disk.iter().map(|(at, _)| *at)).min(),
            self.nodes.iter().filter_map(|node| node.streams.poll_timeout()).min(),
        ];
        let next = next.into_iter().flatten().min().unwrap();
        self.now = next.max(self.now + Duration::from_micros(1));
        self.settle_now();
    }

    fn settle_now(&mut self) {
        let now = self.now();
        loop {
            while let Some(place) = self.packets.iter().position(|(at, ..)| *at <= now.at) {
                let Some((_, from, to, packet)) = self.packets.remove(place) else { break };
                match packet {
                    Packet::Frame(frame) => {
                        self.seen.push((to, frame.clone()));
                        self.nodes[to].streams.handle_frame(hop(from), &frame, now);
                    }
                    Packet::Custody(frames) => self.nodes[to].streams.handle_custody(hop(from), &frames, now),
                }
            }
            let mut sent = Vec::new();
            let mut idle = true;
            for (index, node) in self.nodes.iter_mut().enumerate() {
                idle &= !node.turn(now, |to, packet| sent.push((index, to, packet)));
            }
            sent.into_iter().for_each(|(from, to, packet)| self.transmit(from, to, packet));
            if idle {
                return;
            }
        }
    }

    /// Somebody sends a frame once more.
    pub(super) fn replay(&mut self, from: usize, to: usize, frame: &[u8]) {
        let now = self.now();
        self.nodes[to].streams.handle_frame(hop(from), frame, now);
    }

    fn transmit(&mut self, from: usize, to: usize, packet: Packet) {
        if !self.up.contains(&(from.min(to), from.max(to))) {
            return;
        }
        if let Packet::Frame(frame) = &packet {
            self.longest = self.longest.max(frame.len());
            self.bytes += frame.len();
            let is_manifest = Frame::decode(frame).unwrap().header.mode == Mode::MANIFEST;
            let lost = self.loss.as_mut().is_some_and(|(percent, prng)| {
                prng.below(Duration::from_micros(100)) < Duration::from_micros((*percent).into())
            });
            let is_block = matches!(Frame::decode(frame).unwrap().header.mode, Mode::DATA | Mode::PACKED);
            if lost || self.without_manifests && is_manifest || self.without_blocks && is_block {
                return;
            }
        }
        self.packets.push_back((self.now + LINK, from, to, packet));
    }

    pub(super) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.step();
        }
    }

    pub(super) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        self.settle_now();
        while !done(self) {
            assert!(self.now < end, "not within {limit:?}; {:?}", self.statuses());
            self.step();
        }
    }

    fn statuses(&self) -> Vec<String> {
        let describe = |node: &Node| {
            let drops: Vec<_> = node.streams.drops().iter().collect();
            let coming: Vec<_> = node.streams.received.values().map(|inbound| inbound.describe()).collect();
            let going: Vec<_> = node
                .streams
                .sent
                .iter()
                .map(|(key, out)| {
                    (&out.sending, node.streams.sent_deadlines.get(key), node.streams.active.len())
                })
                .collect();
            format!("{:?} {drops:?} {coming:?} {going:?}", node.streams.status())
        };
        self.nodes.iter().map(describe).collect()
    }

    /// Until every disk and every link is at rest.
    pub(super) fn settle(&mut self) {
        self.settle_now();
        while !self.packets.is_empty() || self.nodes.iter().any(|node| !node.disk.is_empty()) {
            self.step();
        }
    }

    /// Stops a node at once and starts it again with what its disk has.
    pub(super) fn restart(&mut self, index: usize) {
        let config = self.nodes[index].config.clone();
        self.restart_with(index, config);
    }

    pub(super) fn restart_with(&mut self, index: usize, config: StreamsConfig) {
        let now = self.now();
        let node = &mut self.nodes[index];
        let (entries, groups) = (core::mem::take(&mut node.entries), core::mem::take(&mut node.groups));
        let starts = node.starts + 1;
        let events = core::mem::take(&mut node.events);
        *node = Node { starts, events, ..Node::new(index + 100 * usize::from(starts), config) };
        node.key = Arc::new(SecretKey::from_seed([u8::try_from(index).unwrap() + 1; 32]));
        node.streams.locals.clear();
        if !self.down.contains(&index) {
            node.streams.add_local(Arc::clone(&node.key), 60);
        }
        for (number, record) in &groups {
            node.streams.restore_group(GroupNumber(*number), record);
        }
        for ((group, number), (name, bytes)) in &entries {
            let length = u32::try_from(bytes.len()).unwrap();
            node.streams.restore_entry(GroupNumber(*group), *number, *name, length);
        }
        (node.entries, node.groups) = (entries, groups);
        node.streams.restored(now);
        // Its links go down and come up again.
        self.packets.retain(|(_, from, to, _)| *from != index && *to != index);
        self.routes_changed();
    }

    pub(super) fn events(&self, index: usize) -> impl Iterator<Item = &StreamEvent> {
        self.nodes[index].events.iter()
    }

    pub(super) fn has_ended(&self, index: usize, stream: &StreamKey) -> Option<Ended> {
        self.events(index).find_map(|event| {
            let StreamEvent::Ended(key, ended) = event else { return None };
            (key == stream).then_some(*ended)
        })
    }

    pub(super) fn is_stored(&self, index: usize, stream: &StreamKey) -> bool {
        self.events(index).any(|event| *event == StreamEvent::Stored(*stream))
    }

    pub(super) fn is_accepted(&self, index: usize, stream: &StreamKey) -> bool {
        self.events(index).any(|event| *event == StreamEvent::Accepted(*stream))
    }

    pub(super) fn has_failed(&self, index: usize, stream: &StreamKey) -> bool {
        self.events(index).any(|event| *event == StreamEvent::Failed(*stream))
    }

    /// What a client was told that it shares.
    pub(super) fn shared(&self, index: usize, stream: &StreamKey) -> Option<ReadCapability> {
        self.events(index).find_map(|event| {
            let StreamEvent::Shared { key, capability } = event else { return None };
            (key == stream).then(|| capability.clone())
        })
    }

    /// Whether a client was told that it shares something no more, and whether that is stored.
    pub(super) fn is_taken_down(&self, index: usize, capability: &ReadCapability) -> Option<bool> {
        self.events(index).find_map(|event| {
            let StreamEvent::TakenDown { stream, durable, .. } = event else { return None };
            (*stream == StreamId::of_shared(capability)).then_some(*durable)
        })
    }

    /// Whether a client was told that it has a stream for good, and whether that is stored, as it heard last.
    pub(super) fn is_taken(&self, index: usize, stream: &StreamKey) -> Option<bool> {
        let told = |durable| StreamEvent::Taken { key: *stream, durable };
        let is_of_it = |event: &&StreamEvent| **event == told(true) || **event == told(false);
        self.events(index).filter(is_of_it).last().map(|event| *event == told(true))
    }

    /// How many streams were delivered.
    pub(super) fn received(&self, index: usize) -> usize {
        self.events(index).filter(|event| matches!(event, StreamEvent::Received(_))).count()
    }

    /// Whether a client could take a stream.
    pub(super) fn is_here(&self, index: usize, key: &StreamKey) -> bool {
        self.nodes[index].streams.arrivals().any(|arrival| arrival.key == *key)
    }

    /// Reads a whole stream from the disk, as a client would, and takes it.
    pub(super) fn take_content(&mut self, index: usize, key: &StreamKey) -> Vec<u8> {
        let now = self.now();
        let node = &mut self.nodes[index];
        let arrival = node.streams.arrivals().find(|arrival| arrival.key == *key).expect("it is there");
        let content = node.read(&arrival);
        node.streams.taken(key, now);
        self.settle();
        content
    }

    pub(super) fn entries(&self, index: usize) -> usize {
        self.nodes[index].entries.len()
    }

    /// How many groups the disk knows something of.
    pub(super) fn records(&self, index: usize) -> usize {
        self.nodes[index].groups.len()
    }

    pub(super) fn frames_carried(&self, index: usize) -> usize {
        let carried = self.nodes[index].streams.journal.of_role(Role::Carried);
        carried
            .iter()
            .filter_map(|group| self.nodes[index].streams.journal.get(*group))
            .map(|group| group.len())
            .sum()
    }

    /// All blocks and frames on a disk.
    pub(super) fn on_disk(&self, index: usize) -> Vec<Vec<u8>> {
        self.nodes[index].entries.values().map(|(_, bytes)| bytes.clone()).collect()
    }

    /// Turns a bit of all that is on a disk.
    pub(super) fn damage(&mut self, index: usize) {
        self.nodes[index].entries.values_mut().for_each(|(_, bytes)| *bytes.last_mut().unwrap() ^= 1);
    }

    pub(super) fn longest_frame(&self) -> usize {
        self.longest
    }

    pub(super) fn bytes_sent(&self) -> usize {
        self.bytes
    }

    pub(super) fn frames_seen_by(&self, index: usize) -> Vec<Vec<u8>> {
        self.seen.iter().filter(|(by, _)| *by == index).map(|(_, frame)| frame.clone()).collect()
    }

    /// The names of the blocks in frames that are one block each.
    pub(super) fn names_of_blocks(&self, frames: &[Vec<u8>]) -> Vec<Digest> {
        let headers = frames.iter().map(|frame| Frame::decode(frame).unwrap().header);
        headers
            .filter(|header| header.mode == Mode::DATA)
            .filter_map(|header| Some(header.seq_id?.hash))
            .collect()
    }

    /// Turns a bit of every block on a disk whose children are there, and of the last.
    pub(super) fn damage_inner_nodes(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let last: Vec<_> = node.entries.keys().rev().take(2).copied().collect();
        for key in last {
            node.entries.get_mut(&key).unwrap().1[0] ^= 1;
        }
    }
}

/// The hop to a node of the mesh.
pub(super) fn hop(index: usize) -> Hop {
    let number = u8::try_from(index).unwrap() + 1;
    Hop { link: LinkId(number.into()), neighbour: RouterId::from_bytes([number; 32]) }
}
