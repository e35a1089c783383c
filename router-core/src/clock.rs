// SPDX-License-Identifier: AGPL-3.0-or-later
//! Wall time in a network where no clock is trusted: what we take the time to be, what time our announcements carry,
//! and how late others' announcements come (source: wire page, clocks).

mod correction;
mod lag;
mod origin;

pub use correction::{ClockCorrection, MAX_VOTES, SET_BACK, SKEW_WARNING};
pub use lag::LagCheck;
pub use origin::{Issued, OriginClock};
