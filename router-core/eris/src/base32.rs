// SPDX-License-Identifier: AGPL-3.0-or-later
//! Base32 of RFC 4648 without padding, in capitals: how read capabilities are written. It leaves no copies behind.

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Bits in a character.
const BITS: u32 = 5;

/// Appends the characters of some bytes; what they end with is filled up with zero bits.
pub(crate) fn encode(bytes: &[u8], text: &mut String) {
    let (mut buffer, mut held) = (0_u16, 0);
    for byte in bytes {
        buffer = buffer << 8 | u16::from(*byte);
        held += 8;
        while held >= BITS {
            held -= BITS;
            text.push(character(buffer >> held));
        }
    }
    if held > 0 {
        text.push(character(buffer << (BITS - held)));
    }
}

/// Fills `bytes` from a text of exactly as many characters as [`encode`] makes of them, or says no: other characters,
/// small letters, and filling bits that are not zero.
pub(crate) fn decode(text: &str, bytes: &mut [u8]) -> Option<()> {
    if text.len() != (bytes.len() * 8).div_ceil(5) {
        return None;
    }
    let (mut buffer, mut held) = (0_u16, 0);
    let mut places = bytes.iter_mut();
    for character in text.bytes() {
        buffer = (buffer << BITS | value(character)?) & 0x1FFF;
        held += BITS;
        if held >= 8 {
            held -= 8;
            let [_, byte] = (buffer >> held).to_be_bytes();
            *places.next()? = byte;
        }
    }
    (buffer & ((1 << held) - 1) == 0).then_some(())
}

fn character(bits: u16) -> char {
    char::from(ALPHABET[usize::from(bits & 0x1F)])
}

fn value(character: u8) -> Option<u16> {
    Some(match character {
        b'A'..=b'Z' => u16::from(character - b'A'),
        b'2'..=b'7' => u16::from(character - b'2') + 26,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut text = String::new();
        encode(bytes, &mut text);
        text
    }

    #[test]
    fn the_examples_of_the_rfc_hold() {
        let examples = ["", "MY", "MZXQ", "MZXW6", "MZXW6YQ", "MZXW6YTB", "MZXW6YTBOI"];
        for (length, example) in examples.into_iter().enumerate() {
            assert_eq!(encoded(&b"foobar"[..length]), example);
        }
    }

    #[test]
    fn only_one_text_stands_for_some_bytes() {
        let mut byte = [0; 1];
        assert_eq!(decode("MY", &mut byte), Some(()));
        assert_eq!(byte, *b"f");
        for other in ["MZ", "my", "M", "MYA", "M1", "M=", "MY======", "Mé", ""] {
            assert_eq!(decode(other, &mut byte), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut decoded = vec![0; bytes.len()];
            prop_assert_eq!(decode(&encoded(&bytes), &mut decoded), Some(()));
            prop_assert_eq!(decoded, bytes);
        }

        #[test]
        fn what_decodes_encodes_to_itself(text in "[A-Z2-7]{106}") {
            let mut bytes = [0; 66];
            if decode(&text, &mut bytes).is_some() {
                prop_assert_eq!(encoded(&bytes), text);
            }
        }
    }
}
