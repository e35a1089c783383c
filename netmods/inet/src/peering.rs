// SPDX-License-Identifier: AGPL-3.0-or-later
//! The first five seconds of a connection: both ends greet, challenge and prove their router key
//! (source: wire page, peering over a netmod; bytes in [`ratman_wire::peering`]).
//!
//! The dialer proves first and only to the key it expects; the listener proves once it has decided to take the
//! link, so that a proof received is a link accepted.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use ratman_types::{Digest, RouterId, Signer, Verifier};
use ratman_wire::peering::{self, Greeting, MAX_PEERING_FRAME, Nonce, PeeringError, Role};
use ratman_wire::train::TrainKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::config::Entropy;
use crate::deframer::PREFIX;
use crate::inet::NAME;

/// How long a peering may take (source: wire page).
const LIMIT: Duration = Duration::from_secs(5);

/// Why a connection did not become a link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other end closed the connection: it may not accept us.
    #[error("the peer closed the connection before it had proven its key: it may not accept ours")]
    Closed,
    /// No proof in time.
    #[error("no proof of a router key within 5 s")]
    Late,
    /// A length that no peering frame has.
    #[error("bad framing: a peering frame of {0} bytes, at most {MAX_PEERING_FRAME}")]
    BadFraming(u32),
    /// Other bytes than the peering expects.
    #[error("{0}")]
    Frame(#[from] PeeringError),
    /// The other end claims our own id.
    #[error("the peer has our own router key")]
    OwnKey,
    /// The router is not the one that the peer line names.
    #[error("wrong router key: expected {expected}, got {got}")]
    WrongKey {
        /// The key of the peer line.
        expected: RouterId,
        /// The key that the peer claims.
        got: RouterId,
    },
    /// No peer line names the router.
    #[error("router {0} is in no peer line, and accept_unknown_peers is false")]
    Unknown(RouterId),
    /// The signature does not hold.
    #[error("router {0} did not prove its key")]
    BadProof(RouterId),
    /// The router has proven its key, and there is no place for the link.
    #[error("too many links")]
    LinksFull,
    /// The router has proven its key, and another link of the same ends stays.
    #[error("another link to the same router stays instead")]
    Duplicate,
    /// The driver ends.
    #[error("the driver ends")]
    Stopped,
}

impl Refused {
    /// Whether only a person can change it, so that dialling again soon is no use.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::OwnKey | Self::WrongKey { .. } | Self::BadProof(_) | Self::Frame(_) => true,
            Self::Io(_)
            | Self::Closed
            | Self::Late
            | Self::BadFraming(_)
            | Self::Unknown(_)
            | Self::LinksFull
            | Self::Duplicate
            | Self::Stopped => false,
        }
    }
}

/// Who we are and how we prove it.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) key: Arc<dyn Signer>,
    pub(crate) verifier: Arc<dyn Verifier>,
    pub(crate) entropy: Entropy,
}

/// The router at the other end, proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) router: RouterId,
    /// `H(dialer's Proof ‖ listener's Proof)`.
    pub(crate) proofs: Digest,
    /// The dialer's nonce and the listener's.
    pub(crate) nonces: [Nonce; 2],
}

impl Identity {
    /// Peers as the dialer; with `expected` only that router will do.
    pub(crate) async fn dial(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        expected: Option<RouterId>,
    ) -> Result<Proven, Refused> {
        let own = self.greeting(Role::Dialer);
        let dial = async {
            let hello = own.encode();
            write(stream, &[&hello]).await?;
            let ack = read(stream).await?;
            let peer = Greeting::decode(&ack, Role::Listener)?;
            self.check_id(&peer)?;
            if let Some(expected) = expected.filter(|expected| *expected != peer.router) {
                return Err(Refused::WrongKey { expected, got: peer.router });
            }
            let greetings = peering::greetings_digest(&hello, &ack);
            let proof = self.prove(&own, &peer, &greetings);
            write(stream, &[&peering::encode_challenge(&own), &proof]).await?;
            peering::check_challenge(&read(stream).await?, &peer)?;
            let peers_proof = read(stream).await?;
            self.verify(&peers_proof, &peer, &own, &greetings)?;
            let proofs = peering::proofs_digest(&proof, &peers_proof);
            Ok(Proven { router: peer.router, proofs, nonces: [own.nonce, peer.nonce] })
        };
        timeout(LIMIT, dial).await.unwrap_or(Err(Refused::Late))
    }

