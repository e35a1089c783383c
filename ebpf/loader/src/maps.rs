// SPDX-License-Identifier: AGPL-3.0-or-later
//! The maps that the loader shares with the programs, typed.
#![allow(unsafe_code, reason = "only who knows the layout can say that any bytes are a value of it")]

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use aya::{Ebpf, Pod};
use ebpf_abi::{
    COUNTERS_MAP, Conversation, Counters, FOLLOWED_MAP, Histogram, ROUND_TRIPS_MAP, STAMPS_MAP, Stamps,
};

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Shared<T>(T);

// SAFETY: integers and arrays of them, in C's layout, without padding (ebpf-abi asserts the sizes).
unsafe impl Pod for Shared<Conversation> {}
// SAFETY: as above.
unsafe impl Pod for Shared<Counters> {}
// SAFETY: as above.
unsafe impl Pod for Shared<Histogram> {}
// SAFETY: as above.
unsafe impl Pod for Shared<Stamps> {}

/// Where the figures of a conversation are, in all arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(pub(crate) u32);

/// What the programs count.
pub(crate) struct Maps {
    followed: HashMap<MapData, Shared<Conversation>, u32>,
    counters: PerCpuArray<MapData, Shared<Counters>>,
    waiting: Array<MapData, Shared<Stamps>>,
    round_trips: Array<MapData, Shared<Histogram>>,
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
            followed: take(FOLLOWED_MAP)?.try_into()?,
            counters: take(COUNTERS_MAP)?.try_into()?,
            waiting: take(STAMPS_MAP)?.try_into()?,
            round_trips: take(ROUND_TRIPS_MAP)?.try_into()?,
        })
    }

    /// Lets the programs count a conversation at this place, from zero.
    pub(crate) fn add(&mut self, key: Conversation, place: Place) -> Result<(), MapError> {
        let processors = nr_cpus().map_err(|(_, error)| error)?;
        let zeros = PerCpuValues::try_from(vec![Shared(Counters::default()); processors])?;
        self.counters.set(place.0, zeros, 0)?;
        self.waiting.set(place.0, Shared(Stamps::NONE), 0)?;
        self.round_trips.set(place.0, Shared(Histogram::EMPTY), 0)?;
        // Last: from here on they find it.
        self.followed.insert(Shared(key), place.0, 0)
    }

    /// Ends the counting of a conversation; fine where there is none.
    pub(crate) fn remove(&mut self, key: Conversation) {
        // The only other answer is that the key is not there.
        let _ = self.followed.remove(&Shared(key));
    }

    /// What all processors counted at a place.
    pub(crate) fn counters(&self, place: Place) -> Result<Counters, MapError> {
        let values = self.counters.get(&place.0, 0)?;
        Ok(values.iter().fold(Counters::default(), |all, one| all.and(one.0)))
    }

    /// How long the round trips at a place took.
    pub(crate) fn round_trips(&self, place: Place) -> Result<Histogram, MapError> {
        Ok(self.round_trips.get(&place.0, 0)?.0)
    }
}
