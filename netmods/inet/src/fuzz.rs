// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the fuzz targets call.

use crate::deframer::{BadLength, Deframer, PREFIX};

/// Finds frames in any bytes under any split: the first byte says how many bytes each read brings.
///
/// The frames found must not depend on the split, and framed again they must be the bytes that came in.
pub fn fuzz_framing(data: &[u8]) {
    let Some((step, bytes)) = data.split_first() else { return };
    let whole = frames(bytes, bytes.len().max(1));
    let split = frames(bytes, usize::from(*step) + 1);
    assert_eq!(whole, split);
    let mut framed = Vec::new();
    for frame in &whole.0 {
        framed.extend(u32::try_from(frame.len()).expect("a frame found is below the limit").to_be_bytes());
        framed.extend(frame);
    }
    assert!(bytes.starts_with(&framed));
    if whole.1.is_err() {
        assert!(bytes.len() >= framed.len() + PREFIX);
    }
}

fn frames(bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, Result<(), BadLength>) {
    let mut deframer = Deframer::new();
    let mut found = Vec::new();
    for mut piece in bytes.chunks(step) {
        while !piece.is_empty() {
            let room = deframer.room();
            let (now, later) = piece.split_at(piece.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            deframer.filled(now.len());
            piece = later;
            let (frames, result) = deframer.take();
            found.extend(frames.map(|frame| frame.to_vec()));
            if result.is_err() {
                return (found, result);
            }
        }
    }
    (found, Ok(()))
}
