// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the fuzz targets call: parse any bytes; what parses must encode to the same bytes again.

use crate::{Frame, Header, Mode};

mod client_api;

pub use client_api::fuzz_client_api;

/// The carrier frame.
pub fn fuzz_frame(data: &[u8]) {
    if let Ok(frame) = Frame::decode(data) {
        assert_eq!(frame.encode(), data);
    }
}

/// Everything that gateways say about sessions: handshake messages, cookies, what stands inside them, data and
/// record headers.
pub fn fuzz_session(data: &[u8]) {
    use crate::session::{
        CookieReply, DataHeader, Initiation, InitiationPayload, RecordHeader, Response, ResponsePayload,
    };
    if let Ok(initiation) = Initiation::decode(data) {
        assert_eq!(initiation.encode(), data);
    }
    if let Ok(response) = Response::decode(data) {
        assert_eq!(response.encode(), data);
    }
    if let Ok(cookie) = CookieReply::decode(data) {
        assert_eq!(cookie.encode(), data);
    }
    if let Ok(payload) = InitiationPayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Ok(payload) = ResponsePayload::decode(data) {
        assert_eq!(payload.encode(), data);
    }
    if let Some(Ok(header)) = data.first_chunk().map(DataHeader::decode) {
        assert_eq!(header.encode(), data[..DataHeader::LEN]);
    }
    if let Some(Ok(header)) = data.first_chunk().map(RecordHeader::decode) {
        assert_eq!(header.encode(), data[..RecordHeader::LEN]);
    }
}

/// A path report as a payload, and as the answer to any frame: it goes to the sender and is never reported about.
pub fn fuzz_path_report(data: &[u8]) {
    use crate::session::{PathReason, PathReport};
    if let Ok(report) = PathReport::decode(data) {
        assert_eq!(report.encode(), data);
    }
    if let Some(bytes) = PathReport::about(data, PathReason::HopLimit) {
        let offending = Frame::decode(data).expect("only frames are reported about");
        let frame = Frame::decode(&bytes).expect("a report is a frame");
        assert_eq!(frame.header.sender, data[37..69]);
        assert_eq!(&bytes[37..69], &offending.header.sender);
        let report = PathReport::decode(frame.payload).expect("a report has the form of its mode");
        assert_eq!(report.header.encode(), offending.payload[..16]);
        assert_eq!(PathReport::about(&bytes, report.reason), None);
    }
}

/// The frames of a peering.
pub fn fuzz_peering(data: &[u8]) {
    use crate::peering::{self, Greeting, Role};
    for role in [Role::Dialer, Role::Listener] {
        if let Ok(greeting) = Greeting::decode(data, role) {
            assert_eq!(greeting.encode(), data);
            assert!(peering::is_peering(data));
        }
    }
    let Ok(frame) = Frame::decode(data) else { return };
    if let Ok(signature) = peering::decode_proof(data, frame.header.sender_router()) {
        assert_eq!(peering::encode_proof(frame.header.sender_router(), &signature), data);
    }
    if let Ok(nonce) = frame.payload.try_into() {
        let greeting = Greeting { role: Role::Dialer, router: frame.header.sender_router(), nonce };
        if peering::check_challenge(data, &greeting).is_ok() {
            assert_eq!(peering::encode_challenge(&greeting), data);
        }
    }
}

/// Packets of trains and reports, under a MAC that holds and one that does not.
pub fn fuzz_train(data: &[u8]) {
    use crate::train::{TrainKey, TrainPacket, TrainReport, peek};
    let (key, sender) =
        (TrainKey::derive(&[0; 32], &[0; 32], &[0; 32]), ratman_types::RouterId::from_bytes([0; 32]));
    assert!(peek(data).is_none() || Frame::decode(data).is_ok());
    let sealed = key.resealed(data);
    for bytes in [data, &sealed] {
        if let Ok(packet) = TrainPacket::decode(bytes, sender, &key) {
            assert_eq!(packet.encode(sender, bytes.len(), &key), bytes);
        }
        if let Ok(report) = TrainReport::decode(bytes, sender, &key) {
            assert_eq!(report.encode(sender, &key), bytes);
        }
    }
}

/// The announcement payload.
pub fn fuzz_announcement(data: &[u8]) {
    if let Ok(announcement) = crate::announcement::Announcement::decode(data) {
        assert_eq!(announcement.encode(), data);
    }
}

/// The echo payload.
pub fn fuzz_echo(data: &[u8]) {
    if let Ok(echo) = crate::echo::Echo::decode(data) {
        assert_eq!(echo.encode(), data);
    }
}

/// The RouterMeta payload.
pub fn fuzz_router_meta(data: &[u8]) {
    if let Ok(meta) = crate::router_meta::RouterMeta::decode(data) {
        assert_eq!(meta.encode(), data);
    }
}

/// The auxiliary bytes of a header.
pub fn fuzz_auxiliary(data: &[u8]) {
    let Some(bytes) = data.first_chunk() else { return };
    if let Ok(auxiliary) = crate::stream::Auxiliary::decode(bytes) {
        assert_eq!(auxiliary.encode(), *bytes);
    }
}

