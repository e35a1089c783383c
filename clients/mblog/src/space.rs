// SPDX-License-Identifier: AGPL-3.0-or-later
//! The namespace in which posts are.

use ratman_client::types::{Namespace, NamespaceSeed};

/// The seed of its key. No secret: everybody takes part. Letters instead of random bytes, so that everybody sees that nothing is hidden
/// in it.
const SEED: &[u8; 32] = b"irdest-mblog, a public namespace";

/// The seed of its key, which a router needs to take part.
pub fn seed() -> NamespaceSeed {
    NamespaceSeed::from_bytes(*SEED)
}

/// The namespace to which all posts go.
pub fn namespace() -> Namespace {
    seed().namespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_in_every_version() {
        let key = "8885-F7EB-CB5D-8E5D-AA90-C197-F8BE-C67E-B9FD-A726-A3AC-15BE-8419-8DB0-F631-8D6E";
        assert_eq!(namespace().to_string(), key);
    }
}
