// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is counted of a conversation.

/// What one processor has seen of a conversation since the loader began to follow it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes towards the neighbour on the wire: headers included, those of every segment of a super-packet too.
    pub sent_bytes: u64,
    /// Packets towards the neighbour, as they are on the wire.
    pub sent_packets: u64,
    /// Bytes from the neighbour, likewise.
    pub received_bytes: u64,
    /// Packets from the neighbour, likewise.
    pub received_packets: u64,
    /// When the last packet from the neighbour came, in nanoseconds of `CLOCK_MONOTONIC`, to a tick of its clock where it sends
    /// time stamps; 0 before the first.
    pub last_seen: u64,
    /// The TSval that this processor sent last. Those of one tick of the clock, dozens on a fast link, are looked at once.
    pub last_value: u32,
    /// The TSecr that came last, likewise.
    pub last_echo: u32,
}

const _: () = assert!(size_of::<Counters>() == 48 && align_of::<Counters>() == 8);

impl Counters {
    /// What two processors have seen together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes.wrapping_add(other.sent_bytes),
            sent_packets: self.sent_packets.wrapping_add(other.sent_packets),
            received_bytes: self.received_bytes.wrapping_add(other.received_bytes),
            received_packets: self.received_packets.wrapping_add(other.received_packets),
            last_seen: self.last_seen.max(other.last_seen),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_added_up() {
        let one = Counters {
            sent_bytes: 1,
            sent_packets: 2,
            received_bytes: 3,
            received_packets: 4,
            last_seen: 9,
            ..Counters::default()
        };
        let other = Counters { last_seen: 7, ..one };
        let both = Counters { sent_bytes: 2, sent_packets: 4, received_bytes: 6, received_packets: 8, ..one };
        assert_eq!(one.and(other), both);
        assert_eq!(one.and(Counters::default()), one);
    }
}
