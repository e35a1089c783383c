// SPDX-License-Identifier: AGPL-3.0-or-later
//! What sealing a batch yields beside the batch itself: a head and a tag per frame, in arrays made once and used
//! again, so that frames leave by one gathering write and nothing moves.
//!
//! For large frames a batch is cut evenly: pieces of equal size cost the least AEAD and the least reassembly
//! (data-path note). A cut falls anywhere, even inside a record's header; the frame's own header says how many bytes
//! belong to a record from the frame before, so that a lost frame costs only the records that it held a part of. On
//! paths with small frames, which lose them one by one, frames end where records end, and only a record that is larger
//! than a frame is cut.

use ratman_types::Mtu;
use ratman_wire::carrier::SESSION_HEADER;
use ratman_wire::session::{DataHeader, RecordHeader, SessionIndex};

use super::SessionDrop;
use super::cipher::TAG;
use crate::mtu::{cuts_super_packets, frame_room};

/// The most frames of one batch: 120 000 bytes of records go at the smallest path MTU of the wire page, 576 bytes,
/// which is a 64 KiB super-packet cut into segments of 100 bytes.
pub const MAX_PIECES: usize = 512;

/// The carrier header and the session header.
pub(super) const HEAD: usize = SESSION_HEADER + DataHeader::LEN;

/// The frames of one sealed batch; made once per sealing thread and used again for every batch.
#[derive(Debug)]
pub struct Sealed {
    heads: Box<[[u8; HEAD]]>,
    tags: Box<[[u8; TAG]]>,
    /// Where each body ends in the batch.
    ends: Box<[usize]>,
    len: usize,
}

/// One frame, to be sent as head ‖ body ‖ tail.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Carrier header and session header.
    pub head: &'a [u8],
    /// The ciphertext, where the batch lay.
    pub body: &'a [u8],
    /// The authentication tag.
    pub tail: &'a [u8],
}

impl Sealed {
    /// Allocates room for [`MAX_PIECES`] frames, about 60 KiB.
    pub fn new() -> Self {
        Self {
            heads: vec![[0; HEAD]; MAX_PIECES].into_boxed_slice(),
            tags: vec![[0; TAG]; MAX_PIECES].into_boxed_slice(),
            ends: vec![0; MAX_PIECES].into_boxed_slice(),
            len: 0,
        }
    }

    /// How many frames the last batch became; 0 after an error.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no frame to send.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The frames in the order of their counters; `batch` is the region that was sealed, unchanged since.
    pub fn pieces<'a>(&'a self, batch: &'a [u8]) -> impl ExactSizeIterator<Item = Piece<'a>> {
        let mut start = 0;
        self.heads.iter().zip(&self.tags).zip(&self.ends).take(self.len).map(move |((head, tail), end)| {
            let body = &batch[start..*end];
            start = *end;
            Piece { head, body, tail }
        })
    }

    /// Forgets the frames of the last batch.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Decides the cuts and writes all of every head but its counter; nothing is sealed yet.
    /// Returns the number of records.
    pub(super) fn plan(
        &mut self,
        batch: &[u8],
        mtu: Mtu,
        carrier: &[u8; SESSION_HEADER],
        receiver: SessionIndex,
    ) -> Result<u64, SessionDrop> {
        let room = frame_room(mtu);
        if room == 0 {
            return Err(SessionDrop::PathTooSmall);
        }
        let whole_records = cuts_super_packets(mtu);
        let mut records = Records { batch, end: 0, count: 0 };
        let mut start = 0;
        for piece in 0..MAX_PIECES {
            let end = match whole_records {
                true => records.cut(start, room)?,
                false => start + even_part(batch.len() - start, room),
            };
            let continued = records.end.min(end) - start;
            records.reach(end)?;
            let header = DataHeader {
                goes_on: records.end > end,
                continued: u16::try_from(continued).expect("a piece is below 32 KiB"),
                receiver,
                counter: 0,
            };
            write_head(&mut self.heads[piece], carrier, &header, end - start);
            self.ends[piece] = end;
            start = end;
            if end == batch.len() {
                self.len = piece + 1;
                return Ok(records.count);
            }
        }
        Err(SessionDrop::BatchTooLarge)
    }

