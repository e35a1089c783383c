// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is needed to read a content, and nothing else than its blocks: as 66 bytes, or as a URN.

use core::fmt;
use core::str::FromStr;

use zeroize::Zeroizing;

use crate::secret::Key;
use crate::{BlockSize, Reference, base32};

/// What stands before the base32 of the bytes.
const URN_PREFIX: &str = "urn:eris:";
/// The characters of a URN: nine, and 106 for 528 bits.
const URN_LEN: usize = URN_PREFIX.len() + (ReadCapability::LEN * 8).div_ceil(5);

/// Where a content's tree begins and what opens it. Whoever has it can read the content: it is zeroised when dropped, and
/// [`Debug`](fmt::Debug) does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct ReadCapability {
    block_size: BlockSize,
    level: u8,
    root: Reference,
    key: Key,
}

/// Why something is no read capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapabilityError {
    /// Not 66 bytes.
    #[error("a read capability has 66 bytes, not {0}")]
    Length(usize),
    /// A code that stands for no block size.
    #[error("no block size has the code {0}")]
    BlockSize(u8),
    /// A tree that high would hold 2⁶⁴ bytes or more; or 64-byte blocks that form a tree.
    #[error("no tree of {block_size} blocks has a level {level}")]
    Level {
        /// The size of the blocks.
        block_size: BlockSize,
        /// The level that the root claims.
        level: u8,
    },
    /// Not `urn:eris:` and 106 characters of base32 in capitals, whose last two bits are zero.
    #[error("not `{URN_PREFIX}` and a read capability in base32")]
    Urn,
}

impl ReadCapability {
    /// The length of the binary form in bytes.
    pub const LEN: usize = 66;

    /// What an encoder has made.
    pub(crate) fn new(block_size: BlockSize, level: u8, root: Reference, key: Key) -> Self {
        Self { block_size, level, root, key }
    }

    /// The size of all blocks.
    pub const fn block_size(&self) -> BlockSize {
        self.block_size
    }

    /// The level of the root: 0 if it is the only block; at most [`BlockSize::max_level`].
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// The name of the root block.
    pub const fn root(&self) -> Reference {
        self.root
    }

    /// The secret that opens the root block.
    pub const fn root_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    /// The binary form of the specification: block size as [`BlockSize::code`] 1, level 1, root reference 32, root key 32.
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        bytes[0] = self.block_size.code();
        bytes[1] = self.level;
        bytes[2..34].copy_from_slice(self.root.as_bytes());
        bytes[34..].copy_from_slice(self.key.as_bytes());
        bytes
    }

    /// Reads the binary form.
    ///
    /// # Errors
    ///
    /// [`CapabilityError`], of its variants all but [`CapabilityError::Urn`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CapabilityError> {
        let Ok([code, level, names @ ..]) = <&[u8; Self::LEN]>::try_from(bytes) else {
            return Err(CapabilityError::Length(bytes.len()));
        };
        let block_size = BlockSize::from_code(*code).ok_or(CapabilityError::BlockSize(*code))?;
        if *level > block_size.max_level() {
            return Err(CapabilityError::Level { block_size, level: *level });
        }
        let (root, key) = names.split_first_chunk().expect("64 bytes hold 32");
        let key = key.first_chunk().expect("32 bytes are left");
        Ok(Self::new(block_size, *level, Reference::from_bytes(*root), Key::copied_from(key)))
    }

    /// The URN of the specification: `urn:eris:` and the binary form in base32 (RFC 4648, capitals, no padding). It is as
    /// secret as the capability.
    pub fn to_urn(&self) -> Zeroizing<String> {
        let mut urn = Zeroizing::new(String::with_capacity(URN_LEN)); // never grows, so no copy is left behind
        urn.push_str(URN_PREFIX);
        base32::encode(&self.to_bytes()[..], &mut urn);
        urn
    }
}

/// Reads [`ReadCapability::to_urn`]'s form and no other spelling of it: equal capabilities have equal URNs.
impl FromStr for ReadCapability {
    type Err = CapabilityError;

    fn from_str(urn: &str) -> Result<Self, CapabilityError> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        let text = urn.strip_prefix(URN_PREFIX).ok_or(CapabilityError::Urn)?;
        base32::decode(text, &mut bytes[..]).ok_or(CapabilityError::Urn)?;
        Self::from_bytes(&bytes[..])
    }
}

impl fmt::Debug for ReadCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block_size, level, root, key: _ } = self;
        f.debug_struct("ReadCapability")
            .field("block_size", block_size)
            .field("level", level)
            .field("root", root)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(code: u8, level: u8) -> [u8; 66] {
        let mut bytes = [0xAB; 66];
        [bytes[0], bytes[1]] = [code, level];
        bytes
    }

    #[test]
    fn the_binary_form_is_read_and_written() {
        for size in BlockSize::ALL {
            for level in [0, size.max_level()] {
                let bytes = bytes(size.code(), level);
                let capability = ReadCapability::from_bytes(&bytes).unwrap();
                assert_eq!((capability.block_size(), capability.level()), (size, level));
                assert_eq!(*capability.to_bytes(), bytes);
                let urn = capability.to_urn();
                assert_eq!((urn.len(), urn.capacity()), (URN_LEN, URN_LEN));
                assert_eq!(urn.parse(), Ok(capability));
            }
        }
    }

    #[test]
    fn what_no_encoder_makes_is_refused() {
        let error = |bytes: &[u8]| ReadCapability::from_bytes(bytes).unwrap_err();
        assert_eq!(error(&[]), CapabilityError::Length(0));
        assert_eq!(error(&[10; 65]), CapabilityError::Length(65));
        assert_eq!(error(&[10; 67]), CapabilityError::Length(67));
        assert_eq!(error(&bytes(11, 0)), CapabilityError::BlockSize(11));
        for block_size in BlockSize::ALL {
            let level = block_size.max_level() + 1;
            assert_eq!(error(&bytes(block_size.code(), level)), CapabilityError::Level { block_size, level });
        }
    }

    #[test]
    fn there_is_one_way_to_write_a_urn() {
        let urn = ReadCapability::from_bytes(&bytes(15, 1)).unwrap().to_urn();
        let lower = urn.to_lowercase();
        let mut last_bits = urn.clone();
        let last = last_bits.pop().unwrap();
        last_bits.push(char::from_u32(u32::from(last) + 1).unwrap());
        let others = [&urn[..URN_LEN - 1], &urn[4..], &format!("{}A", *urn), &format!(" {}", *urn)];
        for other in others.into_iter().chain([&lower[..], &last_bits]) {
            assert_eq!(other.parse::<ReadCapability>(), Err(CapabilityError::Urn), "{other}");
        }
        let wrong_size = urn.replacen(":B4", ":BU", 1);
        assert_eq!(wrong_size.parse::<ReadCapability>(), Err(CapabilityError::BlockSize(13)));
    }

    #[test]
    fn the_key_is_not_printed() {
        let capability = ReadCapability::from_bytes(&bytes(10, 2)).unwrap();
        assert_eq!(
            format!("{capability:?}"),
            "ReadCapability { block_size: Kib1, level: 2, root: Reference(abababababababab), .. }"
        );
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 60..70)) {
            if let Ok(capability) = ReadCapability::from_bytes(&bytes) {
                prop_assert_eq!(&capability.to_bytes()[..], &bytes[..]);
            }
        }
    }
}
