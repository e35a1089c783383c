// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which frames we sent a moment ago, so that a path report about one of them is known from a forged one: only who saw the
//! frame knows its tag.
//!
//! One word per frame in a ring, written by the thread that sealed it, without a lock. The ring grows with the
//! first frames of a key, so that an idle session costs one chunk and not the whole.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::OnceLock;

use ratman_types::Mtu;

use super::SessionDrop;
use super::cipher::TAG;

/// How many of the last frames of a key may be quoted (source: wire page).
const REMEMBERED: u64 = 1 << 16;
/// How old a quoted frame may be (source: wire page), and up to two units more, since times are coarse.
const MAX_AGE: Duration = Duration::from_secs(10);

/// Words in one allocation, 8 KiB.
const CHUNK: u64 = 1024;

/// The bits of a word: 36 of the tag (nobody guesses them at ten reports a second) ‖ 12 of the age of the key, in units of
/// 65 536 µs (a key lives for 2747 of them) ‖ 16 of the frame's length.
const AGE_SHIFT: u32 = 16;
const TAG_SHIFT: u32 = 28;
const AGE_UNIT: u32 = 16;

/// The last frames of one key.
pub(super) struct SentFrames {
    chunks: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

/// What was remembered of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Remembered {
    tag: u64,
    age: u64,
    length: u64,
}

impl SentFrames {
    /// Nothing was sent yet; 1 KiB.
    pub(super) fn new() -> Self {
        Self { chunks: (0..REMEMBERED / CHUNK).map(|_| OnceLock::new()).collect() }
    }

    /// Remembers the frame `counter` of `length` bytes, sealed when its key was `age` old.
    pub(super) fn remember(&self, counter: u64, tag: &[u8; TAG], age: Duration, length: usize) {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let word = Remembered { tag: short(tag), age: units(age), length }.to_word();
        let (chunk, slot) = place(counter);
        let chunk = self.chunks[chunk].get_or_init(|| (0..CHUNK).map(|_| AtomicU64::new(0)).collect());
        chunk[slot].store(word, Ordering::Relaxed);
    }

    /// Whether `counter` with `tag` is one of the last frames, when `next` is the counter of the next frame and the key is
    /// `age` old; returns how long the frame was.
    pub(super) fn find(
        &self,
        counter: u64,
        tag: &[u8; TAG],
        next: u64,
        age: Duration,
    ) -> Result<Mtu, SessionDrop> {
        if counter >= next {
            return Err(SessionDrop::ReportNotOurs);
        }
        if next - counter > REMEMBERED {
            return Err(SessionDrop::ReportTooOld);
        }
        let (chunk, slot) = place(counter);
        let word = self.chunks[chunk].get().map_or(0, |chunk| chunk[slot].load(Ordering::Relaxed));
        let remembered = Remembered::from_word(word);
        if remembered.tag != short(tag) {
            return Err(SessionDrop::ReportForged);
        }
        if units(age).saturating_sub(remembered.age) > units(MAX_AGE) + 1 {
            return Err(SessionDrop::ReportTooOld);
        }
        Ok(Mtu(u32::try_from(remembered.length).expect("16 bits")))
    }
}

impl core::fmt::Debug for SentFrames {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SentFrames").finish_non_exhaustive()
    }
}

impl Remembered {
    fn to_word(self) -> u64 {
        self.tag << TAG_SHIFT
            | low(self.age, TAG_SHIFT - AGE_SHIFT) << AGE_SHIFT
            | low(self.length, AGE_SHIFT)
    }

    fn from_word(word: u64) -> Self {
        Self {
            tag: word >> TAG_SHIFT,
            age: low(word >> AGE_SHIFT, TAG_SHIFT - AGE_SHIFT),
            length: low(word, AGE_SHIFT),
        }
    }
}

fn low(value: u64, bits: u32) -> u64 {
    value & ((1 << bits) - 1)
}

/// As much of a tag as a word has room for.
fn short(tag: &[u8; TAG]) -> u64 {
    let (start, _) = tag.split_first_chunk().expect("a tag is longer than a word");
    u64::from_be_bytes(*start) >> TAG_SHIFT
}

fn units(age: Duration) -> u64 {
    u64::try_from(age.as_micros()).unwrap_or(u64::MAX) >> AGE_UNIT
}

fn place(counter: u64) -> (usize, usize) {
    let slot = counter % REMEMBERED;
    let index = |value: u64| usize::try_from(value).expect("below REMEMBERED");
    (index(slot / CHUNK), index(slot % CHUNK))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn tag(number: u64) -> [u8; TAG] {
        [number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes(), [0; 8]].concat().try_into().unwrap()
    }

    #[test]
    fn the_last_65_536_frames_may_be_quoted() {
        let sent = SentFrames::new();
        for counter in 0..70_000 {
            sent.remember(counter, &tag(counter), SECOND, 1500);
        }
        let find = |counter| sent.find(counter, &tag(counter), 70_000, SECOND);
        assert_eq!(find(70_000), Err(SessionDrop::ReportNotOurs));
        assert_eq!(find(69_999), Ok(Mtu(1500)));
        assert_eq!(find(70_000 - 65_536), Ok(Mtu(1500)));
        assert_eq!(find(70_000 - 65_537), Err(SessionDrop::ReportTooOld));
        assert_eq!(sent.find(69_999, &tag(1), 70_000, SECOND), Err(SessionDrop::ReportForged));
    }

    #[test]
    fn a_quoted_frame_is_at_most_ten_seconds_old() {
        let sent = SentFrames::new();
        sent.remember(3, &tag(3), 100 * SECOND, 33_004);
        let find = |age| sent.find(3, &tag(3), 4, age);
        assert_eq!(find(100 * SECOND), Ok(Mtu(33_004)));
        assert_eq!(find(110 * SECOND), Ok(Mtu(33_004)));
        assert_eq!(find(110 * SECOND + Duration::from_millis(200)), Err(SessionDrop::ReportTooOld));
        assert_eq!(find(180 * SECOND), Err(SessionDrop::ReportTooOld));
    }

    #[test]
    fn an_idle_session_costs_one_chunk() {
        let sent = SentFrames::new();
        for counter in 0..1024 {
            sent.remember(counter, &tag(counter), SECOND, 106);
        }
        assert_eq!(sent.chunks.iter().filter(|chunk| chunk.get().is_some()).count(), 1);
        assert_eq!(
            sent.find(2000, &tag(2000), 3000, SECOND),
            Err(SessionDrop::ReportForged),
            "never written"
        );
    }

    proptest! {
        #[test]
        fn a_word_keeps_what_was_put_in(tag in 0..1_u64 << 36, age in 0..1_u64 << 12, length in 0..1_u64 << 16) {
            let remembered = Remembered { tag, age, length };
            prop_assert_eq!(Remembered::from_word(remembered.to_word()), remembered);
        }
    }
}
