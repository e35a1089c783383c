// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a router between sender and recipient sees of streams, and stores of them, by a capture of all its links and by its
//! journal: blocks of which nothing can be read, and none of them twice.
#![allow(clippy::unwrap_used, reason = "helpers of tests end tests, too")]

mod conversations;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::time::Duration;

use irdest_gateway::identity::{Identity, Passphrase};
use irdest_gateway::state::State;
use irdest_lab::{Dials, Gateway, StreamNews, StreamSocket, Tap, ThreeRouters, TimeLimit};
use ratman_eris::{BlockSize, ConvergenceSecret, Decoded, Decoder, Encoder, ReadCapability, Reference};
use ratman_types::{ByteCount, Mtu, Recipient, SecretKey, Signer};
use ratman_wire::stream::{Auxiliary, MAX_INLINE, PackedBlocks, StreamId};
use ratman_wire::{Frame, MAX_FRAME, Mode};
use router_core::stream::convergence_secret;

use conversations::{conversations, frames};

/// In a manifest, in packed blocks of 1 KiB, and in blocks of 32 KiB in a tree of two levels. Of the last as few as fit what the
/// kernel keeps of a capture for a normal user.
const SIZES: [usize; 3] = [200, 20_000, 100_000];

/// Whatever of this length is found is no coincidence.
const TELLING: usize = 16;

/// A stream that was sent.
struct Sent {
    stream: StreamId,
    content: Vec<u8>,
}

impl Sent {
    fn size(&self) -> ByteCount {
        ByteCount(self.content.len().try_into().unwrap())
    }
}

/// What a relay has seen of one stream.
#[derive(Default)]
struct Seen<'a> {
    payloads: BTreeSet<&'a [u8]>,
    blocks: BTreeSet<&'a [u8]>,
}

/// A stream as its ends know it.
struct Known {
    sent: Sent,
    /// Whether R had to store it.
    stored: bool,
    secret: [u8; 32],
    capability: ReadCapability,
    blocks: BTreeSet<Vec<u8>>,
}

/// Text in lines of which every one is another, and which a compressor would make much shorter.
fn text(length: usize) -> Vec<u8> {
    let lines = (0..).map(|number| format!("line {number:08} of what nobody is to read\n"));
    lines.flat_map(String::into_bytes).take(length).collect()
}

fn send(from: &Gateway, to: &Gateway, content: Vec<u8>, until: &StreamNews) -> Sent {
    let mut socket = StreamSocket::open(from).unwrap();
    let name = socket.open_stream(&to.identity().address, content.len()).unwrap();
    socket.write(&content).unwrap();
    while socket.news().unwrap() != *until {}
    let bytes: Vec<u8> = name.as_bytes().chunks(2).map(hexadecimal).collect();
    Sent { stream: StreamId::from_bytes(bytes.try_into().unwrap()), content }
}

fn hexadecimal(byte: &[u8]) -> u8 {
    u8::from_str_radix(str::from_utf8(byte).unwrap(), 16).unwrap()
}

fn take(at: &Gateway, sent: &[Sent]) {
    let mut socket = StreamSocket::open(at).unwrap();
    for _ in sent {
        let content = socket.take().unwrap().content;
        assert!(sent.iter().any(|sent| sent.content == content), "what came is not what was sent");
    }
}

fn without_b(routers: &mut ThreeRouters) {
    routers.b.stop().unwrap();
    let (a, b) = (&routers.a, &routers.b.identity().address);
    let gone = || Ok(a.status()?.next_hop(b).is_none().then_some(()));
    routers.limit().wait_for("B to be gone", gone).unwrap();
}

/// The key of a gateway that does not run.
fn key_of(gateway: &Gateway) -> SecretKey {
    let (node, copy) = (gateway.node().directory(), tempfile::tempdir().unwrap());
    fs::copy(node.join("state/identity"), copy.path().join("identity")).unwrap();
    let passphrase = Passphrase::find(Some(&node.join("passphrase"))).unwrap();
    Identity::load_or_create(&State::open(copy.path()).unwrap(), &passphrase).unwrap().address
}

