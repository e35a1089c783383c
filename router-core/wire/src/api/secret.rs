// SPDX-License-Identifier: AGPL-3.0-or-later
//! The two secrets that cross the connection of a client, apart by type.

use core::fmt;

use ratman_types::{Namespace, SecretKey, Signer, blake2b};
use zeroize::{Zeroize, ZeroizeOnDrop};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 bytes as they are.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes, as on the wire.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        /// Compares hashes: how long that takes tells nothing about the secrets.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                blake2b(&[&self.0]) == blake2b(&[&other.0])
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

secret! {
    /// What a client proves with that an address is its own: 32 random bytes, zeroised when dropped and never printed.
    ///
    /// Deployed clients read a first byte of zero as the absence of a token: who draws tokens draws none with a zero in it
    /// (source: deployed routers, section 2).
    AuthToken
}
secret! {
    /// The seed of the key that all members of a namespace share; zeroised when dropped and never printed.
    NamespaceSeed
}

impl NamespaceSeed {
    /// The namespace that it is the key of.
    pub fn namespace(&self) -> Namespace {
        Namespace::from_bytes(SecretKey::from_seed(self.0).public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", AuthToken::from_bytes([0xAB; 32])), "AuthToken(…)");
        assert_eq!(format!("{:?}", NamespaceSeed::from_bytes([0xAB; 32])), "NamespaceSeed(…)");
    }

    #[test]
    fn equal_bytes_are_equal_secrets() {
        let one = AuthToken::from_bytes([1; 32]);
        assert_eq!(one, one.clone());
        assert_ne!(one, AuthToken::from_bytes([2; 32]));
        let seed = NamespaceSeed::from_bytes([1; 32]);
        assert_eq!(seed.namespace().as_bytes(), &SecretKey::from_seed([1; 32]).public());
    }
}
