// SPDX-License-Identifier: AGPL-3.0-or-later
//! How lately and how near addresses were known before a restart: a file of a line for each, `ADDRESS MICROSECONDS LATENCY`, after one that
//! names the version. Those lost first come first.
//!
//! It is of use, and never needed: who finds none, or one that is damaged, learns the rest from neighbours.

use std::fmt::Write;
use std::io;
use std::path::Path;

use ratman_types::WallTime;
use ratman_wire::announcement::PathLatency;
use ratman_wire::sync_scope::KnownAddress;

use super::atomic::replace;

/// The name of the file.
const KNOWN_FILE: &str = "known-addresses";
const VERSION: &str = "irdest known addresses 1";

/// What the file in `dir` holds, up to its first line that is none.
///
/// # Errors
/// It is there and cannot be read.
pub(super) fn read(dir: &Path) -> io::Result<Vec<KnownAddress>> {
    let bytes = match std::fs::read(dir.join(KNOWN_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    if lines.next() != Some(VERSION) {
        return Ok(Vec::new());
    }
    Ok(lines.map_while(parse).collect())
}

/// Replaces the file. Blocks for the sync.
///
/// # Errors
/// Of writing it: what was there stays.
pub(super) fn write(dir: &Path, known: impl Iterator<Item = KnownAddress>) -> io::Result<()> {
    let mut text = format!("{VERSION}\n");
    for KnownAddress { address, origin_time, latency } in known {
        let (micros, latency) = (origin_time.as_micros(), latency.0);
        writeln!(text, "{address} {micros} {latency}").expect("a String takes any text");
    }
    replace(dir, KNOWN_FILE, text.as_bytes())
}

fn parse(line: &str) -> Option<KnownAddress> {
    let mut words = line.split(' ');
    let address = words.next()?.parse().ok()?;
    let origin_time = WallTime::from_micros(words.next()?.parse().ok()?);
    let latency = PathLatency(words.next()?.parse().ok()?);
    words.next().is_none().then_some(KnownAddress { address, origin_time, latency })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_types::Address;

    fn known(number: u8) -> KnownAddress {
        let origin_time = WallTime::from_micros(u64::MAX - u64::from(number));
        let address = Address::from_bytes([number; 32]);
        KnownAddress { address, origin_time, latency: PathLatency(u32::MAX) }
    }

    #[test]
    fn what_was_written_is_read_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
        let all = [9, 1, 7].map(known);
        write(dir.path(), all.into_iter()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), all);
        write(dir.path(), core::iter::empty()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
    }

    #[test]
    fn a_damaged_file_counts_as_far_as_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let all = [9, 1, 7].map(known);
        write(dir.path(), all.into_iter()).unwrap();
        let path = dir.path().join(KNOWN_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let damage = |bytes: Vec<u8>| {
            std::fs::write(&path, bytes).unwrap();
            read(dir.path()).unwrap()
        };
        let first_two = format!("{}\n{}\n{}\n", lines[0], lines[1], lines[2]);
        assert_eq!(damage(format!("{first_two}nothing\n{}\n", lines[3]).into_bytes()), all[..2]);
        assert_eq!(damage(format!("{first_two}{} 5\n", lines[3]).into_bytes()), all[..2]);
        assert_eq!(damage([first_two.as_bytes(), &[0xFF, 0xFE, b'\n']].concat()), all[..2]);
        assert_eq!(damage(text.replace("addresses 1", "addresses 2").into_bytes()), []);
        assert_eq!(damage(Vec::new()), []);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(read(dir.path()).is_err());
    }
}
