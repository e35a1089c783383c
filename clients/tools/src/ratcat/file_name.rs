// SPDX-License-Identifier: AGPL-3.0-or-later
//! Names of files that strangers chose.

use std::ffi::CString;
use std::path::Path;

use ratman_client::types::AuxiliaryData;

use crate::output::harmless;
use crate::{Failure, Result};

/// Under which key the name of a file travels.
const KEY: &std::ffi::CStr = c"name";

/// The longest name: file systems take 255 bytes, and some are needed to make it unique.
const MAX_BYTES: usize = 200;

/// What the recipients are told of the file: its name without its folders; nothing without a name.
///
/// # Errors
/// It has a NUL, or is too long.
pub(super) fn tell(name: &str) -> Result<AuxiliaryData> {
    let wrong = || Failure::usage("a name has no NUL, and at most 32 KiB");
    let name = Path::new(name).file_name().map(|name| name.to_string_lossy().into_owned());
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(AuxiliaryData::default()) };
    let name = CString::new(name).map_err(|_| wrong())?;
    AuxiliaryData::new([(KEY, name.as_c_str())]).map_err(|_| wrong())
}

/// The name that the sender gave it, which can be shown and used as a name within a folder; nothing if there is none, or if nothing is
/// left of it.
pub(super) fn told(data: &AuxiliaryData) -> Option<String> {
    let (_, name) = data.iter().find(|(key, _)| *key == KEY)?;
    let name = String::from_utf8_lossy(name.to_bytes());
    // Whatever system the sender has: neither folders nor hidden files, nor options.
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut kept = harmless(last).replace(['\\', ':'], "_");
    kept = kept.trim().trim_start_matches(['.', '-', '~']).trim().to_owned();
    kept.truncate(kept.floor_char_boundary(MAX_BYTES));
    Some(kept).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn received(name: &str) -> Option<String> {
        let name = CString::new(name).unwrap();
        told(&AuxiliaryData::new([(c"type", c"x"), (KEY, &*name)]).unwrap())
    }

    #[test]
    fn a_name_is_told_without_its_folders() {
        assert_eq!(told(&tell("/folder/cat.jpg").unwrap()).as_deref(), Some("cat.jpg"));
        assert_eq!(told(&tell("").unwrap()), None);
        assert_eq!(told(&tell("/").unwrap()), None);
        assert!(tell("a\0b").is_err());
    }

    #[test]
    fn a_stranger_writes_into_no_other_folder() {
        let names = [
            ("cat.jpg", "cat.jpg"),
            ("Grüße 1.txt", "Grüße 1.txt"),
            ("../../etc/passwd", "passwd"),
            ("C:\\a\\b.exe", "b.exe"),
            (".bashrc", "bashrc"),
            ("-rf", "rf"),
            ("a\x1b[2J\n", "a_u{1b}[2J_u{a}"),
            ("a:b", "a_b"),
        ];
        for (name, expected) in names {
            assert_eq!(received(name).as_deref(), Some(expected), "{name:?}");
        }
        for nothing in ["", "..", "/", "a/", " . "] {
            assert_eq!(received(nothing), None, "{nothing:?}");
        }
        assert_eq!(received(&"ä".repeat(200)).unwrap().len(), 200);
    }

    proptest! {
        #[test]
        fn every_name_stays_in_its_folder(name in "[^\0]{0,40}") {
            if let Some(kept) = received(&name) {
                let folder = Path::new("/folder");
                let joined = folder.join(&kept);
                prop_assert_eq!(joined.parent(), Some(folder));
                prop_assert!(!kept.chars().any(char::is_control));
            }
        }
    }
}
