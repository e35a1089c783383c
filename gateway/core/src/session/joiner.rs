// SPDX-License-Identifier: AGPL-3.0-or-later
//! Records out of opened frames: whole ones where they lie, those that were cut joined in one bounded buffer.
//!
//! One record at a time can be in the making: its parts have consecutive counters of one key and come in order on
//! every link that keeps order. Anything else drops it, so that no sender makes us hold more than one packet.

use ratman_wire::session::{DataHeader, RecordHeader, SessionIndex};

use super::{OpenedBytes, SessionDrop};

/// The largest record.
const MAX_RECORD: usize = RecordHeader::LEN + 65_535;

/// Takes a packet with the virtio-net metadata that it had at the sender.
pub(super) type Deliver<'frame, 'a> = dyn FnMut(&[u8; 10], OpenedBytes<'frame, '_>) + 'a;

/// The record of one remote that is in the making.
#[derive(Debug)]
pub(super) struct Joiner {
    /// Room for one record from the first one that was cut on; empty before.
    buffer: Box<[u8]>,
    filled: usize,
    /// The key and the counter of the frame that has the next part; nothing when no record is in the making.
    expected: Option<(SessionIndex, u64)>,
}

impl Joiner {
    /// Allocates nothing yet: most strangers never send a record that was cut.
    pub(super) fn new() -> Self {
        Self { buffer: Box::default(), filled: 0, expected: None }
    }

    /// Begins with the part of a record that `header`'s frame ends with.
    fn begin(&mut self, header: &DataHeader, part: &[u8]) -> Result<(), SessionDrop> {
        let abandoned = self.expected.take().is_some();
        self.filled = 0;
        if self.buffer.is_empty() {
            self.buffer = vec![0; MAX_RECORD].into_boxed_slice();
        }
        self.append(header, part)?;
        if abandoned { Err(SessionDrop::MissingPart) } else { Ok(()) }
    }

    /// Goes on with the part that `header`'s frame begins with; `last` if the record ends in it.
    fn go_on(
        &mut self,
        header: &DataHeader,
        part: &[u8],
        last: bool,
        deliver: &mut Deliver<'_, '_>,
    ) -> Result<(), SessionDrop> {
        if self.expected.take() != Some((header.receiver, header.counter)) {
            return Err(SessionDrop::MissingPart);
        }
        self.append(header, part)?;
        if !last {
            return Ok(());
        }
        self.expected = None;
        let (start, packet) = self.buffer[..self.filled]
            .split_first_chunk_mut::<{ RecordHeader::LEN }>()
            .ok_or(SessionDrop::MalformedRecord)?;
        let record = RecordHeader::decode(start).map_err(|_| SessionDrop::MalformedRecord)?;
        if usize::from(record.length) != packet.len() {
            return Err(SessionDrop::MalformedRecord);
        }
        deliver(&record.metadata, OpenedBytes::Joined(packet));
        Ok(())
    }

    fn append(&mut self, header: &DataHeader, part: &[u8]) -> Result<(), SessionDrop> {
        let end = self.filled + part.len();
        self.buffer.get_mut(self.filled..end).ok_or(SessionDrop::MalformedRecord)?.copy_from_slice(part);
        self.filled = end;
        self.expected = Some((header.receiver, header.counter + 1));
        Ok(())
    }
}

/// Delivers every record that `plain`, the opened body of `header`'s frame, completes.
///
/// `joiner` is asked for only if a record was cut. Whatever is wrong goes to `refuse`; the other records of the
/// frame are delivered nevertheless.
pub(super) fn deliver_records<'frame, J: core::ops::DerefMut<Target = Joiner>>(
    header: &DataHeader,
    plain: &'frame mut [u8],
    joiner: impl Fn() -> J,
    deliver: &mut Deliver<'frame, '_>,
    refuse: &mut dyn FnMut(SessionDrop),
) {
    let Some((continued, mut rest)) = plain.split_at_mut_checked(usize::from(header.continued)) else {
        return refuse(SessionDrop::MalformedRecord);
    };
    let through = rest.is_empty() && header.goes_on;
    if !continued.is_empty() {
        if let Err(drop) = joiner().go_on(header, continued, !through, deliver) {
            refuse(drop);
        }
        if through {
            return;
        }
    }
    while let Some(record) = whole_record(rest) {
        let (start, behind) = rest.split_first_chunk_mut::<{ RecordHeader::LEN }>().expect("a whole record");
        let (packet, behind) = behind.split_at_mut(usize::from(record.length));
        let metadata = start.last_chunk().expect("the header ends with the metadata");
        deliver(metadata, OpenedBytes::InFrame(packet));
        rest = behind;
    }
    // What is left is the beginning of a record if, and only if, the header says that one goes on.
    let outcome = match (rest.is_empty(), header.goes_on) {
        (true, false) => Ok(()),
        (false, true) => joiner().begin(header, rest),
        (true, true) | (false, false) => Err(SessionDrop::MalformedRecord),
    };
    if let Err(drop) = outcome {
        refuse(drop);
    }
}

/// The header of the record at the front, if all of that record is there.
fn whole_record(bytes: &[u8]) -> Option<RecordHeader> {
    let (start, behind) = bytes.split_first_chunk()?;
    let record = RecordHeader::decode(start).ok()?;
    (usize::from(record.length) <= behind.len()).then_some(record)
}

#[cfg(test)]
mod tests;
