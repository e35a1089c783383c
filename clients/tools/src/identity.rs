// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who a user is: an address and its token, in a file of their own.

use std::path::Path;

use getrandom::fill;
use ratman_client::types::{Address, AuthToken};
use zeroize::Zeroizing;

mod location;
mod passphrase;
mod sealed;
mod text;

pub use location::{Location, folder_of};
pub use passphrase::Passphrase;
pub use sealed::{Cost, SealedToken};
use text::{Stored, StoredToken};

use crate::{Failure, Result, private_file};

/// Who a user is. Whoever has it receives what is sent to them, and sends in their name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The address.
    pub address: Address,
    /// What proves that it is theirs; zeroised when dropped and never printed.
    pub auth: AuthToken,
}

impl Identity {
    /// Reads one. `passphrase` is asked for where the file needs one; nothing is returned where there is no file.
    ///
    /// # Errors
    /// The file cannot be read, others may read it, it is none, or the passphrase is wrong.
    pub fn read(path: &Path, passphrase: impl FnOnce() -> Result<Passphrase>) -> Result<Option<Self>> {
        let Some(bytes) = private_file::read(path)? else { return Ok(None) };
        let wrong = |reason: String| Failure::failed(format!("{}: {reason}", path.display()));
        let Stored { address, token } = Stored::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
        let auth = match token {
            StoredToken::Plain(auth) => auth,
            StoredToken::Sealed(sealed) => {
                let passphrase = passphrase()?;
                sealed.open(&address, passphrase.as_bytes()).map_err(|error| wrong(error.to_string()))?
            }
        };
        Ok(Some(Self { address, auth }))
    }

    /// Which address is in a file, for what needs no token.
    ///
    /// # Errors
    /// As [`Identity::read`], but for the passphrase.
    pub fn read_address(path: &Path) -> Result<Option<Address>> {
        let Some(bytes) = private_file::read(path)? else { return Ok(None) };
        let stored = Stored::parse(&bytes);
        let stored = stored.map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        Ok(Some(stored.address))
    }

    /// Writes it, in the clear or under a passphrase. What is there stays, unless it is to be replaced.
    ///
    /// # Errors
    /// The file is there or cannot be written, and the system has no entropy.
    pub fn write(&self, path: &Path, passphrase: Option<&Passphrase>, replace: bool) -> Result<()> {
        self.write_at(path, passphrase, Cost::DEFAULT, replace)
    }

    fn write_at(
        &self,
        path: &Path,
        passphrase: Option<&Passphrase>,
        cost: Cost,
        replace: bool,
    ) -> Result<()> {
        let token = match passphrase {
            None => StoredToken::Plain(self.auth.clone()),
            Some(passphrase) => {
                let (salt, nonce) = (random()?, random()?);
                let bytes = passphrase.as_bytes();
                StoredToken::Sealed(SealedToken::seal(&self.auth, &self.address, bytes, cost, salt, nonce))
            }
        };
        let text: Zeroizing<String> = Stored { address: self.address, token }.to_text();
        private_file::write(path, text.as_bytes(), replace)
    }
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes).map_err(|error| Failure::failed(format!("no random bytes from the system: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Identity {
        Identity { address: Address::from_bytes([1; 32]), auth: AuthToken::from_bytes([7; 32]) }
    }

    fn no_passphrase() -> Result<Passphrase> {
        panic!("it is in the clear")
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("irdest/identity");
        assert_eq!(Identity::read(&path, no_passphrase), Ok(None));
        sample().write(&path, None, false).unwrap();
        assert_eq!(Identity::read(&path, no_passphrase), Ok(Some(sample())));
        assert!(sample().write(&path, None, false).is_err(), "an identity is not lost by accident");
    }

    #[test]
    fn under_a_passphrase_the_token_is_not_in_the_file_and_the_address_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        let passphrase = |text: &str| Passphrase::new(text.as_bytes().to_vec());
        sample().write_at(&path, Some(&passphrase("correct horse")), Cost::CHEAPEST, false).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("0707070707070707"), "{text}");
        assert_eq!(Identity::read_address(&path), Ok(Some(sample().address)));
        assert_eq!(Identity::read(&path, || Ok(passphrase("correct horse"))), Ok(Some(sample())));
        let error = Identity::read(&path, || Ok(passphrase("battery"))).unwrap_err();
        assert!(error.message.ends_with("wrong passphrase, or the file was changed"), "{error}");
    }
}
