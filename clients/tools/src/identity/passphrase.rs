// SPDX-License-Identifier: AGPL-3.0-or-later
//! The passphrase of an identity: from a file, or typed.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::{Failure, Result, private_file};

/// A passphrase is a line, not a disk image.
const MAX_BYTES: usize = 4096;

/// A passphrase; zeroised when dropped and never printed.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes it as it is.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads it from a file that only its owner can read; a line feed at its end is none of it.
    ///
    /// # Errors
    /// As [`private_file::read`], and where there is no file, or nothing in it, or too much.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |reason: &str| Failure::failed(format!("{}: {reason}", path.display()));
        let mut bytes = private_file::read(path)?.ok_or_else(|| wrong("there is no such file"))?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        match bytes.len() {
            0 => Err(wrong("expected a passphrase, got an empty file")),
            1..=MAX_BYTES => Ok(Self(bytes)),
            _ => Err(wrong("expected a passphrase of at most 4096 bytes")),
        }
    }

    /// Asks for it on the terminal, without showing it.
    ///
    /// # Errors
    /// There is no terminal, nothing was typed, or the user gave up.
    pub fn ask(prompt: &str) -> Result<Self> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
        let none = |_| Failure::usage("no terminal to ask for the passphrase on: use --passphrase-file FILE");
        let terminal = terminal.map_err(none)?;
        let silent = Silent::new(&terminal)?;
        (&terminal).write_all(prompt.as_bytes())?;
        // One at a time: what follows is for whoever reads next.
        let typed = read_line(BufReader::with_capacity(1, &terminal).bytes());
        drop(silent);
        (&terminal).write_all(b"\n")?;
        typed
    }

    /// Asks twice, since nobody sees what they type.
    ///
    /// # Errors
    /// As [`Passphrase::ask`], and where they differ.
    pub fn ask_for_new() -> Result<Self> {
        let passphrase = Self::ask("New passphrase: ")?;
        if Self::ask("The same again: ")?.0 == passphrase.0 {
            return Ok(passphrase);
        }
        Err(Failure::failed("the two are not the same; nothing was changed"))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// A terminal that shows nothing, and ends no program, until this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a File) -> Result<Self> {
        let before = tcgetattr(terminal).map_err(io::Error::from)?;
        let mut silent = before.clone();
        // Who ends the program with Ctrl-C would be left with a terminal that shows nothing.
        silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent).map_err(io::Error::from)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Nothing better can be done.
        let _ = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}

/// What was typed up to Enter, as a terminal without lines gives it.
fn read_line(typed: impl Iterator<Item = io::Result<u8>>) -> Result<Passphrase> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    for byte in typed {
        match byte? {
            CTRL_C => return Err(Failure::interrupted("")),
            b'\n' | b'\r' | CTRL_D => break,
            CTRL_U => line.clear(),
            8 | 127 => {
                // A whole letter, of however many bytes.
                while line.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {}
            }
            byte if line.len() < MAX_BYTES => line.push(byte),
            _ => return Err(Failure::failed("expected a passphrase of at most 4096 bytes")),
        }
    }
    if line.is_empty() { Err(Failure::failed("no passphrase was typed")) } else { Ok(Passphrase(line)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(bytes: &[u8]) -> Result<Vec<u8>> {
        read_line(bytes.iter().copied().map(Ok)).map(|passphrase| passphrase.as_bytes().to_vec())
    }

    #[test]
    fn a_typed_line_can_be_corrected_and_given_up() {
        assert_eq!(typed(b"abc\nx").unwrap(), b"abc");
        assert_eq!(typed("aß\x7f\x08b\r".as_bytes()).unwrap(), b"b");
        assert_eq!(typed(b"abc\x15d\x04").unwrap(), b"d");
        assert_eq!(typed(b"\x7f\n"), Err(Failure::failed("no passphrase was typed")));
        assert_eq!(typed(b"ab\x03c\n").unwrap_err().exit, crate::Exit::Interrupted);
        assert!(typed(&[b'a'; MAX_BYTES + 1]).is_err());
    }

    #[test]
    fn a_file_ends_with_one_line_feed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        let read = |content: &[u8]| {
            private_file::write(&path, content, true).unwrap();
            Passphrase::read(&path).map(|passphrase| passphrase.as_bytes().to_vec())
        };
        assert_eq!(read(b"mine \n\n").unwrap(), b"mine \n");
        assert!(read(b"\n").unwrap_err().message.contains("empty"));
        assert!(read(&[b'a'; MAX_BYTES + 1]).is_err());
        assert!(Passphrase::read(&dir.path().join("none")).unwrap_err().message.contains("no such file"));
        assert_eq!(format!("{:?}", Passphrase::new(b"secret".to_vec())), "Passphrase(…)");
    }
}
