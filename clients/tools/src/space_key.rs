// SPDX-License-Identifier: AGPL-3.0-or-later
//! Files with the key of a namespace.

use std::path::Path;

use ratman_client::HexText;
use ratman_client::types::NamespaceSeed;

use crate::{Failure, Result, private_file};

/// Reads the key of a namespace: 64 hexadecimal digits, as `irdest-gateway stream namespace` writes them.
///
/// # Errors
/// There is no such file, others may read it, or it holds something else.
pub(crate) fn read_key(path: &Path) -> Result<NamespaceSeed> {
    let wrong = |reason: &str| Failure::failed(format!("{}: {reason}", path.display()));
    let bytes = private_file::read(path)?
        .ok_or_else(|| wrong("there is no such file: `ratctl space create` makes one"))?;
    let text = std::str::from_utf8(&bytes).ok();
    text.and_then(|text| NamespaceSeed::from_hex(text).ok())
        .ok_or_else(|| wrong("expected the key of a namespace: 64 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_gateway_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(read_key(&path).unwrap_err().message.contains("space create"));
        private_file::write(&path, format!("{}\n", "07".repeat(32)).as_bytes(), true).unwrap();
        assert!(read_key(&path).unwrap() == NamespaceSeed::from_bytes([7; 32]));
        private_file::write(&path, b"0707", true).unwrap();
        assert!(read_key(&path).unwrap_err().message.contains("64 hexadecimal digits"));
    }
}