/// What a stream is made of, as its sender made it.
fn known((sent, stored): (Sent, bool), sender: &SecretKey, recipient: &Recipient) -> Known {
    let secret = *convergence_secret(sender, recipient, &sent.stream).unwrap();
    let path = Mtu(MAX_FRAME.try_into().unwrap());
    let block_size = BlockSize::choose(sent.size(), path).unwrap();
    let mut encoder = Encoder::new(block_size, &ConvergenceSecret::from_bytes(secret));
    let (mut rest, mut blocks) = (&sent.content[..], BTreeSet::new());
    loop {
        while let Some(block) = encoder.poll_block() {
            blocks.insert(block.bytes.to_vec());
        }
        if let Some(capability) = encoder.capability() {
            // A content that fits in the manifest has no blocks.
            blocks.retain(|_| sent.content.len() > MAX_INLINE);
            return Known { sent, stored, secret, capability, blocks };
        }
        match encoder.push(rest).unwrap() {
            0 => encoder.finish(),
            taken => rest = &rest[taken..],
        }
    }
}

/// What was seen of each stream.
fn by_stream<'a>(frames: &[Frame<'a>]) -> BTreeMap<StreamId, Seen<'a>> {
    let mut streams: BTreeMap<StreamId, Seen<'_>> = BTreeMap::new();
    for frame in frames {
        let Some(auxiliary) = frame.header.auxiliary else { continue };
        let Ok(Auxiliary { stream, .. }) = Auxiliary::decode(&auxiliary) else { continue };
        let seen = streams.entry(stream).or_default();
        seen.payloads.insert(frame.payload);
        match frame.header.mode {
            Mode::PACKED => seen.blocks.extend(PackedBlocks::decode(frame).unwrap().blocks()),
            Mode::DATA => _ = seen.blocks.insert(frame.payload),
            _ => {}
        }
    }
    streams
}

/// All of this in pieces, one of which is in everything that has two pieces' length in common with it.
fn pieces<'a>(of: impl IntoIterator<Item = &'a [u8]>) -> HashSet<&'a [u8]> {
    of.into_iter().flat_map(|bytes| bytes.chunks_exact(TELLING)).collect()
}

fn is_in(pieces: &HashSet<&[u8]>, bytes: &[u8]) -> bool {
    bytes.windows(TELLING).any(|window| pieces.contains(window))
}

/// What whoever has all blocks of a stream reads with a key.
fn reads(known: &Known, key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = known.capability.to_bytes();
    bytes[34..].copy_from_slice(key);
    let capability = ReadCapability::from_bytes(&*bytes).unwrap();
    let blocks: HashMap<_, _> = known.blocks.iter().map(|block| (Reference::of(block), block)).collect();
    let mut content = Vec::new();
    let mut decoder = Decoder::whole(&capability, known.sent.size()).unwrap();
    while let Some(block) = decoder.next_wanted().and_then(|next| blocks.get(&next)) {
        match decoder.handle_block(block) {
            Ok(Decoded::Content(piece)) => content.extend_from_slice(piece),
            Ok(Decoded::Node) => {}
            Ok(Decoded::Early | Decoded::NotWanted) | Err(_) => break,
        }
    }
    content
}

/// What went by R, what it has stored, and what it cannot know.
struct Evidence {
    said: Vec<Vec<u8>>,
    journal: Vec<u8>,
    known: Vec<Known>,
}

