// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the driver refused and dropped, by reason.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// Totals since the driver started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct InetCounters {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl InetCounters {
            /// Every counter with its name, for tables.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)+
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> InetCounters {
                InetCounters { $($name: self.$name.get(),)+ }
            }
        }
    };
}

counters! {
    /// Inbound connections closed because all half-open places were taken.
    half_open_full,
    /// Inbound connections closed because their source had its share of half-open places.
    half_open_source_full,
    /// Proven neighbours refused because there was no place left for a link, for strangers, or for them.
    links_full,
    /// Peerings refused because no peer line names the router.
    unknown_router,
    /// Peerings refused because the peer line names another router.
    wrong_router_key,
    /// Peerings refused because the router has our own key.
    own_router_key,
    /// Peerings refused because a signature did not hold.
    bad_proof,
    /// Peerings refused because a 0.6 router can prove nothing.
    deployed_06,
    /// Peerings that were not finished within 5 s.
    late_peering,
    /// Peerings that failed because of a connection that ended or of other bytes than a peering has.
    broken_peering,
    /// Links closed because another one of the same routers and underlay addresses stays.
    duplicates,
    /// Links closed because a length was over the limit.
    bad_framing,
    /// Frames of modes 32–63 that came after the peering and were dropped.
    stray_peering_frames,
    /// Datagrams on the trains' port that are none of any link's: another form, another sender, a MAC that does not hold.
    strange_trains,
    /// Packets of trains that were over, came twice, or were more than a neighbour may send.
    surplus_trains,
    /// Reports that do not fit the train that was sent, or of none.
    bad_train_reports,
    /// Frames dropped on the way out: a full control queue, a link that was down, a frame above the MTU, a data call
    /// above its limit.
    dropped_frames,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
