// SPDX-License-Identifier: AGPL-3.0-or-later
//! The newest announcement of an address as we send it on: signed once, however many hops get it.

use core::time::Duration;

use ratman_types::{Address, Bandwidth, Mtu, RouterId, Signature, Signer, WallTime};
use ratman_wire::announcement::{Announcement, PathLatency, Peer};
use ratman_wire::{Frame, Header, Mode};

/// An announcement without our signature, which is made when the first hop needs it.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    pub(crate) origin_time: WallTime,
    pub(crate) origin_signature: Signature,
    /// What we add as peer part; nothing where the first copy came without one.
    pub(crate) latency: Option<PathLatency>,
    /// The largest interval on the way, in whole seconds.
    pub(crate) interval: u16,
    pub(crate) bandwidth: Bandwidth,
    pub(crate) mtu: Mtu,
    /// What the frame leaves with; nothing if nobody may forward it any more.
    pub(crate) hops_left: Option<u8>,
    /// The neighbour that it came from and that does not get it back; nothing for a local address.
    pub(crate) from: Option<RouterId>,
    frame: Option<Vec<u8>>,
}

impl Newest {
    pub(crate) const fn new(
        origin_time: WallTime,
        origin_signature: Signature,
        latency: Option<PathLatency>,
        interval: u16,
        bandwidth: Bandwidth,
        mtu: Mtu,
        hops_left: Option<u8>,
        from: Option<RouterId>,
    ) -> Self {
        Self {
            origin_time,
            origin_signature,
            latency,
            interval,
            bandwidth,
            mtu,
            hops_left,
            from,
            frame: None,
        }
    }

    /// The frame to flood; nothing at the hop limit. Also whether it had to be signed.
    pub(crate) fn frame(&mut self, address: &Address, key: &dyn Signer) -> Option<(&[u8], bool)> {
        let hops_left = self.hops_left?;
        let signs = self.frame.is_none() && self.latency.is_some();
        if self.frame.is_none() {
            self.frame = Some(self.encode(address, key, self.latency, hops_left));
        }
        self.frame.as_deref().map(|frame| (frame, signs))
    }

    /// The frame that takes the route back.
    pub(crate) fn retraction(&self, address: &Address, key: &dyn Signer) -> Vec<u8> {
        self.encode(address, key, Some(PathLatency::RETRACTED), self.hops_left.unwrap_or(0))
    }

    fn encode(
        &self,
        address: &Address,
        key: &dyn Signer,
        latency: Option<PathLatency>,
        hops_left: u8,
    ) -> Vec<u8> {
        let mut announcement = Announcement {
            origin_time: self.origin_time,
            origin_signature: self.origin_signature,
            peer: None,
            available_bw: self.bandwidth,
            available_mtu: self.mtu,
        };
        announcement.peer = latency.map(|latency| {
            let router = key.router_id();
            let message = announcement.hop_signed_bytes(address, &router, latency, self.interval);
            Peer { router, latency, interval: self.interval, signature: key.sign(&message) }
        });
        let header = Header { hops_left, ..Header::new(Mode::ANNOUNCEMENT, *address.as_bytes()) };
        Frame { header, payload: &announcement.encode() }.encode()
    }
}

/// An interval as the peer part tells it: whole seconds, rounded up, at least one.
pub(crate) fn told_interval(interval: Duration) -> u16 {
    let seconds = interval.as_secs().saturating_add(u64::from(interval.subsec_nanos() > 0));
    u16::try_from(seconds).unwrap_or(u16::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_types::SecretKey;

    fn newest(latency: Option<PathLatency>) -> Newest {
        let time = WallTime::from_micros(5);
        Newest::new(time, Signature([1; 64]), latency, 2, Bandwidth::UNKNOWN, Mtu(9), Some(63), None)
    }

    fn announcement(frame: &[u8]) -> Announcement {
        Announcement::decode(Frame::decode(frame).unwrap().payload).unwrap()
    }

    #[test]
    fn it_is_signed_once() {
        let key = SecretKey::from_seed([1; 32]);
        let address = Address::from_bytes([2; 32]);
        let mut newest = newest(Some(PathLatency(7)));
        let (first, signed) =
            newest.frame(&address, &key).map(|(frame, signed)| (frame.to_vec(), signed)).unwrap();
        assert!(signed);
        assert_eq!(newest.frame(&address, &key), Some((&first[..], false)));
        let peer = announcement(&first).peer.unwrap();
        assert_eq!((peer.router, peer.latency, peer.interval), (key.router_id(), PathLatency(7), 2));
        assert_eq!(Frame::decode(&first).unwrap().header.hops_left, 63);
    }

    #[test]
    fn without_a_counting_peer_part_it_goes_on_without_one_but_is_retracted_with_one() {
        let key = SecretKey::from_seed([1; 32]);
        let address = Address::from_bytes([2; 32]);
        let mut newest = newest(None);
        let (frame, signed) = newest.frame(&address, &key).unwrap();
        assert!(!signed);
        assert_eq!(announcement(frame).peer, None);
        let retraction = announcement(&newest.retraction(&address, &key));
        assert!(retraction.peer.unwrap().latency.is_retraction());
    }

    #[test]
    fn intervals_are_told_in_whole_seconds() {
        assert_eq!(told_interval(Duration::ZERO), 1);
        assert_eq!(told_interval(Duration::from_secs(2)), 2);
        assert_eq!(told_interval(Duration::from_millis(2_001)), 3);
        assert_eq!(told_interval(Duration::MAX), u16::MAX);
    }
}
