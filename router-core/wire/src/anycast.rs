// SPDX-License-Identifier: AGPL-3.0-or-later
//! Anycast, mode 128: who takes part in a namespace is asked by a probe to the namespace, which is flooded, and answers with a frame to who
//! asked, which is routed (source: wire page, freshness; `router-core/decisions/who-of-a-namespace-is-there.md`).

use core::time::Duration;

use ratman_types::{Address, Namespace, Signature, WallTime};

use crate::stream::SEALING;
use crate::{DecodeError, Reader, Writer};

const PROBE_DOMAIN: &[u8] = b"irdest anycast 1";
const ANSWER_DOMAIN: &[u8] = b"irdest anycast answer 1";
const SEAL_DOMAIN: &[u8] = b"irdest anycast seal 1";

/// The question who of a namespace is there: time 8 ‖ window u32 ms ‖ nonce 8 ‖ proof 64.
///
/// The frame's recipient is the namespace, its sender is who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The asker's corrected time.
    pub time: WallTime,
    /// For how long answers are collected, in whole milliseconds; [`Probe::LONGEST_WINDOW`] at most.
    pub window: Duration,
    /// Random: what tells this question from the asker's others.
    pub nonce: u64,
    /// The namespace's, over [`Probe::proven_bytes`]: only who holds its key learns who else does.
    pub proof: Signature,
}

impl Probe {
    /// What its field holds: about 50 days.
    pub const LONGEST_WINDOW: Duration = Duration::from_millis(0xFFFF_FFFF);

    /// What the key of `namespace` signs: domain ‖ asker 32 ‖ namespace 32 ‖ time ‖ nonce.
    pub fn proven_bytes(asker: &Address, namespace: &Namespace, time: WallTime, nonce: u64) -> Vec<u8> {
        let mut bytes = PROBE_DOMAIN.to_vec();
        let mut writer = Writer::new(&mut bytes);
        writer.bytes(asker.as_bytes()).bytes(namespace.as_bytes()).u64(time.as_micros()).u64(nonce);
        bytes
    }

    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let time = WallTime::from_micros(reader.u64("time")?);
        let window = Duration::from_millis(reader.u32("window")?.into());
        let nonce = reader.u64("nonce")?;
        let proof = Signature(reader.array("proof")?);
        reader.end()?;
        Ok(Self { time, window, nonce, proof })
    }

    /// Appends the payload; a longer window is cut to the longest.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        let window = u32::try_from(self.window.as_millis()).unwrap_or(u32::MAX);
        Writer::new(buffer).u64(self.time.as_micros()).u32(window).u64(self.nonce).bytes(&self.proof.0);
    }
}

/// The answer of one who takes part, as it travels: time 8 ‖ [`ProbeAnswer`], sealed by the sender to who asked (Noise_K, as manifests are), with
/// [`SealedAnswer::prologue`].
///
/// The frame's recipient is who asked, its sender is who takes part: in what, only these two can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedAnswer<'a> {
    /// The sender's corrected time.
    pub time: WallTime,
    /// What is sealed; [`SealedAnswer::SEALED`] bytes.
    pub sealed: &'a [u8],
}

impl<'a> SealedAnswer<'a> {
    /// The length of what is sealed, in bytes.
    pub const SEALED: usize = ProbeAnswer::LENGTH + SEALING;

    /// What the seal holds beside the two keys: domain ‖ member 32 ‖ asker 32 ‖ time.
    pub fn prologue(member: &Address, asker: &Address, time: WallTime) -> Vec<u8> {
        let mut bytes = SEAL_DOMAIN.to_vec();
        Writer::new(&mut bytes).bytes(member.as_bytes()).bytes(asker.as_bytes()).u64(time.as_micros());
        bytes
    }

    /// Parses exactly one payload.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let time = WallTime::from_micros(reader.u64("time")?);
        let sealed = reader.bytes("what is sealed", Self::SEALED)?;
        reader.end()?;
        Ok(Self { time, sealed })
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        Writer::new(buffer).u64(self.time.as_micros()).bytes(self.sealed);
    }
}

/// What one who takes part tells the asker alone: the probe's time 8 ‖ its nonce 8 ‖ held u32 µs ‖ proof 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// The probe's.
    pub asked: WallTime,
    /// The probe's.
    pub nonce: u64,
    /// How long the sender waited before it answered, in whole microseconds: no part of the way there and back.
    pub held: Duration,
    /// The namespace's, over [`ProbeAnswer::proven_bytes`]: who does not hold its key does not take part.
    pub proof: Signature,
}

impl ProbeAnswer {
    /// Its length in bytes.
    pub const LENGTH: usize = 8 + 8 + 4 + 64;

    /// What the key of the namespace signs: domain ‖ member 32 ‖ asker 32 ‖ the probe's time ‖ its nonce.
    pub fn proven_bytes(member: &Address, asker: &Address, asked: WallTime, nonce: u64) -> Vec<u8> {
        let mut bytes = ANSWER_DOMAIN.to_vec();
        let mut writer = Writer::new(&mut bytes);
        writer.bytes(member.as_bytes()).bytes(asker.as_bytes()).u64(asked.as_micros()).u64(nonce);
        bytes
    }

