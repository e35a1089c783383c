// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a probe says, and how it is known again.

use std::time::Duration;

/// How the content begins: a word and the version of what follows.
const MAGIC: &[u8; 8] = b"irdping\x01";

/// Which run of the program a probe belongs to: 16 random bytes, so that nobody answers what they did not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunId(pub(super) [u8; 16]);

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// From 1 on.
    pub(super) seq: u64,
    /// When it was sent, counted from the beginning of the run, in whole microseconds.
    pub(super) sent: Duration,
}

impl Probe {
    /// What the shortest content has: magic 8 ‖ run 16 ‖ seq u64 ‖ sent u64 in µs, all big endian. What is above counts up from 0 to 255
    /// and again, so that a changed byte is noticed.
    pub(super) const MIN_SIZE: usize = 40;

    /// The content, `size` bytes or [`MIN_SIZE`](Self::MIN_SIZE), whichever is more.
    pub(super) fn encode(self, run: RunId, size: usize) -> Vec<u8> {
        let micros = u64::try_from(self.sent.as_micros()).expect("invariant: no run takes 500,000 years");
        let mut content = Vec::with_capacity(size.max(Self::MIN_SIZE));
        content.extend_from_slice(MAGIC);
        content.extend_from_slice(&run.0);
        content.extend_from_slice(&self.seq.to_be_bytes());
        content.extend_from_slice(&micros.to_be_bytes());
        content.extend(padding().take(size.saturating_sub(Self::MIN_SIZE)));
        content
    }

    /// The probe of this run whose content it is, if it is one and came back as it went.
    pub(super) fn decode(run: RunId, content: &[u8]) -> Option<Self> {
        let (magic, rest) = content.split_first_chunk::<8>()?;
        let (of_run, rest) = rest.split_first_chunk::<16>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let (micros, rest) = rest.split_first_chunk::<8>()?;
        let is_ours = magic == MAGIC && *of_run == run.0 && padding().zip(rest).all(|(want, is)| want == *is);
        let sent = Duration::from_micros(u64::from_be_bytes(*micros));
        is_ours.then(|| Self { seq: u64::from_be_bytes(*seq), sent })
    }
}

/// Whether a content is that of a probe, of whichever run.
pub(super) fn is_probe(content: &[u8]) -> bool {
    content.len() >= Probe::MIN_SIZE && content.starts_with(MAGIC)
}

fn padding() -> impl Iterator<Item = u8> {
    (0..=u8::MAX).cycle()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RUN: RunId = RunId([7; 16]);

    proptest! {
        #[test]
        fn what_comes_back_unchanged_is_known(seq: u64, micros: u64, size in 0_usize..2000) {
            let probe = Probe { seq, sent: Duration::from_micros(micros) };
            let content = probe.encode(RUN, size);
            prop_assert_eq!(content.len(), size.max(Probe::MIN_SIZE));
            prop_assert_eq!(Probe::decode(RUN, &content), Some(probe));
            prop_assert_eq!(Probe::decode(RunId([8; 16]), &content), None);
            prop_assert!(is_probe(&content));
            prop_assert_eq!(Probe::decode(RUN, &content[..39]), None);
        }

        #[test]
        fn bytes_cannot_hurt(content: Vec<u8>) {
            prop_assert_eq!(Probe::decode(RUN, &content), None);
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let content = Probe { seq: 1, sent: Duration::ZERO }.encode(RUN, 400);
        for index in (0..24).chain(40..400) {
            let mut changed = content.clone();
            changed[index] ^= 1;
            assert_eq!(Probe::decode(RUN, &changed), None, "byte {index}");
        }
    }
}