    /// Hands every planned frame to `seal` with its counter, counting up from `first`: its header, its body where it
    /// lies, and room for its tag.
    pub(super) fn fill(
        &mut self,
        batch: &mut [u8],
        first: u64,
        seal: impl Fn(&[u8; DataHeader::LEN], u64, &mut [u8]) -> [u8; TAG],
    ) {
        let mut start = 0;
        let frames = self.heads.iter_mut().zip(&mut self.tags).zip(&self.ends).take(self.len);
        for (counter, ((head, tag), end)) in (first..).zip(frames) {
            head[HEAD - 8..].copy_from_slice(&counter.to_be_bytes());
            let header = head.last_chunk().expect("a head ends with the session header");
            *tag = seal(header, counter, &mut batch[start..*end]);
            start = *end;
        }
    }
}

impl Default for Sealed {
    fn default() -> Self {
        Self::new()
    }
}

fn write_head(head: &mut [u8; HEAD], carrier: &[u8; SESSION_HEADER], header: &DataHeader, body: usize) {
    let payload =
        u16::try_from(DataHeader::LEN + body + TAG).expect("frame_room() keeps payloads below 32 KiB");
    head[..SESSION_HEADER].copy_from_slice(carrier);
    head[SESSION_HEADER - 2..SESSION_HEADER].copy_from_slice(&payload.to_be_bytes());
    head[SESSION_HEADER..].copy_from_slice(&header.encode());
}

/// The largest batch that [`SendKey::seal`](super::SendKey::seal) takes for a path whatever its records are, in
/// bytes; 0 where frames have no room for any. At 576 bytes it is 120 085.
pub fn max_batch(path: Mtu) -> usize {
    let room = frame_room(path);
    if cuts_super_packets(path) {
        // A frame less than half full is followed by none, or follows one that had no room for what it holds, so that all
        // but one are half full on average.
        (MAX_PIECES - 1) * (room / 2)
    } else {
        MAX_PIECES * room
    }
}

/// The first of the fewest parts of equal size (or one byte less) that `len` bytes can be cut into; 0 of nothing.
fn even_part(len: usize, room: usize) -> usize {
    len.div_ceil(len.div_ceil(room).max(1))
}

/// Walks over the records of a batch by their lengths.
struct Records<'a> {
    batch: &'a [u8],
    /// Where the last record that was walked over ends.
    ///
    /// INVARIANT: not beyond the batch.
    end: usize,
    count: u64,
}

impl Records<'_> {
    /// Walks over every record that begins before `position`.
    fn reach(&mut self, position: usize) -> Result<(), SessionDrop> {
        while self.end < position
            && let Some(len) = self.len_at(self.end)?
        {
            self.end += len;
            self.count += 1;
        }
        Ok(())
    }

    /// Where a frame ends that begins at `start`, at or before the end of the last record: behind as many whole records
    /// as it holds, or within one that no frame holds.
    fn cut(&self, start: usize, room: usize) -> Result<usize, SessionDrop> {
        let mut end = self.end;
        if end - start > room {
            return Ok(start + even_part(end - start, room));
        }
        while let Some(len) = self.len_at(end)? {
            if end == start && len > room {
                return Ok(start + even_part(len, room));
            }
            if end + len - start > room {
                break;
            }
            end += len;
        }
        Ok(end)
    }

    /// The length of the record at `position` with its header; nothing at the end of the batch.
    fn len_at(&self, position: usize) -> Result<Option<usize>, SessionDrop> {
        let rest = &self.batch[position..];
        if rest.is_empty() {
            return Ok(None);
        }
        let header = rest.first_chunk().ok_or(SessionDrop::MalformedRecord)?;
        let header = RecordHeader::decode(header).map_err(|_| SessionDrop::MalformedRecord)?;
        let len = RecordHeader::LEN + usize::from(header.length);
        if len > rest.len() { Err(SessionDrop::MalformedRecord) } else { Ok(Some(len)) }
    }
}

#[cfg(test)]
mod tests;
