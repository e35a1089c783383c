// SPDX-License-Identifier: AGPL-3.0-or-later
//! Entries for the fuzzers: any bytes in, and what must hold of the answer asserted.

use super::{MAX_HEADERS, MAX_SEGMENTS, Segments, VirtioNetHeader, check};

/// Takes ten bytes as a wire header and the rest as its packet.
///
/// An accepted header must be accepted again unchanged, and the segments must carry every byte of payload, each as a packet
/// that needs nothing more.
///
/// # Panics
///
/// If one of these does not hold.
pub fn fuzz_offload(data: &[u8]) {
    let Some((header, packet)) = data.split_first_chunk::<{ VirtioNetHeader::LEN }>() else { return };
    let header = VirtioNetHeader::from_wire(*header);
    assert_eq!(VirtioNetHeader::from_device(header.to_device()), header);
    let Ok(checked) = check(&header, packet) else {
        assert!(Segments::new(&header, packet).is_err());
        return;
    };
    assert_eq!(check(&checked, packet), Ok(checked));
    let mut segments = Segments::new(&checked, packet).expect("the header was accepted");
    let count = segments.count();
    assert!((1..=MAX_SEGMENTS).contains(&count));
    let mut seen = 0;
    let mut payload = 0;
    while let Some(segment) = segments.next_segment() {
        assert!(segment.headers.len() <= MAX_HEADERS);
        let alone = [segment.headers, segment.payload].concat();
        assert_eq!(check(&VirtioNetHeader::NONE, &alone), Ok(VirtioNetHeader::NONE));
        seen += 1;
        payload += segment.payload.len();
    }
    assert_eq!(seen, count);
    let headers = usize::from(checked.hdr_len);
    assert_eq!(payload, packet.len() - headers);
}
