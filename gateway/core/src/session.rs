// SPDX-License-Identifier: AGPL-3.0-or-later
//! Sessions: the cryptographic association of two gateways that carries the flows between them (source: wire
//! page, gateway sessions; timers: WireGuard's paper, section 6).
//!
//! Two halves. [`Sessions`] is the control half: a sans-IO value that makes handshakes, decides when keys change
//! and publishes a [`SessionTable`]. The data half is what stands in that table: a [`SendKey`] seals batches of
//! packets where they lie, a [`ReceiveKey`] opens frames where they were received; both are used by several
//! threads at once and allocate nothing per packet. What the data half sees, the control half reads from atomics.
//!
//! ```text
//!            connect ─▶ initiation ───────▶  read, answer        (the responder holds a key that only receives)
//!  keys complete, send ◀────── response ◀──
//!                  first data or keepalive ▶  confirmed: send too
//! ```

mod cipher;
mod config;
mod cookie;
mod entropy;
mod event;
#[doc(hidden)]
pub mod fuzz;
mod handshake;
mod initiate;
mod initiation_times;
mod joiner;
mod key_ring;
mod load;
mod opened;
mod path_mtu;
mod receive_key;
mod remote;
mod replay_window;
mod report_limiter;
mod respond;
mod sealed;
mod send_key;
mod sent_frames;
mod session_drop;
mod sessions;
mod table;
mod timers;
mod traffic;

#[cfg(test)]
mod tests;

pub use cipher::Cipher;
pub use config::{Accept, ConfiguredRemote, SessionConfig};
pub use event::{EndReason, Role, SessionEvent, SessionState, SessionStatus, SessionTransmit};
pub use initiation_times::{INITIATION_WINDOW, MAX_REMEMBERED_INITIATIONS};
pub use opened::{Opened, OpenedBytes, OpenedPacket};
pub use path_mtu::MIN_PATH_MTU;
pub use receive_key::ReceiveKey;
pub use remote::{HALF_OPEN_PER_NEIGHBOUR, MAX_INBOUND_STRANGERS, MAX_SESSIONS};
pub use report_limiter::ReportLimiter;
pub use sealed::{MAX_PIECES, Piece, Sealed, max_batch};
pub use send_key::{MAX_FRAMES_PER_KEY, SendKey};
pub use session_drop::SessionDrop;
pub use sessions::Sessions;
pub use table::SessionTable;
pub use traffic::TrafficTotals;