/// A frame with a slice, and the frame's bytes cut and joined again.
pub fn fuzz_slice(data: &[u8]) {
    use crate::stream::{MAX_SLICES, Slice, cut};
    let Ok(frame) = Frame::decode(data) else { return };
    let Ok(slice) = Slice::decode(&frame) else { return };
    assert_eq!((slice.of().mode(), Some(slice.place())), (frame.header.mode, frame.header.seq_id));
    let room = usize::from(slice.place().num);
    match cut(slice.of(), slice.place().hash, slice.bytes(), room) {
        Err(_) => assert!(slice.bytes().len() > room * MAX_SLICES),
        Ok(slices) => assert!(slices.flat_map(|slice| slice.bytes()).eq(slice.bytes())),
    }
}

/// The payload of a frame with packed blocks: packed again they make the same.
pub fn fuzz_packed(data: &[u8]) {
    use crate::stream::{PackedBlocks, Packing};
    let header = Header { seq_id: Some(PackedBlocks::place(data)), ..Header::new(Mode::PACKED, [0; 32]) };
    let Ok(packed) = PackedBlocks::decode(&Frame { header, payload: data }) else { return };
    assert_eq!(packed.references().count(), packed.blocks().len());
    let mut packing = Packing::new(packed.block_size(), data.len()).expect("it held a block");
    let payload = packed.blocks().find_map(|block| packing.push(block));
    assert_eq!(payload.as_deref(), Some(data));
}

/// An opened manifest.
pub fn fuzz_manifest(data: &[u8]) {
    if let Ok(manifest) = crate::stream::Manifest::decode(data) {
        assert_eq!(manifest.encode()[..], *data);
        assert!(data.len() <= crate::stream::MAX_PLAINTEXT);
    }
}

/// The notices about a stream.
pub fn fuzz_notices(data: &[u8]) {
    use crate::stream::{DenyNotice, Progress, PushNotice, Receipt};
    if let Ok(notice) = PushNotice::decode(data) {
        assert_eq!(encoded(|buffer| notice.encode_into(buffer)), data);
    }
    if let Ok(notice) = DenyNotice::decode(data) {
        assert_eq!(encoded(|buffer| notice.encode_into(buffer)), data);
    }
    if let Ok(receipt) = Receipt::decode(data) {
        assert_eq!(encoded(|buffer| receipt.encode_into(buffer)), data);
    }
    if let Ok(progress) = Progress::decode(data) {
        assert_eq!(encoded(|buffer| progress.encode_into(buffer)), data);
    }
}

/// The question who of a namespace is there, and its answer.
pub fn fuzz_anycast(data: &[u8]) {
    use crate::anycast::{Probe, ProbeAnswer, SealedAnswer};
    if let Ok(probe) = Probe::decode(data) {
        assert_eq!(encoded(|buffer| probe.encode_into(buffer)), data);
    }
    if let Ok(answer) = ProbeAnswer::decode(data) {
        assert_eq!(encoded(|buffer| answer.encode_into(buffer)), data);
    }
    if let Ok(answer) = SealedAnswer::decode(data) {
        assert_eq!(encoded(|buffer| answer.encode_into(buffer)), data);
    }
}

/// The request for blocks.
pub fn fuzz_pull_request(data: &[u8]) {
    if let Ok(request) = crate::stream::PullRequest::decode(data) {
        assert_eq!(encoded(|buffer| request.encode_into(buffer)), data);
    }
}

/// The frames that a neighbour has stored.
pub fn fuzz_custody(data: &[u8]) {
    if let Ok(custody) = crate::custody::Custody::decode(data) {
        assert_eq!(encoded(|buffer| custody.encode_into(buffer)), data);
    }
}

/// The addresses that a neighbour knows.
pub fn fuzz_sync_scope(data: &[u8]) {
    if let Ok(request) = crate::sync_scope::SyncScopeRequest::decode(data) {
        assert_eq!(encoded(|buffer| request.encode_into(buffer)), data);
    }
}

/// The request for the source and its answer.
pub fn fuzz_source(data: &[u8]) {
    use crate::source::{SourceRequest, SourceResponse};
    if let Ok(request) = SourceRequest::decode(data) {
        assert_eq!(encoded(|buffer| request.encode_into(buffer)), data);
    }
    if let Ok(response) = SourceResponse::decode(data) {
        assert_eq!(encoded(|buffer| response.encode_into(buffer)), data);
    }
}

/// What a frame that is too large for a link crosses it in.
pub fn fuzz_leap(data: &[u8]) {
    use crate::leap::{LeapFragment, LinkLeapNotice};
    if let Ok(notice) = LinkLeapNotice::decode(data) {
        assert_eq!(encoded(|buffer| notice.encode_into(buffer)), data);
    }
    if let Ok(fragment) = LeapFragment::decode(data) {
        assert_eq!(encoded(|buffer| fragment.encode_into(buffer)), data);
    }
}

fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut buffer = Vec::new();
    write(&mut buffer);
    buffer
}