    /// Peers as the listener; `accepts` says which routers may come once they have proven their key.
    pub(crate) async fn listen(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        accepts: impl Fn(&RouterId) -> bool,
    ) -> Result<Proven, Refused> {
        let own = self.greeting(Role::Listener);
        let listen = async {
            let hello = read(stream).await?;
            let peer = Greeting::decode(&hello, Role::Dialer)?;
            self.check_id(&peer)?;
            let ack = own.encode();
            write(stream, &[&ack, &peering::encode_challenge(&own)]).await?;
            let greetings = peering::greetings_digest(&hello, &ack);
            peering::check_challenge(&read(stream).await?, &peer)?;
            let peers_proof = read(stream).await?;
            self.verify(&peers_proof, &peer, &own, &greetings)?;
            // Only now: who proves nothing learns nothing about whom we accept.
            if !accepts(&peer.router) {
                return Err(Refused::Unknown(peer.router));
            }
            let proof = self.prove(&own, &peer, &greetings);
            write(stream, &[&proof]).await?;
            let proofs = peering::proofs_digest(&peers_proof, &proof);
            Ok(Proven { router: peer.router, proofs, nonces: [peer.nonce, own.nonce] })
        };
        timeout(LIMIT, listen).await.unwrap_or(Err(Refused::Late))
    }

    /// What authenticates trains beside a connection; nothing if our key cannot agree on secrets.
    pub(crate) fn train_key(&self, proven: &Proven) -> Option<TrainKey> {
        let shared = self.key.shared_secret(proven.router.as_bytes())?;
        let [dialer, listener] = &proven.nonces;
        Some(TrainKey::derive(&shared, dialer, listener))
    }

    fn greeting(&self, role: Role) -> Greeting {
        let mut nonce = [0; 32];
        (self.entropy)(&mut nonce);
        Greeting { role, router: self.key.router_id(), nonce }
    }

    fn check_id(&self, peer: &Greeting) -> Result<(), Refused> {
        if peer.router == self.key.router_id() { Err(Refused::OwnKey) } else { Ok(()) }
    }

    fn prove(&self, own: &Greeting, peer: &Greeting, greetings: &Digest) -> Vec<u8> {
        let signature = self.key.sign(&peering::proof_message(NAME, own, peer, greetings));
        peering::encode_proof(own.router, &signature)
    }

    fn verify(
        &self,
        proof: &[u8],
        peer: &Greeting,
        own: &Greeting,
        greetings: &Digest,
    ) -> Result<(), Refused> {
        let signature = peering::decode_proof(proof, peer.router)?;
        let message = peering::proof_message(NAME, peer, own, greetings);
        if self.verifier.verify(peer.router.as_bytes(), &message, &signature) {
            Ok(())
        } else {
            Err(Refused::BadProof(peer.router))
        }
    }
}

/// Frames leave in one write each time: a 0.6 router expects a length and its frame together.
async fn write(stream: &mut (impl AsyncWrite + Unpin), frames: &[&[u8]]) -> Result<(), Refused> {
    let mut bytes = Vec::with_capacity(2 * MAX_PEERING_FRAME);
    for frame in frames {
        let length = u32::try_from(frame.len()).expect("INVARIANT: peering frames are short");
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(frame);
    }
    Ok(stream.write_all(&bytes).await?)
}

/// Reads exactly one frame, so that what follows the peering is left to the link.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Refused> {
    let mut prefix = [0; PREFIX];
    exactly(stream, &mut prefix).await?;
    let length = u32::from_be_bytes(prefix);
    let fits = usize::try_from(length).ok().filter(|length| *length <= MAX_PEERING_FRAME);
    let mut frame = vec![0; fits.ok_or(Refused::BadFraming(length))?];
    exactly(stream, &mut frame).await?;
    Ok(frame)
}

async fn exactly(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> Result<(), Refused> {
    match stream.read_exact(buffer).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Refused::Closed),
        Err(error) => Err(Refused::Io(error)),
    }
}

#[cfg(test)]
mod tests;
