// SPDX-License-Identifier: AGPL-3.0-or-later
//! Content on a terminal: what the terminal would obey is shown instead.

/// Takes the commands to the terminal out of content, piece by piece: of control characters only line feed and tab are left.
#[derive(Debug, Default)]
pub(super) struct Tame {
    /// Whether the piece before ended in the first byte of a character of which some are commands.
    is_open: bool,
    /// Whether the cursor is behind something on its line.
    is_in_line: bool,
}

/// The first byte of U+0080 to U+00BF in UTF-8; the first half of these are commands.
const FIRST: u8 = 0xC2;

impl Tame {
    /// What can be shown of the next piece.
    pub(super) fn show(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(piece.len() + 4);
        for &byte in piece {
            if std::mem::take(&mut self.is_open) {
                match byte {
                    0x80..=0x9F => {
                        escape(&mut shown, byte);
                        continue;
                    }
                    _ => shown.push(FIRST),
                }
            }
            match byte {
                FIRST => self.is_open = true,
                b'\n' | b'\t' | 0x20..=0x7E | 0x80..=0xFF => shown.push(byte),
                0..=0x1F | 0x7F => escape(&mut shown, byte),
            }
        }
        if let Some(last) = shown.last() {
            self.is_in_line = *last != b'\n';
        }
        shown
    }

    /// What is to be shown behind all of it, so that what is said next has a line of its own.
    pub(super) const fn end(&self) -> &'static [u8] {
        if self.is_in_line { b"\n" } else { b"" }
    }
}

fn escape(shown: &mut Vec<u8>, byte: u8) {
    shown.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_and_texts_are_left() {
        let content = "Grüße\n\ta\x1b]0;x\x07 \u{9b}2J é °".as_bytes();
        let expected = "Grüße\n\ta\\x1b]0;x\\x07 \\x9b2J é °".as_bytes();
        assert_eq!(Tame::default().show(content), expected);
        let mut tame = Tame::default();
        let bytewise: Vec<u8> = content.iter().flat_map(|byte| tame.show(&[*byte])).collect();
        assert_eq!(bytewise, expected);
    }

    #[test]
    fn what_follows_has_a_line_of_its_own() {
        let mut tame = Tame::default();
        let mut end_after = |piece: &[u8]| {
            tame.show(piece);
            tame.end()
        };
        assert_eq!(
            [end_after(b""), end_after(b"a"), end_after(b""), end_after(b"b\n")],
            [&b""[..], b"\n", b"\n", b""]
        );
    }
}
