// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who this gateway is: the secret of its address and the secret of its router id, made on first start and kept
//! in the state directory under a passphrase.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ratman_types::{Address, RouterId, SecretKey, Signer};
use tracing::{info, warn};
use zeroize::Zeroizing;

mod passphrase;
mod sealed;

pub use passphrase::{Passphrase, PassphraseError};
pub(crate) use sealed::parse_header;
pub use sealed::{Cost, UnsealError};

use crate::state::{State, replace};

/// The name of the sealed identity in the state directory.
pub(crate) const FILE: &str = "identity";

/// Why there is no identity to run with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file is there but does not open; it is left as it is.
    #[error("{path}: {error}")]
    Unseal {
        /// The identity file.
        path: PathBuf,
        /// What is wrong with it or with the passphrase.
        error: UnsealError,
    },
    /// The file cannot be read or written.
    #[error("{path}: cannot {action} the identity: {error}")]
    Io {
        /// The identity file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system answered.
        error: io::Error,
    },
    /// The operating system gives no random bytes.
    #[error("cannot draw random bytes from the operating system: {0}")]
    Entropy(getrandom::Error),
}

/// The two secrets of a gateway; zeroised when dropped and never printed.
#[derive(Debug)]
pub struct Identity {
    /// Signs announcements and frames, and is the static key of sessions.
    pub address: SecretKey,
    /// Proves this router to direct neighbours; nobody else learns its public half.
    pub router: SecretKey,
}

impl Identity {
    /// Reads the identity in `state`, or makes one, sealed at [`Cost::DEFAULT`], where there is none.
    pub fn load_or_create(state: &State, passphrase: &Passphrase) -> Result<Self, IdentityError> {
        Self::load_or_create_at(state, passphrase, Cost::DEFAULT)
    }

    /// [`Identity::load_or_create`] with another cost for a new file: tests cannot afford the default.
    pub fn load_or_create_at(
        state: &State,
        passphrase: &Passphrase,
        cost: Cost,
    ) -> Result<Self, IdentityError> {
        let path = state.dir().join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Self::unseal(&path, &bytes, passphrase),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::create(state.dir(), passphrase, cost)
            }
            Err(error) => Err(IdentityError::Io { path, action: "read", error }),
        }
    }

    /// The address of this gateway.
    pub fn address(&self) -> Address {
        self.address.address()
    }

    /// The id of this router.
    pub fn router_id(&self) -> RouterId {
        self.router.router_id()
    }

    fn unseal(path: &Path, bytes: &[u8], passphrase: &Passphrase) -> Result<Self, IdentityError> {
        warn_if_readable(path);
        let seeds = sealed::unseal(bytes, passphrase.as_bytes())
            .map_err(|error| IdentityError::Unseal { path: path.to_owned(), error })?;
        Ok(Self { address: SecretKey::from_seed(seeds.address), router: SecretKey::from_seed(seeds.router) })
    }

    fn create(dir: &Path, passphrase: &Passphrase, cost: Cost) -> Result<Self, IdentityError> {
        // Deployed 0.6 routers read a zero as "absent": at the head of an address, anywhere in a router id
        // (source: deployed routers, sections 2 and 3). Such keys are drawn again, so that a link to one can come.
        let address = draw_key(|public| public[0] != 0)?;
        let router = draw_key(|public| !public.contains(&0))?;
        let seeds = sealed::Seeds { address: *address.seed(), router: *router.seed() };
        let bytes = sealed::seal(&seeds, passphrase.as_bytes(), cost, random()?, random()?);
        replace(dir, FILE, &bytes).map_err(|error| {
            let path = dir.join(FILE);
            IdentityError::Io { path, action: "write", error }
        })?;
        info!(address = %address.address(), file = %dir.join(FILE).display(), "made a new identity");
        Ok(Self { address, router })
    }
}

fn draw_key(fits: impl Fn(&[u8; 32]) -> bool) -> Result<SecretKey, IdentityError> {
    loop {
        let seed = Zeroizing::new(random()?);
        let key = SecretKey::from_seed(*seed);
        if fits(&key.public()) {
            return Ok(key);
        }
    }
}

fn random<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(IdentityError::Entropy)?;
    Ok(bytes)
}

fn warn_if_readable(path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 != 0 {
        warn!(file = %path.display(), mode = format!("{:04o}", mode & 0o7777), "others may read the sealed identity; expected mode 0600");
    }
}

#[cfg(test)]
mod tests;
