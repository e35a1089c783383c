// SPDX-License-Identifier: AGPL-3.0-or-later
//! Mode 0x8005: a router on the path tells the sender of a data frame why it did not pass it on (source: wire page,
//! gateway sessions). The sender believes what quotes a frame that it sent a moment ago.

use ratman_types::{Mtu, Recipient};

use super::{DATA_TAG, DataHeader};
use crate::carrier::SESSION_HEADER;
use crate::{DecodeError, Frame, Header, Mode, Reader, Writer};

/// Why a data frame went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathReason {
    /// Larger than the next hop carries.
    TooBig {
        /// The largest carrier frame that it carries.
        mtu: Mtu,
    },
    /// The router knows no way to the recipient.
    NoRoute,
    /// No hops were left.
    HopLimit,
}

impl PathReason {
    const TOO_BIG: u8 = 1;
    const NO_ROUTE: u8 = 2;
    const HOP_LIMIT: u8 = 3;

    /// The code, and the MTU or 0.
    const fn code(self) -> (u8, u32) {
        match self {
            Self::TooBig { mtu } => (Self::TOO_BIG, mtu.0),
            Self::NoRoute => (Self::NO_ROUTE, 0),
            Self::HopLimit => (Self::HOP_LIMIT, 0),
        }
    }
}

/// Mode 0x8005: the reason, and the parts of the offending frame that only who saw it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// Why the frame went no further.
    pub reason: PathReason,
    /// The offending frame's session header.
    pub header: DataHeader,
    /// The offending frame's authentication tag.
    pub tag: [u8; DATA_TAG],
}

impl PathReport {
    /// Its length in bytes.
    pub const LEN: usize = 1 + 4 + DataHeader::LEN + DATA_TAG;
    /// The length of the whole carrier frame, in bytes: five more than that of a keepalive.
    pub const FRAME_LEN: usize = SESSION_HEADER + Self::LEN;

