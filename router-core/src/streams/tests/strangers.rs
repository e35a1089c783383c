// SPDX-License-Identifier: AGPL-3.0-or-later
//! Strangers who ask for shared content, and who tell of it what is not so.

use super::sharing::{days, namespace};
use super::*;
use crate::DropReason;
use crate::fib::FibEntry;
use crate::sign_frame;
use crate::stream::{EphemeralKey, SealedManifest};
use crate::streams::MAX_ANSWERED;
use ratman_eris::ReadCapability;
use ratman_types::{Digest, Mtu};
use ratman_wire::Header;
use ratman_wire::stream::{
    Auxiliary, Contents, DenyNotice, Letterhead, Lifetime, Manifest, Outcome, PullRequest, Receipt, SliceOf,
    cut, payload_room,
};

fn key_of(index: u8) -> SecretKey {
    SecretKey::from_seed([index + 1; 32])
}

impl Mesh {
    /// Somebody at a node asks for all blocks of a stream of another.
    fn request(&mut self, from: &SecretKey, to: usize, stream: StreamId, time: WallTime) -> Vec<u8> {
        let mut payload = Vec::new();
        PullRequest::everything(time, stream).encode_into(&mut payload);
        let header = Header { hops_left: 9, ..Header::new(Mode::PULL_REQUEST, from.public()) };
        sign_frame(from, header.to(self.to(to)), &payload)
    }
}

#[test]
fn anybody_gets_what_is_shared_and_nobody_else_what_is_sent() {
    let mut mesh = Mesh::line(3);
    let content = content(100_000);
    let private = mesh.send(0, 1, &content);
    mesh.run_for(Duration::from_millis(3));
    let wall = mesh.now().wall;
    let frame = mesh.request(&key_of(2), 0, private.stream, wall);
    mesh.replay(1, 0, &frame);
    mesh.run_for(MINUTE);
    assert_eq!(mesh.blocks_seen_by(2), 0);
    assert_eq!(mesh.node(0).streams.status().answered, 0);
    let capability = mesh.share(0, &content);
    let wall = mesh.now().wall;
    let frame = mesh.request(&key_of(2), 0, StreamId::of_shared(&capability), wall);
    mesh.replay(1, 0, &frame);
    mesh.run_for(Duration::from_secs(2));
    let blocks = mesh.blocks_seen_by(2);
    assert_eq!(blocks, mesh.entries(0));
    // The same request again is of no use to who repeats it, neither at once nor when it was forgotten.
    for wait in [Duration::from_secs(1), 3 * MINUTE] {
        mesh.replay(1, 0, &frame);
        mesh.run_for(wait);
    }
    mesh.replay(1, 0, &frame);
    mesh.run_for(MINUTE);
    assert_eq!(mesh.blocks_seen_by(2), blocks);
    assert_eq!(mesh.node(0).streams.drops().get(DropReason::RequestRepeated), 1);
    mesh.run_for(30 * MINUTE);
    mesh.replay(1, 0, &frame);
    assert_eq!(mesh.node(0).streams.drops().get(DropReason::ClockWindow), 1);
}

#[test]
fn so_many_are_answered_at_once_and_the_others_when_those_have_enough() {
    let mut mesh = Mesh::line(2);
    let capability = mesh.share(0, &content(2 << 20));
    let name = StreamId::of_shared(&capability);
    let strangers: Vec<SecretKey> =
        (0..MAX_ANSWERED + 5).map(|index| key_of(u8::try_from(100 + index).unwrap())).collect();
    let mut fib = Fib::default();
    for stranger in &strangers {
        let via = Via { hop: mesh::hop(1), mtu: Mtu(33_004) };
        fib.set(&stranger.address(), Some(FibEntry::Remote { best: via, other: None }));
    }
    let now = mesh.now();
    mesh.node_mut(0).streams.handle_routes(Arc::new(fib), now);
    for stranger in &strangers {
        let frame = mesh.request(stranger, 0, name, now.wall);
        mesh.replay(1, 0, &frame);
    }
    let status = |mesh: &Mesh| {
        let streams = &mesh.node(0).streams;
        (streams.status().answered, streams.drops().get(DropReason::AnswersFull))
    };
    assert_eq!(status(&mesh), (MAX_ANSWERED, 5));
    // They say nothing of what they get.
    mesh.run_for(Duration::from_secs(10));
    let (last, now) = (strangers.last().unwrap(), mesh.now());
    let frame = mesh.request(last, 0, name, now.wall);
    let before = mesh.bytes_sent();
    mesh.replay(1, 0, &frame);
    mesh.run_for(Duration::from_secs(1));
    assert!(mesh.bytes_sent() > before + 100_000, "it is answered in place of another");
    assert_eq!(status(&mesh), (MAX_ANSWERED, 5));
    mesh.run_for(3 * MINUTE);
    assert_eq!(status(&mesh), (0, 5), "nothing is kept of them");
}

