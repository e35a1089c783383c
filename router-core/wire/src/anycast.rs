// SPDX-License-Identifier: AGPL-3.0-or-later
//! Anycast, mode 128: who takes part in a namespace is asked by a probe to the namespace, which is flooded, and answers with a frame to who
//! asked, which is routed (source: wire page, freshness; `router-core/decisions/who-of-a-namespace-is-there.md`).

use ratman_types::{Address, Namespace, Signature, WallTime};

use crate::{DecodeError, Reader, Writer};

const PROBE_DOMAIN: &[u8] = b"irdest anycast 1";
const ANSWER_DOMAIN: &[u8] = b"irdest anycast answer 1";

/// The question who of a namespace is there: time 8 ‖ nonce 8 ‖ proof 64.
///
/// The frame's recipient is the namespace, its sender is who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The asker's corrected time.
    pub time: WallTime,
    /// Random: what tells this question from the asker's others.
    pub nonce: u64,
    /// The namespace's, over [`Probe::proven_bytes`]: only who holds its key learns who else does.
    pub proof: Signature,
}

impl Probe {
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
        let nonce = reader.u64("nonce")?;
        let proof = Signature(reader.array("proof")?);
        reader.end()?;
        Ok(Self { time, nonce, proof })
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        Writer::new(buffer).u64(self.time.as_micros()).u64(self.nonce).bytes(&self.proof.0);
    }
}

/// The answer of one who takes part: time 8 ‖ the probe's time 8 ‖ its nonce 8 ‖ proof 64.
///
/// The frame's recipient is who asked, its sender is who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// The sender's corrected time.
    pub time: WallTime,
    /// The probe's.
    pub asked: WallTime,
    /// The probe's.
    pub nonce: u64,
    /// The namespace's, over [`ProbeAnswer::proven_bytes`]: who does not hold its key does not take part.
    pub proof: Signature,
}

impl ProbeAnswer {
    /// What the key of the namespace signs: domain ‖ member 32 ‖ asker 32 ‖ the probe's time ‖ its nonce.
    pub fn proven_bytes(member: &Address, asker: &Address, asked: WallTime, nonce: u64) -> Vec<u8> {
        let mut bytes = ANSWER_DOMAIN.to_vec();
        let mut writer = Writer::new(&mut bytes);
        writer.bytes(member.as_bytes()).bytes(asker.as_bytes()).u64(asked.as_micros()).u64(nonce);
        bytes
    }

    /// Parses exactly one payload.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(payload);
        let time = WallTime::from_micros(reader.u64("time")?);
        let asked = WallTime::from_micros(reader.u64("time of the probe")?);
        let nonce = reader.u64("nonce")?;
        let proof = Signature(reader.array("proof")?);
        reader.end()?;
        Ok(Self { time, asked, nonce, proof })
    }

    /// Appends the payload.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) {
        let mut writer = Writer::new(buffer);
        writer.u64(self.time.as_micros()).u64(self.asked.as_micros()).u64(self.nonce).bytes(&self.proof.0);
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
        let probe = Probe { time: TIME, nonce: NONCE, proof: PROOF };
        let golden = [&bytes(1)[..], &bytes(0x21), &[0x33; 64]].concat();
        let mut buffer = vec![0xEE];
        probe.encode_into(&mut buffer);
        assert_eq!(buffer, [&[0xEE][..], &golden].concat(), "what the buffer held stays");
        assert_eq!(Probe::decode(&golden), Ok(probe));
        let (asker, namespace) = (Address::from_bytes([4; 32]), Namespace::from_bytes([5; 32]));
        let proven = [b"irdest anycast 1", &[4; 32][..], &[5; 32], &bytes(1), &bytes(0x21)].concat();
        assert_eq!(Probe::proven_bytes(&asker, &namespace, TIME, NONCE), proven);
    }

    #[test]
    fn golden_bytes_of_an_answer() {
        let answer = ProbeAnswer { time: LATER, asked: TIME, nonce: NONCE, proof: PROOF };
        let golden = [&bytes(0x11)[..], &bytes(1), &bytes(0x21), &[0x33; 64]].concat();
        let mut buffer = Vec::new();
        answer.encode_into(&mut buffer);
        assert_eq!(buffer, golden);
        assert_eq!(ProbeAnswer::decode(&golden), Ok(answer));
        let (member, asker) = (Address::from_bytes([6; 32]), Address::from_bytes([4; 32]));
        let proven = [b"irdest anycast answer 1", &[6; 32][..], &[4; 32], &bytes(1), &bytes(0x21)].concat();
        assert_eq!(ProbeAnswer::proven_bytes(&member, &asker, TIME, NONCE), proven);
    }

    #[test]
    fn other_lengths_are_refused() {
        let any = [0; 100];
        for length in 0..100 {
            assert_eq!(Probe::decode(&any[..length]).is_ok(), length == 80, "{length}");
            assert_eq!(ProbeAnswer::decode(&any[..length]).is_ok(), length == 88, "{length}");
        }
        assert_eq!(Probe::decode(&any[..81]), Err(DecodeError::Trailing(1)));
        assert_eq!(Probe::decode(&any[..79]), Err(DecodeError::Truncated { field: "proof", missing: 1 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 78..91)) {
            fuzz_anycast(&bytes);
        }
    }
}
