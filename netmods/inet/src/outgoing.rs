// SPDX-License-Identifier: AGPL-3.0-or-later
//! What leaves over one link: straight into the socket while it takes everything. Otherwise control waits in a bounded
//! queue, and of data the rest of the one call that did not fit; until that is gone, no data is taken.
//!
//! Knows no socket: whoever calls passes a function that writes as much as it can at once, as `writev` does.

mod begun;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::ops::Range;

use netmod_api::{Class, FrameParts, MAX_UNIT, Sent};

use crate::deframer::PREFIX;
use crate::outgoing::begun::Begun;
use crate::path::Writes;

/// Bytes of waiting control frames: 600 echoes, minutes of them; more means that the peer does not read.
const CONTROL_LIMIT: usize = 64 * 1024;
/// What a queue keeps allocated however few bytes wait, above any call of frames that are not tiny; the rest goes
/// back while a burst ends.
const KEPT: usize = 256 * 1024;
/// Frames handed to one `writev`: four slices each, 256 of the 1024 that Linux takes (`UIO_MAXIOV`).
const BATCH: usize = 64;

/// A function that writes some of the bytes without blocking, in order, as `writev` does.
pub(crate) trait Writev: FnMut(&[IoSlice<'_>]) -> io::Result<usize> {}
impl<F: FnMut(&[IoSlice<'_>]) -> io::Result<usize>> Writev for F {}

/// The way out of one link.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The largest frame of the link, in bytes.
    mtu: usize,
    /// The rest of a frame whose beginning is on the wire: always next, whatever its class.
    started: VecDeque<u8>,
    control: Queue,
    /// What the socket did not take of the last call.
    data: Queue,
    begun: Begun,
    /// Whether data was refused, so that somebody waits to be told that it is taken again.
    refused: bool,
    /// Whether no data is taken, so that the link falls idle.
    held: bool,
    /// Whether no data is taken until the socket has room.
    full: bool,
    writes: Writes,
    written: u64,
    dropped: u64,
}

impl Outgoing {
    pub(crate) fn new(mtu: usize) -> Self {
        Self {
            mtu,
            started: VecDeque::new(),
            control: Queue::default(),
            data: Queue::default(),
            begun: Begun::new(),
            refused: false,
            held: false,
            full: false,
            writes: Writes::Any,
            written: 0,
            dropped: 0,
        }
    }

    /// Whether data would be taken; who hears no is told later ([`Outgoing::take_refused`]).
    pub(crate) fn ready(&mut self) -> bool {
        let ready = self.takes_data();
        self.refused |= !ready;
        ready
    }

    /// The same, for a socket that is asked whether it has room before it gets whole calls.
    pub(crate) fn ready_if(&mut self, has_room: impl FnOnce() -> bool) -> bool {
        self.full |= self.writes == Writes::Whole && self.takes_data() && !has_room();
        self.ready()
    }

    fn takes_data(&self) -> bool {
        !self.held && !self.is_busy()
    }

    /// Whether the socket has to be waited for: something waits for it, or would if it were taken.
    pub(crate) fn is_busy(&self) -> bool {
        self.full || self.waits()
    }

    /// Asks the socket once more if it had no room.
    pub(crate) fn ask_again(&mut self, has_room: impl FnOnce() -> bool) {
        self.full = self.full && !has_room();
    }

    /// Takes no data until it is let go; control goes on.
    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Whether data was refused that would be taken now; said once.
    pub(crate) fn take_refused(&mut self) -> bool {
        self.takes_data() && mem::take(&mut self.refused)
    }

    /// Whether something waits for the socket.
    pub(crate) fn waits(&self) -> bool {
        self.waiting() > 0
    }

    /// Hands the socket as much at once as this says from now on.
    pub(crate) fn set_writes(&mut self, writes: Writes) {
        self.writes = writes;
    }

    /// Bytes handed to one write; `usize::MAX` where nothing bounds them.
    pub(crate) fn at_once(&self) -> usize {
        match self.writes {
            Writes::Any | Writes::Whole => usize::MAX,
            Writes::Cut(bytes) => bytes,
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.started.len() + self.control.bytes.len() + self.data.bytes.len()
    }

    /// Bytes that the socket took so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Frames dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Drops what waits, which nobody will send, and gives its memory back; nobody is told.
    pub(crate) fn discard(&mut self) {
        self.started = VecDeque::new();
        self.control = Queue::default();
        self.data = Queue::default();
        self.refused = false;
    }

    /// Counts frames that nobody will send.
    pub(crate) fn drop_frames(&mut self, count: usize) -> Sent {
        self.dropped += u64::try_from(count).unwrap_or(u64::MAX);
        Sent { accepted: 0, dropped: count }
    }

    /// Writes frames while nothing waits and keeps the others; data only if nothing waits at the beginning.
    ///
    /// # Errors
    /// What `write` fails with; then the link is of no use any more.
    pub(crate) fn send(
        &mut self,
        class: Class,
        frames: &[FrameParts<'_>],
        mut write: impl Writev,
    ) -> io::Result<Sent> {
        if class == Class::Data {
            if !self.ready() {
                return Ok(Sent::default());
            }
            if frames.iter().map(FrameParts::len).sum::<usize>() > MAX_UNIT {
                return Ok(self.drop_frames(frames.len()));
            }
        }
        let mut sent = Sent::default();
        let mut rest = frames;
        while let Some(first) = rest.first() {
            if first.len() > self.mtu {
                sent += self.drop_frames(1);
                rest = &rest[1..];
                continue;
            }
            if self.waits() {
                sent += self.enqueue(class, first);
                rest = &rest[1..];
                continue;
            }
            let batch = rest.iter().take(BATCH).take_while(|frame| frame.len() <= self.mtu).count();
            let taken = self.write_batch(class, &rest[..batch], &mut write)?;
            sent.accepted += taken;
            rest = &rest[taken..];
            if taken < batch && !self.waits() {
                // The socket took whole frames only, or nothing: the next one waits.
                sent += self.enqueue(class, &rest[0]);
                rest = &rest[1..];
            }
        }
        Ok(sent)
    }

    /// Writes what waits until nothing does or the socket takes no more.
    ///
    /// # Errors
    /// What `write` fails with; then the link is of no use any more.
    pub(crate) fn flush(&mut self, mut write: impl Writev) -> io::Result<()> {
        while self.waits() {
            let (started, more) = self.started.as_slices();
            let (control, more_control) = self.control.bytes.as_slices();
            let (data, more_data) = self.data.bytes.as_slices();
            let mut room = self.at_once();
            let slices = [started, more, control, more_control, data, more_data]
                .map(|piece| IoSlice::new(cut(piece, &mut room)));
            let Some(count) = write_some(&slices, &mut write)? else { return Ok(()) };
            self.consume(count);
        }
        Ok(())
    }

    /// Hands a batch to the socket and returns how many frames went at least in part; what a frame lacks is started.
    fn write_batch(
        &mut self,
        class: Class,
        frames: &[FrameParts<'_>],
        write: &mut impl Writev,
    ) -> io::Result<usize> {
        let mut prefixes = [[0; PREFIX]; BATCH];
        for (prefix, frame) in prefixes.iter_mut().zip(frames) {
            *prefix = prefix_of(frame);
        }
        let mut slices = [IoSlice::new(&[]); 4 * BATCH];
        let (mut used, mut room) = (0, self.at_once());
        for (prefix, frame) in prefixes.iter().zip(frames) {
            let [head, body, tail] = frame.pieces();
            let pieces = [&prefix[..], head, body, tail].map(|piece| cut(piece, &mut room));
            for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
                slices[used] = IoSlice::new(piece);
                used += 1;
            }
        }
        let Some(mut count) = write_some(&slices[..used], write)? else { return Ok(0) };
        self.written += u64::try_from(count).unwrap_or(u64::MAX);
        for (index, (prefix, frame)) in prefixes.iter().zip(frames).enumerate() {
            let length = PREFIX + frame.len();
            if count == 0 {
                return Ok(index);
            }
            self.begun.push(class, length);
            if count < length {
                self.start(prefix, frame, count);
                return Ok(index + 1);
            }
            count -= length;
        }
        Ok(frames.len())
    }

    /// Keeps what the socket did not take of a frame.
    fn start(&mut self, prefix: &[u8], frame: &FrameParts<'_>, mut on_the_wire: usize) {
        let [head, body, tail] = frame.pieces();
        for piece in [prefix, head, body, tail] {
            let skipped = on_the_wire.min(piece.len());
            on_the_wire -= skipped;
            self.started.extend(&piece[skipped..]);
        }
    }

    fn enqueue(&mut self, class: Class, frame: &FrameParts<'_>) -> Sent {
        match class {
            Class::Control if self.control.bytes.len() + PREFIX + frame.len() > CONTROL_LIMIT => {
                return self.drop_frames(1);
            }
            Class::Control => self.control.push(frame),
            Class::Data => self.data.push(frame),
        }
        Sent { accepted: 1, dropped: 0 }
    }

    /// Takes written bytes off, in the order of [`Outgoing::flush`].
    fn consume(&mut self, mut count: usize) {
        self.written += u64::try_from(count).unwrap_or(u64::MAX);
        let from_started = count.min(self.started.len());
        self.started.drain(..from_started);
        count -= from_started;
        for (class, queue) in [(Class::Control, &mut self.control), (Class::Data, &mut self.data)] {
            count = queue.consume(count, &mut self.started, |length| self.begun.push(class, length));
        }
    }

    /// What the peer's end has not got: of the bytes that the kernel holds, and of what waits for it.
    pub(crate) fn unacknowledged(&self, in_kernel: Vec<u8>) -> Unacknowledged {
        let mut bytes = in_kernel;
        bytes.extend(&self.started);
        let (mut frames, mut end) = (Vec::new(), bytes.len());
        for (length, data) in self.begun.newest_first() {
            let Some(start) = end.checked_sub(length) else { break };
            if data {
                frames.push(start + PREFIX..end);
            }
            end = start;
        }
        frames.reverse();
        let mut start = 0;
        while start < self.data.bytes.len() {
            let length = self.data.length_at(start);
            frames.push(bytes.len() + PREFIX..bytes.len() + length);
            bytes.extend(self.data.bytes.range(start..start + length));
            start += length;
        }
        Unacknowledged { bytes, frames }
    }
}

/// Whole frames of data that the peer's end has not acknowledged.
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    bytes: Vec<u8>,
    /// Where they lie, oldest first.
    frames: Vec<Range<usize>>,
}

impl Unacknowledged {
    /// Oldest first.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().map(|range| &self.bytes[range.clone()])
    }
}

/// Frames that wait, each behind its length.
#[derive(Debug, Default)]
struct Queue {
    /// INVARIANT: whole frames, each behind its length.
    bytes: VecDeque<u8>,
}

impl Queue {
    fn push(&mut self, frame: &FrameParts<'_>) {
        self.bytes.extend(&prefix_of(frame));
        for piece in frame.pieces() {
            self.bytes.extend(piece);
        }
    }

    /// Takes off `count` written bytes, tells the length of every frame that was begun and returns how many bytes were
    /// not from here; of a frame that was cut, the rest moves to `started`.
    fn consume(&mut self, count: usize, started: &mut VecDeque<u8>, mut begun: impl FnMut(usize)) -> usize {
        let mut whole = 0;
        while whole < count.min(self.bytes.len()) {
            let end = whole + self.length_at(whole);
            begun(end - whole);
            if end > count {
                started.extend(self.bytes.range(count..end));
                self.take_off(end);
                return 0;
            }
            whole = end;
        }
        self.take_off(whole);
        count - whole
    }

    /// What stays allocated is at most four times what waits, and moved only when it halves.
    fn take_off(&mut self, count: usize) {
        self.bytes.drain(..count);
        if self.bytes.len() < self.bytes.capacity() / 4 {
            self.bytes.shrink_to(KEPT.max(2 * self.bytes.len()));
        }
    }

    fn length_at(&self, start: usize) -> usize {
        let prefix = [0, 1, 2, 3].map(|offset| self.bytes[start + offset]);
        PREFIX
            + usize::try_from(u32::from_be_bytes(prefix))
                .expect("INVARIANT: a queued frame is below the limit")
    }
}

fn prefix_of(frame: &FrameParts<'_>) -> [u8; PREFIX] {
    u32::try_from(frame.len()).expect("INVARIANT: frames above the limit are not queued").to_be_bytes()
}

/// As much of a piece as there is room, which it takes.
fn cut<'a>(piece: &'a [u8], room: &mut usize) -> &'a [u8] {
    let length = piece.len().min(*room);
    *room -= length;
    &piece[..length]
}

/// One write; nothing when the socket takes nothing now.
fn write_some(slices: &[IoSlice<'_>], write: &mut impl Writev) -> io::Result<Option<usize>> {
    loop {
        match write(slices) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
