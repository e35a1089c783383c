// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the programs share with each other and with the loader.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, LruHashMap, PerCpuHashMap};
use ebpf_abi::{Conversation, Counters, Histogram, MAX_CONVERSATIONS, MAX_STAMPS, Stamp};

/// What crossed, of the conversations that the loader follows. One value per processor, so that none waits and nothing is
/// lost; memory is taken when a conversation is added, which no program does.
#[map]
pub(crate) static COUNTERS: PerCpuHashMap<Conversation, Counters> =
    PerCpuHashMap::with_max_entries(MAX_CONVERSATIONS, BPF_F_NO_PREALLOC);

/// How long round trips took, of the same conversations.
#[map]
pub(crate) static ROUND_TRIPS: HashMap<Conversation, Histogram> =
    HashMap::with_max_entries(MAX_CONVERSATIONS, BPF_F_NO_PREALLOC);

/// When a time stamp was sent first; 0 once it was answered. What was used least recently makes room.
#[map]
pub(crate) static STAMPS: LruHashMap<Stamp, u64> = LruHashMap::with_max_entries(MAX_STAMPS, 0);