    /// Parses exactly one report: reason 1 (1 too big, 2 no route, 3 hop limit) ‖ mtu 4 (0 unless too big) ‖ session
    /// header 16 ‖ tag 16.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let reason = match (reader.u8("reason")?, reader.u32("mtu")?) {
            (PathReason::TOO_BIG, mtu) => PathReason::TooBig { mtu: Mtu(mtu) },
            (PathReason::NO_ROUTE, 0) => PathReason::NoRoute,
            (PathReason::HOP_LIMIT, 0) => PathReason::HopLimit,
            (PathReason::NO_ROUTE | PathReason::HOP_LIMIT, _) => return Err(DecodeError::Value("mtu")),
            _ => return Err(DecodeError::Value("reason")),
        };
        let header = DataHeader::decode(&reader.array("session header")?)?;
        let report = Self { reason, header, tag: reader.array("tag")? };
        reader.end()?;
        Ok(report)
    }

    /// The payload of the frame.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let (code, mtu) = self.reason.code();
        let mut buffer = Vec::with_capacity(Self::LEN);
        Writer::new(&mut buffer).u8(code).u32(mtu).bytes(&self.header.encode()).bytes(&self.tag);
        buffer.try_into().expect("every field has its length")
    }

    /// The carrier frame that reports about `frame`, a whole carrier frame as it was received: from its recipient to
    /// its sender, with all hops, since the router that speaks is not named.
    ///
    /// Nothing if that is no well-formed data frame of a session: no other frame is ever reported about, reports least
    /// of all.
    pub fn about(frame: &[u8], reason: PathReason) -> Option<[u8; Self::FRAME_LEN]> {
        let Frame { header, payload } = Frame::decode(frame).ok()?;
        let Some(Recipient::Address(recipient)) = header.recipient else { return None };
        if header.mode != Mode::SESSION_DATA || header.encoded_len() != SESSION_HEADER {
            return None;
        }
        let (start, sealed) = payload.split_first_chunk()?;
        let report = Self { reason, header: DataHeader::decode(start).ok()?, tag: *sealed.last_chunk()? };
        let back = Header::new(Mode::PATH_REPORT, *recipient.as_bytes())
            .to(Recipient::Address(header.sender_address()));
        Frame { header: back, payload: &report.encode() }.encode().try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratman_types::Address;

    use super::*;
    use crate::session::SessionIndex;

    const HEADER: DataHeader =
        DataHeader { goes_on: false, continued: 0, receiver: SessionIndex(0x0102_0304), counter: 5 };

    fn offending(mode: Mode) -> Vec<u8> {
        let payload = [&HEADER.encode()[..], &[0xCC; 100], &[0xDD; 16]].concat();
        let header = Header { hops_left: 3, ..Header::new(mode, [0xAA; 32]) };
        let header = header.to(Recipient::Address(Address::from_bytes([0xBB; 32])));
        Frame { header, payload: &payload }.encode()
    }

    #[test]
    fn a_report_has_its_golden_bytes() {
        let mut golden =
            [&[1, 0, 0, 5, 0xDC][..], &[1, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 5], &[0xDD; 16]]
                .concat();
        let report = |reason| PathReport { reason, header: HEADER, tag: [0xDD; 16] };
        let too_big = report(PathReason::TooBig { mtu: Mtu(1500) });
        assert_eq!(too_big.encode(), golden[..]);
        assert_eq!(PathReport::decode(&golden), Ok(too_big));
        golden[0] = 2;
        assert_eq!(PathReport::decode(&golden), Err(DecodeError::Value("mtu")));
        golden[3..5].fill(0);
        assert_eq!(PathReport::decode(&golden), Ok(report(PathReason::NoRoute)));
        golden[0] = 3;
        assert_eq!(PathReport::decode(&golden), Ok(report(PathReason::HopLimit)));
        for code in [0, 4, 255] {
            golden[0] = code;
            assert_eq!(PathReport::decode(&golden), Err(DecodeError::Value("reason")));
        }
    }

    #[test]
    fn the_frame_goes_back_from_the_recipient_to_the_sender() {
        let reason = PathReason::TooBig { mtu: Mtu(576) };
        let bytes = PathReport::about(&offending(Mode::SESSION_DATA), reason).unwrap();
        assert_eq!(bytes.len(), 111);
        assert_eq!(bytes[..4], [2, 64, 0x80, 0x05]);
        assert_eq!(bytes[4..36], [0xBB; 32]);
        assert_eq!(bytes[36..69], [&[1][..], &[0xAA; 32]].concat());
        let frame = Frame::decode(&bytes).unwrap();
        let report = PathReport { reason, header: HEADER, tag: [0xDD; 16] };
        assert_eq!(PathReport::decode(frame.payload), Ok(report));
    }

    #[test]
    fn only_data_frames_are_reported_about() {
        let about = |frame: &[u8]| PathReport::about(frame, PathReason::NoRoute);
        let report = about(&offending(Mode::SESSION_DATA)).unwrap();
        assert_eq!(about(&report), None, "never about a report");
        for mode in [Mode::SESSION_INITIATION, Mode::SESSION_RESPONSE, Mode::SESSION_COOKIE, Mode(9)] {
            assert_eq!(about(&offending(mode)), None, "{mode:?}");
        }
        let data = offending(Mode::SESSION_DATA);
        assert_eq!(about(&data[..data.len() - 1]), None);
        let header = Header::new(Mode::SESSION_DATA, [0xAA; 32]);
        assert_eq!(about(&Frame { header, payload: &data[74..] }.encode()), None, "without a recipient");
        let header = header.to(Recipient::Address(Address::from_bytes([0xBB; 32])));
        assert_eq!(about(&Frame { header, payload: &data[74..105] }.encode()), None, "too short for a tag");
        assert!(about(&Frame { header, payload: &data[74..106] }.encode()).is_some());
        let with_option = Header { auxiliary: Some([0; 64]), ..header };
        assert_eq!(about(&Frame { header: with_option, payload: &data[74..] }.encode()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_keep_the_fuzzers_promises(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            at in 0..190_usize,
            byte: u8,
        ) {
            crate::fuzz::fuzz_path_report(&bytes);
            let mut frame = offending(Mode::SESSION_DATA);
            frame[at] = byte;
            crate::fuzz::fuzz_path_report(&frame);
            crate::fuzz::fuzz_path_report(&bytes[..bytes.len().min(PathReport::LEN)]);
        }
    }
}