    /// Parses exactly one plaintext.
    pub fn decode(plaintext: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(plaintext);
        let asked = WallTime::from_micros(reader.u64("time of the probe")?);
        let nonce = reader.u64("nonce")?;
        let held = Duration::from_micros(reader.u32("held")?.into());
        let proof = Signature(reader.array("proof")?);
        reader.end()?;
        Ok(Self { asked, nonce, held, proof })
    }

    /// Appends the plaintext; who waits for longer than the field holds, about an hour, is said to have waited so long.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        let held = u32::try_from(self.held.as_micros()).unwrap_or(u32::MAX);
        let mut writer = Writer::new(buffer);
        writer.u64(self.asked.as_micros()).u64(self.nonce).u32(held).bytes(&self.proof.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz_anycast;
    use proptest::prelude::*;

    const TIME: WallTime = WallTime::from_micros(0x0102_0304_0506_0708);
    const LATER: WallTime = WallTime::from_micros(0x1112_1314_1516_1718);
    const NONCE: u64 = 0x2122_2324_2526_2728;
    const PROOF: Signature = Signature([0x33; 64]);

    fn bytes(first: u8) -> [u8; 8] {
        core::array::from_fn(|index| first + u8::try_from(index).unwrap())
    }

    #[test]
    fn golden_bytes_of_a_probe() {
        let probe =
            Probe { time: TIME, window: Duration::from_millis(0x4142_4344), nonce: NONCE, proof: PROOF };
        let golden = [&bytes(1)[..], &[0x41, 0x42, 0x43, 0x44], &bytes(0x21), &[0x33; 64]].concat();
        let mut buffer = vec![0xEE];
        probe.encode_into(&mut buffer);
        assert_eq!(buffer, [&[0xEE][..], &golden].concat(), "what the buffer held stays");
        assert_eq!(Probe::decode(&golden), Ok(probe));
        let (asker, namespace) = (Address::from_bytes([4; 32]), Namespace::from_bytes([5; 32]));
        let proven = [b"irdest anycast 1", &[4; 32][..], &[5; 32], &bytes(1), &bytes(0x21)].concat();
        assert_eq!(Probe::proven_bytes(&asker, &namespace, TIME, NONCE), proven);
        buffer.clear();
        Probe { window: Duration::MAX, ..probe }.encode_into(&mut buffer);
        assert_eq!(Probe::decode(&buffer).map(|probe| probe.window), Ok(Probe::LONGEST_WINDOW));
    }

    #[test]
    fn golden_bytes_of_an_answer() {
        let held = Duration::from_micros(0x5152_5354);
        let answer = ProbeAnswer { asked: TIME, nonce: NONCE, held, proof: PROOF };
        let golden = [&bytes(1)[..], &bytes(0x21), &[0x51, 0x52, 0x53, 0x54], &[0x33; 64]].concat();
        let mut buffer = Vec::new();
        answer.encode_into(&mut buffer);
        assert_eq!(buffer, golden);
        assert_eq!(ProbeAnswer::decode(&golden), Ok(answer));
        let (member, asker) = (Address::from_bytes([6; 32]), Address::from_bytes([4; 32]));
        let proven = [b"irdest anycast answer 1", &[6; 32][..], &[4; 32], &bytes(1), &bytes(0x21)].concat();
        assert_eq!(ProbeAnswer::proven_bytes(&member, &asker, TIME, NONCE), proven);

        let sealed = [7; SealedAnswer::SEALED];
        let golden = [&bytes(0x11)[..], &sealed].concat();
        let answer = SealedAnswer { time: LATER, sealed: &sealed };
        buffer.clear();
        answer.encode_into(&mut buffer);
        assert_eq!(buffer, golden);
        assert_eq!(SealedAnswer::decode(&golden), Ok(answer));
        let prologue = [b"irdest anycast seal 1", &[6; 32][..], &[4; 32], &bytes(0x11)].concat();
        assert_eq!(SealedAnswer::prologue(&member, &asker, LATER), prologue);
    }

    #[test]
    fn other_lengths_are_refused() {
        let any = [0; 150];
        for length in 0..150 {
            assert_eq!(Probe::decode(&any[..length]).is_ok(), length == 84, "{length}");
            assert_eq!(ProbeAnswer::decode(&any[..length]).is_ok(), length == 84, "{length}");
            assert_eq!(SealedAnswer::decode(&any[..length]).is_ok(), length == 140, "{length}");
        }
        assert_eq!(Probe::decode(&any[..85]), Err(DecodeError::Trailing(1)));
        assert_eq!(Probe::decode(&any[..83]), Err(DecodeError::Truncated { field: "proof", missing: 1 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 82..143)) {
            fuzz_anycast(&bytes);
        }
    }
}
