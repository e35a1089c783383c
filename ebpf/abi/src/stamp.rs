// SPDX-License-Identifier: AGPL-3.0-or-later
//! TCP time stamps that wait for their echo.

/// How many stamps of a conversation wait at once. One that finds its place taken is not timed: at a stamp every
/// millisecond, all are up to a round trip of 128 ms, and 128 in every longer one.
pub const STAMPS: usize = 128;

/// How long a stamp waits for its echo, in nanoseconds, before another may have its place: longer than a round trip.
pub const PATIENCE: u64 = 5_000_000_000;

/// A TSval that was sent, as the peer will show it in TSecr (source: RFC 7323, section 3).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When it was sent first, in nanoseconds of `CLOCK_MONOTONIC`; 0 once it was answered, or where it needs no answer.
    pub sent: u64,
    /// The stamp itself.
    pub value: u32,
    /// Always 0.
    pub zero: u32,
}

const _: () = assert!(size_of::<Stamp>() == 16 && align_of::<Stamp>() == 8);

/// The stamps of a conversation, each at the place that its lowest bits name.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// The places.
    pub places: [Stamp; STAMPS],
}

const _: () = assert!(size_of::<Stamps>() == 2048 && align_of::<Stamps>() == 8);

impl Stamps {
    /// Nothing was sent.
    pub const NONE: Self = Self { places: [Stamp { sent: 0, value: 0, zero: 0 }; STAMPS] };
}
