// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the fuzz targets call: parse any bytes; what parses must encode to the same bytes again.

use crate::Frame;

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
