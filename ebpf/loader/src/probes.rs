// SPDX-License-Identifier: AGPL-3.0-or-later
//! The probes as the driver has them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use aya::programs::SchedClassifier;
use aya::{Ebpf, EbpfLoader};
use ebpf_abi::MAX_CONVERSATIONS;
use ratman_types::{Hop, LinkSample, Timestamp};
use tracing::debug;

use crate::attachments::{Attachments, PROGRAMS, remove_leftovers};
use crate::conversation::Conversation;
use crate::error::{AttachError, FollowError, LoadError};
use crate::followed::{Followed, Since};
use crate::hook::Hook;
use crate::interface::Interface;
use crate::kernel_log::KernelLog;
use crate::maps::{Maps, Place};
use crate::object::object;

/// Whether [`Probes::load`] would probably succeed in this thread: asks the kernel, and loads and removes nothing.
///
/// # Errors
/// As [`Probes::load`], but for what only the verifier finds.
pub fn loadable() -> Result<Hook, LoadError> {
    let hook = Hook::of_this_kernel().map_err(LoadError::TooOld)?;
    object().ok_or(LoadError::NoObject)?;
    LoadError::unless_permitted()?;
    Ok(hook)
}

/// Programs in the kernel, the interfaces that they are attached to, and the conversations that they count.
///
/// Dropping it removes all of them. After [`load`](Self::load) CAP_BPF and CAP_PERFMON can be given up;
/// [`watch`](Self::watch) needs CAP_NET_ADMIN, and the rest nothing.
pub struct Probes {
    // In this order they are dropped: first nothing runs any more.
    attachments: Attachments,
    object: Ebpf,
    maps: Maps,
    log: KernelLog,
    followed: BTreeMap<ebpf_abi::Conversation, Followed>,
    /// Places that nobody has, those longest free first: a packet that was on its way when its conversation went is
    /// not credited to the next one.
    free: VecDeque<Place>,
}

impl Probes {
    /// Loads the programs, for interfaces with and without Ethernet headers, with the better hook that this kernel has.
    ///
    /// # Errors
    /// Every variant of [`LoadError`].
    pub fn load() -> Result<Self, LoadError> {
        Self::load_for(Hook::of_this_kernel().map_err(LoadError::TooOld)?)
    }

    /// As [`load`](Self::load), but with this hook, whether or not the kernel has a better one. With [`Hook::Clsact`], what
    /// an earlier process left attached in this network namespace is removed first, whether or not anything can be loaded
    /// then; two gateways in one namespace take away each other's probes there.
    ///
    /// # Errors
    /// Every variant of [`LoadError`] but that of an old kernel.
    pub fn load_for(hook: Hook) -> Result<Self, LoadError> {
        match hook {
            Hook::Tcx => {}
            Hook::Clsact => remove_leftovers(),
        }
        let code = object().ok_or(LoadError::NoObject)?;
        LoadError::unless_permitted()?;
        let level = KernelLog::level();
        let loaded = EbpfLoader::new().override_global(aya_log::LEVEL, &level, true).load(code);
        let mut object = loaded.map_err(LoadError::from_object)?;
        let log = KernelLog::of(&mut object).map_err(|error| LoadError::Object(error.to_string()))?;
        let maps = Maps::of(&mut object).map_err(|error| LoadError::Object(error.to_string()))?;
        for (name, _) in PROGRAMS {
            let missing = || LoadError::Object(format!("it has no program {name}"));
            let program = object.program_mut(name).ok_or_else(missing)?;
            let program: &mut SchedClassifier = program.try_into().map_err(|_| missing())?;
            program.load().map_err(|error| LoadError::from_verifier(name, error))?;
        }
        let (attachments, free) = (Attachments::none(hook), (0..MAX_CONVERSATIONS).map(Place).collect());
        Ok(Self { attachments, object, maps, log, followed: BTreeMap::new(), free })
    }

    /// How they are attached.
    #[must_use]
    pub const fn hook(&self) -> Hook {
        self.attachments.hook()
    }

    /// Attaches and detaches so that exactly these interfaces are measured on. They are looked for in the network namespace
    /// of this thread. What is attached already stays as it is, so that nothing is missed.
    ///
    /// What comes back are the interfaces that could not be had; the others are attached, and the next call tries again.
    #[must_use = "an interface that is not watched measures nothing"]
    pub fn watch(&mut self, interfaces: &[Interface]) -> Vec<AttachError> {
        self.attachments.set(&mut self.object, interfaces)
    }

    /// Counts exactly these conversations, new ones from zero. A hop may have several, whose figures are taken
    /// together; one that now belongs to another hop begins anew.
    ///
    /// # Errors
    /// [`FollowError::Full`] beyond 1024 conversations, the last of which are then left out; [`FollowError::Kernel`]. All that
    /// can be counted is, in both cases, and the next call tries again.
    pub fn follow(&mut self, conversations: &[(Hop, Conversation)]) -> Result<(), FollowError> {
        let limit = usize::try_from(MAX_CONVERSATIONS).expect("a thousand");
        let wanted: BTreeMap<_, _> =
            conversations.iter().take(limit).map(|(hop, conversation)| (conversation.key(), *hop)).collect();
        let (maps, free) = (&mut self.maps, &mut self.free);
        self.followed.retain(|key, followed| {
            let keep = wanted.get(key) == Some(&followed.hop);
            if !keep {
                maps.remove(*key);
                free.push_back(followed.place);
            }
            keep
        });
        let mut result = match conversations.len().saturating_sub(limit) {
            0 => Ok(()),
            left => Err(FollowError::Full { left }),
        };
        for (key, hop) in wanted {
            if self.followed.contains_key(&key) {
                continue;
            }
            let place = self.free.pop_front().expect("there are as many places as conversations");
            match self.maps.add(key, place) {
                Ok(()) => {
                    self.followed.insert(key, Followed::new(hop, place));
                }
                Err(error) => {
                    self.free.push_front(place);
                    result = Err(error.into());
                }
            }
        }
        result
    }

    /// What was measured since the last call, at most one sample per hop: round trips in TCP, at the tenth and ninetieth
    /// percentile, and traffic on the wire. The first call tells no traffic of a conversation, as its time is not
    /// known, nor does any before a packet was counted each way: what is never seen (addresses that are translated here,
    /// IPsec, another way back) is not idle. Takes about 10 µs per conversation, and passes on what the programs said to the log.
    pub fn samples(&mut self, now: Timestamp) -> Vec<(Hop, LinkSample)> {
        self.log.pass_on();
        let mut hops: BTreeMap<Hop, Since> = BTreeMap::new();
        for followed in self.followed.values_mut() {
            let read = self.maps.counters(followed.place).and_then(|counters| {
                let heard = followed.has_heard(&counters);
                Ok((counters, if heard { Some(self.maps.round_trips(followed.place)?) } else { None }))
            });
            match read {
                Ok((counters, histogram)) => {
                    let since = hops.entry(followed.hop).or_insert_with(Since::nothing);
                    followed.advance(counters, histogram, now, since);
                }
                Err(error) => {
                    debug!(%error, link = %followed.hop.link, "the kernel does not tell what it counted")
                }
            }
        }
        hops.into_iter().filter_map(|(hop, since)| Some((hop, since.sample(now)?))).collect()
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").field("followed", &self.followed.len()).finish_non_exhaustive()
    }
}
