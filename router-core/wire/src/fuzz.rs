// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the fuzz targets call: parse any bytes; what parses must encode to the same bytes again.

use crate::Frame;

/// The carrier frame.
pub fn fuzz_frame(data: &[u8]) {
    if let Ok(frame) = Frame::decode(data) {
        assert_eq!(frame.encode(), data);
    }
}
