// SPDX-License-Identifier: AGPL-3.0-or-later
//! What comes out of the control half: frames to send, events, and rows for `status`.

use ratman_types::{Address, Mtu, Timestamp, WallTime};
use ratman_wire::Mode;

use super::{Cipher, TrafficTotals};

/// Who began the handshake of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We did.
    Initiator,
    /// The remote did.
    Responder,
}

/// A payload for the driver to send: unsigned, in a carrier frame of this mode from our address to `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTransmit {
    /// The recipient.
    pub to: Address,
    /// One of the session modes.
    pub mode: Mode,
    /// The payload, below 200 bytes.
    pub payload: Vec<u8>,
}

/// Why a session is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// No answer within 90 s of the first initiation.
    NoAnswer,
    /// Nothing was sent for so long that the last key expired.
    Idle,
}

/// What the driver should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// Packets can be sent to `remote` from now on; not repeated when keys change.
    Established {
        /// The gateway at the other end.
        remote: Address,
        /// Who began.
        role: Role,
    },
    /// Packets cannot be sent to `remote` any more, or no session came up.
    Ended {
        /// The gateway at the other end.
        remote: Address,
        /// Why.
        reason: EndReason,
    },
    /// A router on the path says that it has no way to `remote`, or that hops ran out: a hint to look for another
    /// way, and nothing that packets depend on. At most once a second.
    NoWay {
        /// The gateway at the other end.
        remote: Address,
    },
    /// These times of a configured remote are to be made durable, for
    /// [`ConfiguredRemote`](super::ConfiguredRemote) at the next start.
    Persist {
        /// The configured remote.
        remote: Address,
        /// The time in our last initiation.
        sent: WallTime,
        /// The time in its last initiation.
        received: WallTime,
    },
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// We wait for the answer to our initiation.
    Handshaking,
    /// We answered an initiation and wait for the first data frame.
    HalfOpen,
    /// Packets can be sent.
    Established,
}

/// A row of `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionStatus {
    /// The gateway at the other end.
    pub remote: Address,
    /// Whether the remote is configured.
    pub configured: bool,
    /// How far the session is.
    pub state: SessionState,
    /// Who began the handshake of the key in use.
    pub role: Option<Role>,
    /// The AEAD of the key in use.
    pub cipher: Option<Cipher>,
    /// Since when packets can be sent without a break.
    pub established: Option<Timestamp>,
    /// The largest carrier frame that the path carries, where a path report lowered it.
    pub path_mtu: Option<Mtu>,
    /// What was carried since then.
    pub traffic: TrafficTotals,
}
