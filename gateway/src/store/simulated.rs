// SPDX-License-Identifier: AGPL-3.0-or-later
//! A disk in memory that can fail as disks do: what was not synced is torn or lost when its power goes, it has no more room, or
//! it takes its time.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use redb::StorageBackend;

use super::place::Place;
use super::{Store, StoreConfig};

/// What disks write at once, in bytes.
const SECTOR: usize = 512;

/// Chance from a seed: SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// The disk; its clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Simulated(Arc<(Mutex<State>, Condvar)>);

/// Syncs wait while this lives; also where a test fails meanwhile.
#[must_use]
pub(super) struct Held(Simulated);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().held = false;
        self.0.0.1.notify_all();
    }
}

#[derive(Debug, Default)]
struct State {
    /// What is read.
    now: Vec<u8>,
    /// What is there for good, and what was done since.
    synced: Vec<u8>,
    unsynced: Vec<Operation>,
    /// How many operations that change something are done before the power goes.
    power: Option<u64>,
    /// Where there is no more room.
    room: Option<usize>,
    /// The next write finds that what is there is damaged.
    damaged: bool,
    held: bool,
    waiting: bool,
    aside: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Operation {
    Write { at: usize, data: Vec<u8> },
    Length(usize),
}

impl Simulated {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Mutex::new(State::default()), Condvar::new())))
    }

    /// The store on it.
    pub(crate) fn open_store(&self) -> Store {
        Store::open_in(Box::new(self.clone()), &StoreConfig::default()).unwrap()
    }

    /// The power goes after so many operations; until then, and of what is read, nothing is noticed.
    pub(super) fn power_off_after(&self, operations: u64) {
        self.state().power = Some(operations);
    }

    /// Writes beyond `length` find no room; what is read and what is written over does.
    pub(crate) fn set_room(&self, length: Option<usize>) {
        self.state().room = length;
    }

    /// Spoils all that is there, which is noticed at the next write.
    pub(super) fn damage(&self) {
        let state = &mut *self.state();
        state.now.fill(0xA5);
        state.synced.fill(0xA5);
        (state.unsynced, state.damaged) = (Vec::new(), true);
    }

    /// How long the file is.
    pub(super) fn length(&self) -> usize {
        self.state().now.len()
    }

    /// Databases that were moved aside.
    pub(super) fn moved_aside(&self) -> usize {
        self.state().aside.len()
    }

    /// Lets syncs wait until what it returns is dropped.
    pub(super) fn hold(&self) -> Held {
        self.state().held = true;
        Held(self.clone())
    }

    /// Returns once a sync waits, which must be soon.
    pub(super) fn wait_until_held(&self) {
        let (_, changed) = &*self.0;
        let waited =
            changed.wait_timeout_while(self.state(), Duration::from_secs(60), |state| !state.waiting);
        assert!(!waited.unwrap().1.timed_out(), "nothing is synced");
    }

    /// The disk after its power went: of what was not synced each sector is there or not.
    pub(super) fn after_power_loss(&self, chance: &mut Chance) -> Self {
        let state = self.state();
        let kept = [0, 1, 5, 9, 10][chance.below(5)];
        let mut keeps = || chance.below(10) < kept;
        let mut image = state.synced.clone();
        for operation in &state.unsynced {
            match operation {
                Operation::Length(length) if keeps() => image.resize(*length, 0),
                Operation::Length(_) => {}
                Operation::Write { at, data } => write_torn(&mut image, *at, data, &mut keeps),
            }
        }
        let after = State { now: image.clone(), synced: image, ..State::default() };
        Self(Arc::new((Mutex::new(after), Condvar::new())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }
}

fn write_torn(image: &mut [u8], at: usize, data: &[u8], keeps: &mut impl FnMut() -> bool) {
    let mut from = at;
    while from < at + data.len() {
        let to = ((from / SECTOR + 1) * SECTOR).min(at + data.len());
        // Beyond the end where the file did not become longer.
        if let Some(sector) = image.get_mut(from..to).filter(|_| keeps()) {
            sector.copy_from_slice(&data[from - at..to - at]);
        }
        from = to;
    }
}

impl State {
    /// An operation that changes something. The one during which the power goes is begun, as is for nobody to see.
    fn change(&mut self, operation: Operation) -> io::Result<()> {
        let begun = self.power != Some(0);
        let done = self.spend();
        if done.is_ok() {
            operation.apply(&mut self.now);
        }
        if begun {
            self.unsynced.push(operation);
        }
        done
    }

    /// The power for one operation.
    fn spend(&mut self) -> io::Result<()> {
        let Some(left) = &mut self.power else { return Ok(()) };
        *left = left.saturating_sub(1);
        if *left > 0 { Ok(()) } else { Err(io::Error::other("no power")) }
    }
}

impl Operation {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { at, data } => image[*at..*at + data.len()].copy_from_slice(data),
            Self::Length(length) => image.resize(*length, 0),
        }
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Simulated {
    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.state().now.len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (state, at) = (self.state(), place(offset));
        let bytes = state.now.get(at..at + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.state().change(Operation::Length(place(length)))
    }

    fn sync_data(&self) -> io::Result<()> {
        let (_, changed) = &*self.0;
        let mut state = self.state();
        if state.held {
            state.waiting = true;
            changed.notify_all();
            state = changed.wait_while(state, |state| state.held).unwrap();
            state.waiting = false;
        }
        state.spend()?;
        let state = &mut *state;
        state.unsynced.drain(..).for_each(|operation| operation.apply(&mut state.synced));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut state, at) = (self.state(), place(offset));
        if std::mem::take(&mut state.damaged) {
            return Err(ErrorKind::InvalidData.into());
        }
        if state.room.is_some_and(|room| at + data.len() > room) {
            return Err(ErrorKind::StorageFull.into());
        }
        state.change(Operation::Write { at, data: data.to_vec() })
    }
}

impl Place for Simulated {
    fn path(&self) -> &Path {
        Path::new("/simulated")
    }

    fn open(&self) -> io::Result<Box<dyn StorageBackend>> {
        Ok(Box::new(self.clone()))
    }

    fn set_aside(&self) -> io::Result<PathBuf> {
        let mut state = self.state();
        let image = std::mem::take(&mut state.now);
        state.aside.push(image);
        (state.synced, state.unsynced) = (Vec::new(), Vec::new());
        Ok(PathBuf::from("/simulated.damaged"))
    }

    fn allotted(&self) -> io::Result<u64> {
        self.len()
    }
}