/// Sends equal contents through R, twice while all are up, and once more for R to store while B is off.
fn gather() -> Evidence {
    let limit = TimeLimit::within(Duration::from_secs(90));
    let mut routers = ThreeRouters::prepare(limit, Dials::Edges).unwrap();
    let taps = ["to-a", "to-b1", "to-b2"].map(|device| Tap::start(routers.r.node(), device).unwrap());
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    let send_all =
        |routers: &ThreeRouters, until| SIZES.map(|size| send(&routers.a, &routers.b, text(size), until));
    let relayed = [(); 2].map(|()| send_all(&routers, &StreamNews::Delivered)).into_iter().flatten();
    let relayed: Vec<Sent> = relayed.collect();
    take(&routers.b, &relayed);
    without_b(&mut routers);
    let stored = send_all(&routers, &StreamNews::Stored);
    let journal = fs::read(routers.r.node().directory().join("state/journal.redb")).unwrap();
    routers.b.start().unwrap();
    take(&routers.b, &stored);
    let said = taps.into_iter().flat_map(|tap| conversations(&tap.stop().unwrap())).collect();

    routers.a.stop().unwrap();
    let (sender, recipient) = (key_of(&routers.a), routers.b.identity().address.parse().unwrap());
    assert_eq!(sender.address().to_string(), routers.a.identity().address);
    let relayed = relayed.into_iter().map(|sent| (sent, false));
    let all = relayed.chain(stored.into_iter().map(|sent| (sent, true)));
    let known = all.map(|sent| known(sent, &sender, &Recipient::Address(recipient))).collect();
    Evidence { said, journal, known }
}

#[test]
fn a_relay_sees_and_stores_nothing_that_tells_anything() {
    let evidence = gather();
    let frames: Vec<Frame<'_>> = evidence.said.iter().flat_map(|said| frames(said)).collect();
    let streams = by_stream(&frames);
    assert_whole(&evidence, &streams);
    assert_unreadable(&evidence);
    assert_closed(&evidence.known, &frames);
    assert_nothing_twice(&streams);
}

/// The capture has all blocks, and the journal those that had to be stored.
fn assert_whole(Evidence { journal, known, .. }: &Evidence, streams: &BTreeMap<StreamId, Seen<'_>>) {
    assert_eq!(streams.len(), known.len(), "no stream went another way");
    for Known { sent, stored, blocks, .. } in known {
        let (size, seen) = (sent.size(), &streams[&sent.stream].blocks);
        assert!(seen.iter().eq(blocks), "{size:?}: {} blocks were seen of {}", seen.len(), blocks.len());
        let in_journal = is_in(&pieces(seen.iter().copied()), journal);
        assert_eq!(in_journal, *stored && !blocks.is_empty(), "{size:?}, stored: {stored}");
    }
}

/// Neither text nor what opens blocks is anywhere.
fn assert_unreadable(Evidence { said, journal, known }: &Evidence) {
    let secrets = known.iter().flat_map(|Known { sent, secret, capability, .. }| {
        [&secret[..], capability.root_key(), &sent.content]
    });
    let secrets = pieces(secrets);
    assert!(said.iter().chain([journal]).all(|bytes| !is_in(&secrets, bytes)));
}

/// No name in any frame opens anything either, even if R knew which block is the root.
fn assert_closed(known: &[Known], frames: &[Frame<'_>]) {
    let names = frames.iter().filter_map(|Frame { header, .. }| Some(*header.seq_id?.hash.as_bytes()));
    let senders = frames.iter().map(|frame| frame.header.sender);
    let streams = known.iter().map(|known| *known.sent.stream.as_bytes());
    let heard: BTreeSet<[u8; 32]> = names.chain(senders).chain(streams).chain([[0; 32]]).collect();
    for known in known.iter().filter(|known| !known.blocks.is_empty()) {
        assert!(reads(known, known.capability.root_key()) == known.sent.content, "its own key opens it");
        assert!(heard.iter().all(|key| reads(known, key).is_empty()));
    }
}

/// No payload has anything in common with another one, of its stream or of another stream.
fn assert_nothing_twice(streams: &BTreeMap<StreamId, Seen<'_>>) {
    let all =
        || streams.iter().flat_map(|(stream, seen)| seen.payloads.iter().map(move |one| (stream, *one)));
    let mut places: HashMap<&[u8], (&StreamId, &[u8])> = HashMap::new();
    for (stream, payload) in all() {
        for piece in payload.chunks_exact(TELLING) {
            assert!(places.insert(piece, (stream, payload)).is_none(), "a piece comes twice");
        }
    }
    for (stream, payload) in all() {
        for window in payload.windows(TELLING) {
            let elsewhere = places.get(window).filter(|place| **place != (stream, payload));
            assert!(elsewhere.is_none(), "two payloads have something in common");
        }
    }
}