#[test]
fn a_manifest_that_names_another_content_or_lasts_for_ever_is_refused() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe_to_files(1);
    let capability = mesh.share(0, &content(50_000));
    let now = mesh.now().wall;
    let is_coming = |mesh: &Mesh| mesh.node(1).streams.status().receiving;
    let bad = |mesh: &Mesh| mesh.node(1).streams.drops().get(DropReason::BadManifest);
    let name = StreamId::of_shared(&capability);
    let other = StreamId::from_bytes([9; 32]);
    let later = now.shifted(3600 * 1_000_000);
    // Of the content, of the frames: in the future, for less time than the frames say, and of a name that is not its own.
    let cases = [(name, later, days(30)), (name, now.shifted(-1), days(1)), (other, now, days(2))];
    for (number, (stream, created, lifetime)) in cases.into_iter().enumerate() {
        let frame = mesh.manifest_of_a_stranger((stream, created, lifetime), (now, days(1)), &capability);
        mesh.replay(0, 1, &frame);
        mesh.run_for(Duration::from_secs(1));
        assert_eq!((bad(&mesh), is_coming(&mesh)), (u64::try_from(number).unwrap() + 1, 0));
    }
    let frame = mesh.manifest_of_a_stranger((name, now, days(30)), (now, days(1)), &capability);
    mesh.replay(0, 1, &frame);
    mesh.run_for(Duration::from_secs(1));
    assert_eq!((bad(&mesh), is_coming(&mesh)), (3, 1));
}

impl Mesh {
    fn manifest_of_a_stranger(
        &mut self,
        (stream, created, lifetime): (StreamId, WallTime, Lifetime),
        of_frame: (WallTime, Lifetime),
        capability: &ReadCapability,
    ) -> Vec<u8> {
        let stranger = key_of(98);
        let (stream_size, auxiliary_data) = (ByteCount(50_000), Default::default());
        let letterhead =
            Letterhead { from: stranger.address(), to: namespace(), stream_size, auxiliary_data };
        let contents = Contents::Blocks(capability.clone());
        let manifest = Manifest::new(stream, created, lifetime, letterhead, contents).unwrap();
        let ephemeral = EphemeralKey::new(zeroize::Zeroizing::new([7; 32]));
        let sealed = SealedManifest::seal(&manifest, &stranger, ephemeral).unwrap();
        let room = payload_room(Mtu(1280), true);
        let slices = cut(SliceOf::SealedManifest, sealed.hash(), sealed.as_bytes(), room).unwrap();
        let slice = slices.into_iter().next().unwrap();
        assert_eq!(slice.place().max, 0, "all of it");
        let auxiliary = Auxiliary { created: of_frame.0, lifetime: of_frame.1, stream };
        let header = Header::new(Mode::MANIFEST, stranger.public()).to(namespace());
        let (auxiliary, seq_id) = (Some(auxiliary.encode()), Some(slice.place()));
        let header = Header { auxiliary, seq_id, hops_left: 9, ..header };
        sign_frame(&stranger, header, slice.bytes())
    }
}

#[test]
fn names_of_blocks_that_nobody_has_are_left_aside() {
    let mut mesh = Mesh::line(2);
    let capability = mesh.share(0, &content(50_000));
    let wall = mesh.now().wall;
    let names = (0..1000_u32)
        .map(|name| Digest::from_bytes(*ratman_eris::Reference::of(&name.to_be_bytes()).as_bytes()));
    let request = PullRequest::blocks(wall, StreamId::of_shared(&capability), names.collect()).unwrap();
    let mut payload = Vec::new();
    request.encode_into(&mut payload);
    let header = Header { hops_left: 9, ..Header::new(Mode::PULL_REQUEST, key_of(1).public()) };
    let frame = sign_frame(&key_of(1), header.to(mesh.to(0)), &payload);
    mesh.replay(1, 0, &frame);
    mesh.run_for(Duration::from_secs(5));
    assert_eq!(mesh.blocks_seen_by(1), 0);
}

#[test]
fn who_is_answered_may_say_whatever_it_likes() {
    let mut mesh = Mesh::line(2);
    let capability = mesh.share(0, &content(50_000));
    let stream = StreamId::of_shared(&capability);
    for mode in [Mode::RECEIPT, Mode::DENY_NOTICE] {
        let time = mesh.now().wall;
        let request = mesh.request(&key_of(1), 0, stream, time);
        mesh.replay(1, 0, &request);
        assert_eq!(mesh.node(0).streams.status().answered, 1);
        let mut payload = Vec::new();
        if mode == Mode::RECEIPT {
            Receipt { time, stream, outcome: Outcome::Delivered }.encode_into(&mut payload);
        } else {
            DenyNotice { time, stream }.encode_into(&mut payload);
        }
        let header = Header { hops_left: 9, ..Header::new(mode, key_of(1).public()) };
        let word = sign_frame(&key_of(1), header.to(mesh.to(0)), &payload);
        mesh.replay(1, 0, &word);
        let status = mesh.node(0).streams.status();
        assert_eq!((status.answered, status.sending, status.shared), (0, 0, 1));
        mesh.run_for(Duration::from_secs(1));
    }
}
