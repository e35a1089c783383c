// SPDX-License-Identifier: AGPL-3.0-or-later
//! Tells its neighbours a wrong time, to put them out of everybody's window.

use ratman_types::{Hop, Signature};
use ratman_wire::echo::Echo;
use ratman_wire::{Frame, Header, Mode};

use super::{Adversary, Position};

/// Adds to the wall clock in every echo reply, rightly signed.
#[derive(Clone, Copy, Debug)]
pub struct TimeLiar {
    offset: i64,
}

impl TimeLiar {
    /// Claims a clock this many microseconds ahead.
    pub const fn new(offset: i64) -> Self {
        Self { offset }
    }

    fn lie(&self, position: &Position, hop: Hop, frame: &[u8]) -> Option<Vec<u8>> {
        let frame = Frame::decode(frame).ok().filter(|frame| frame.header.mode == Mode::ECHO_REPLY)?;
        let mut echo = Echo::decode(frame.payload).ok()?;
        echo.wall_time = echo.wall_time.shifted(self.offset);
        let payload = echo.encode();
        let unsigned = Frame { header: frame.header, payload: &payload };
        let signature: Signature = position.key.sign(&unsigned.hop_signed_bytes(position.proofs(hop)?));
        let header = Header { signature: Some(signature), ..frame.header };
        Some(Frame { header, payload: &payload }.encode())
    }
}

impl Adversary for TimeLiar {
    fn outgoing(&mut self, position: &Position, hop: Hop, frame: Vec<u8>) -> Vec<(Hop, Vec<u8>)> {
        let lie = self.lie(position, hop, &frame);
        vec![(hop, lie.unwrap_or(frame))]
    }
}
