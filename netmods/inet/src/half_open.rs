// SPDX-License-Identifier: AGPL-3.0-or-later
//! Places for inbound connections that have not proven a key yet: few, and few per source.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All places are taken.
    Total,
    /// The source has its share.
    Source,
}

/// The places; a clone counts the same ones.
#[derive(Clone, Debug)]
pub(crate) struct HalfOpen {
    total: usize,
    per_source: usize,
    /// INVARIANT: no value is zero, and the values together are at most `total`.
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    source: IpAddr,
    taken: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl HalfOpen {
    pub(crate) fn new(total: usize, per_source: usize) -> Self {
        Self { total, per_source, taken: Arc::default() }
    }

    /// Takes a place for a connection from `address`.
    pub(crate) fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let source = source(address);
        let mut taken = lock(&self.taken);
        if taken.values().sum::<usize>() >= self.total {
            return Err(Full::Total);
        }
        if taken.get(&source).is_some_and(|count| *count >= self.per_source) {
            return Err(Full::Source);
        }
        *taken.entry(source).or_default() += 1;
        Ok(Place { source, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

/// A count is changed in one step and a zero is never read, so the places are valid wherever a panic stopped.
fn lock(taken: &Mutex<BTreeMap<IpAddr, usize>>) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One host may use a whole IPv6 /64, so that counts as one source.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_limited_per_source_and_in_total_and_come_back() {
        let half_open = HalfOpen::new(3, 2);
        let first = half_open.take(ip("192.0.2.1")).unwrap();
        let _mapped = half_open.take(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(half_open.take(ip("192.0.2.1")).err(), Some(Full::Source));
        let _other = half_open.take(ip("192.0.2.2")).unwrap();
        assert_eq!(half_open.take(ip("192.0.2.3")).err(), Some(Full::Total));
        drop(first);
        let _again = half_open.take(ip("192.0.2.1")).unwrap();
        assert_eq!(half_open.taken.lock().unwrap().len(), 2);
    }

    #[test]
    fn a_64_is_one_source() {
        let half_open = HalfOpen::new(9, 1);
        let place = half_open.take(ip("2001:db8::1")).unwrap();
        assert_eq!(half_open.take(ip("2001:db8::ffff:2")).err(), Some(Full::Source));
        let _other = half_open.take(ip("2001:db8:0:1::1")).unwrap();
        drop(place);
        assert!(half_open.take(ip("2001:db8::2")).is_ok());
    }
}
