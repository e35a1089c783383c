// SPDX-License-Identifier: AGPL-3.0-or-later
//! Changes of a sample: random bytes alone hardly come past the first field of any parser.

use bolero::TypeGenerator;

/// Which sample to take, and what to do to it.
#[derive(Clone, Debug, TypeGenerator)]
pub(crate) struct Mutation {
    sample: u16,
    steps: Vec<Step>,
}

/// One change; places are taken modulo the length.
#[derive(Clone, Debug, TypeGenerator)]
enum Step {
    /// Another value at a place.
    Set { at: u16, value: u8 },
    /// One bit the other way.
    Flip { at: u16, bit: u8 },
    /// Nothing after the place.
    Cut { at: u16 },
    /// More bytes at a place.
    Insert { at: u16, bytes: Vec<u8> },
    /// The rest from another sample.
    Splice { at: u16, sample: u16, from: u16 },
}

impl Mutation {
    /// The changed sample; any bytes where there is no sample.
    pub(crate) fn apply(&self, samples: &[Vec<u8>]) -> Vec<u8> {
        let mut data = pick(samples, self.sample).to_vec();
        for step in &self.steps {
            step.apply(&mut data, samples);
        }
        data
    }
}

impl Step {
    fn apply(&self, data: &mut Vec<u8>, samples: &[Vec<u8>]) {
        match self {
            Self::Set { at, value } => {
                if let Some(byte) = byte_at(data, *at) {
                    *byte = *value;
                }
            }
            Self::Flip { at, bit } => {
                if let Some(byte) = byte_at(data, *at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Cut { at } => data.truncate(place(*at, data.len())),
            Self::Insert { at, bytes } => {
                let at = place(*at, data.len());
                data.splice(at..at, bytes.iter().copied());
            }
            Self::Splice { at, sample, from } => {
                let other = pick(samples, *sample);
                data.truncate(place(*at, data.len()));
                data.extend(&other[place(*from, other.len())..]);
            }
        }
    }
}

fn pick(samples: &[Vec<u8>], number: u16) -> &[u8] {
    match samples.len() {
        0 => &[],
        count => &samples[usize::from(number) % count],
    }
}

fn byte_at(data: &mut [u8], at: u16) -> Option<&mut u8> {
    let length = data.len();
    data.get_mut(usize::from(at).checked_rem(length)?)
}

/// A place between two bytes, or before or after all of them.
fn place(at: u16, length: usize) -> usize {
    usize::from(at) % (length + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(step: Step) -> Vec<u8> {
        Mutation { sample: 0, steps: vec![step] }.apply(&[vec![1, 2, 3], vec![7, 8]])
    }

    #[test]
    fn each_step_changes_what_it_says() {
        assert_eq!(after(Step::Set { at: 4, value: 9 }), [1, 9, 3]);
        assert_eq!(after(Step::Flip { at: 0, bit: 9 }), [3, 2, 3]);
        assert_eq!(after(Step::Cut { at: 1 }), [1]);
        assert_eq!(after(Step::Insert { at: 3, bytes: vec![4] }), [1, 2, 3, 4]);
        assert_eq!(after(Step::Splice { at: 1, sample: 3, from: 1 }), [1, 8]);
    }

    #[test]
    fn nothing_can_be_changed_too() {
        let steps = vec![Step::Set { at: 1, value: 1 }, Step::Flip { at: 1, bit: 1 }, Step::Cut { at: 1 }];
        assert!(Mutation { sample: 1, steps }.apply(&[]).is_empty());
    }
}
