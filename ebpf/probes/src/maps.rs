// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the programs share with each other and with the loader. Only the loader adds or removes anything.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray};
use ebpf_abi::{Conversation, Counters, Histogram, MAX_CONVERSATIONS, Stamps};

/// The conversations that the loader follows, and their place in the arrays. One search per packet; what is found by its
/// place takes no call of the kernel and touches little memory, of which most is not in the processor's caches.
#[map]
pub(crate) static FOLLOWED: HashMap<Conversation, u32> = HashMap::with_max_entries(MAX_CONVERSATIONS, 0);

/// What crossed. One value per processor, so that none waits and nothing is lost.
#[map]
pub(crate) static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(MAX_CONVERSATIONS, 0);

/// The time stamps that wait for their echo.
#[map]
pub(crate) static WAITING: Array<Stamps> = Array::with_max_entries(MAX_CONVERSATIONS, 0);

/// How long round trips took.
#[map]
pub(crate) static ROUND_TRIPS: Array<Histogram> = Array::with_max_entries(MAX_CONVERSATIONS, 0);
