// SPDX-License-Identifier: AGPL-3.0-or-later
//! The maps that the loader shares with the programs, typed.
#![allow(unsafe_code, reason = "only who knows the layout can say that any bytes are a value of it")]

use aya::maps::{HashMap, MapData, MapError, PerCpuHashMap, PerCpuValues};
use aya::util::nr_cpus;
use aya::{Ebpf, Pod};
use ebpf_abi::{COUNTERS_MAP, Conversation, Counters, Histogram, ROUND_TRIPS_MAP};

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Key(Conversation);

#[derive(Clone, Copy, Default)]
#[repr(transparent)]
struct OfOneProcessor(Counters);

#[derive(Clone, Copy)]
#[repr(transparent)]
struct RoundTrips(Histogram);

// SAFETY: integers and arrays of them, in C's layout, without padding (ebpf-abi asserts the sizes).
unsafe impl Pod for Key {}
// SAFETY: as above.
unsafe impl Pod for OfOneProcessor {}
// SAFETY: as above.
unsafe impl Pod for RoundTrips {}

/// What the programs count.
pub(crate) struct Maps {
    counters: PerCpuHashMap<MapData, Key, OfOneProcessor>,
    round_trips: HashMap<MapData, Key, RoundTrips>,
}

impl Maps {
    /// Takes the maps out of a loaded object.
    ///
    /// # Errors
    /// Where the object has others than this was built for.
    pub(crate) fn of(object: &mut Ebpf) -> Result<Self, MapError> {
        let mut take =
            |name: &str| object.take_map(name).ok_or_else(|| MapError::InvalidName { name: name.to_owned() });
        Ok(Self {
            counters: take(COUNTERS_MAP)?.try_into()?,
            round_trips: take(ROUND_TRIPS_MAP)?.try_into()?,
        })
    }

    /// Lets the programs count a conversation, from zero.
    pub(crate) fn add(&mut self, key: Conversation) -> Result<(), MapError> {
        let processors = nr_cpus().map_err(|(_, error)| error)?;
        let zeros = PerCpuValues::try_from(vec![OfOneProcessor::default(); processors])?;
        // Who is counted can be timed: the other order would leave a moment without.
        self.round_trips.insert(Key(key), RoundTrips(Histogram::EMPTY), 0)?;
        self.counters.insert(Key(key), zeros, 0).inspect_err(|_| {
            // There was room for one of both only.
            let _ = self.round_trips.remove(&Key(key));
        })
    }

    /// Ends the counting of a conversation; fine where there is none.
    pub(crate) fn remove(&mut self, key: Conversation) {
        let _ = self.counters.remove(&Key(key));
        let _ = self.round_trips.remove(&Key(key));
    }

    /// What all processors counted of a conversation.
    pub(crate) fn counters(&self, key: Conversation) -> Result<Counters, MapError> {
        let values = self.counters.get(&Key(key), 0)?;
        Ok(values.iter().fold(Counters::default(), |all, one| all.and(one.0)))
    }

    /// How long the round trips of a conversation took.
    pub(crate) fn round_trips(&self, key: Conversation) -> Result<Histogram, MapError> {
        Ok(self.round_trips.get(&Key(key), 0)?.0)
    }
}
