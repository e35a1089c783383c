// SPDX-License-Identifier: AGPL-3.0-or-later
//! How far a TCP connection is, from the flags alone: enough to choose its idle time and to keep the outside from
//! opening one. Sequence numbers are left to the two stacks.

use crate::packet::{Direction, TcpFlags};

/// The phases that RFC 5382 section 5 tells apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcpPhase {
    /// One side has not answered yet, or the handshake is not over.
    #[default]
    Opening,
    /// Both sides have answered each other.
    Established,
    /// Reset, or both sides have sent FIN.
    Closing,
}

/// What was seen of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Track {
    phase: TcpPhase,
    sent: bool,
    received: bool,
    fin_sent: bool,
    fin_received: bool,
}

impl Track {
    /// Whether the remote may send a segment with these flags: all but a SYN that would open a connection to us
    /// under the ports of one of ours. While ours is opening too, it is a simultaneous open (RFC 9293 section 3.5).
    pub(super) fn admits(&self, flags: TcpFlags) -> bool {
        !flags.opens() || self.phase == TcpPhase::Opening
    }

    /// Takes note of one segment and says how far the connection is now.
    pub(super) fn observe(&mut self, flags: TcpFlags, direction: Direction) -> TcpPhase {
        if self.phase == TcpPhase::Closing && flags.opens() {
            // The ports are used again, by our application or by a remote that may connect to us.
            *self = Self::default();
        }
        match direction {
            Direction::Outbound => {
                self.fin_sent |= flags.fin;
                self.sent = true;
            }
            Direction::Inbound => {
                self.fin_received |= flags.fin;
                self.received = true;
            }
        }
        if flags.rst || (self.fin_sent && self.fin_received) {
            self.phase = TcpPhase::Closing;
        } else if self.phase == TcpPhase::Opening && self.sent && self.received && flags.ack && !flags.syn {
            self.phase = TcpPhase::Established;
        }
        self.phase
    }
}
