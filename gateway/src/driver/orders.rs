// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the desk orders of the control loop: addresses of clients that come and go, what these take, and what
//! the operator says of others.

use std::sync::Arc;

use ratman_types::{Address, Now, SecretKey, Signer};
use ratman_wire::api::FilterRule;
use tokio::sync::oneshot;
use tracing::info;

use super::{Driver, Parts};
use crate::contacts::Regard;

/// An order; answered when it is carried out.
#[derive(Debug)]
pub enum Order {
    /// To announce an address and take streams for it; nothing where that is so.
    Up(Arc<SecretKey>, oneshot::Sender<()>),
    /// To do neither any more; nothing where that is so.
    Down(Address, oneshot::Sender<()>),
    /// To forget an address for good, with what was sent to it and what it sends.
    Forget(Address, oneshot::Sender<()>),
    /// To heed what the operator says of addresses of others.
    Contacts(Regard, oneshot::Sender<()>),
    /// To take for an address only the streams that these rules take.
    Filters(Address, Vec<FilterRule>, oneshot::Sender<()>),
}

impl Driver {
    /// Heeds what the operator says of addresses of others.
    pub fn heed_contacts(&mut self, Regard { trust, named }: Regard) {
        self.parts.router.set_trust(trust, self.clock.now());
        if let Some(streams) = &self.parts.streams {
            streams.inlet().contacts(named);
        }
    }

    /// Carries out an order. Who gave it may have left.
    pub(super) fn carry_out(&mut self, order: Order) {
        let now = self.clock.now();
        let done = match order {
            Order::Up(key, done) => {
                self.address_up(key, now);
                done
            }
            Order::Down(address, done) => {
                self.address_down(&address, now);
                done
            }
            Order::Forget(address, done) => {
                self.address_down(&address, now);
                if let Some(streams) = &self.parts.streams {
                    streams.inlet().forget(address);
                }
                done
            }
            Order::Contacts(regard, done) => {
                self.heed_contacts(regard);
                done
            }
            Order::Filters(address, rules, done) => {
                if let Some(streams) = &self.parts.streams {
                    streams.inlet().rules(address, rules);
                }
                done
            }
        };
        let _ = done.send(());
    }

    fn address_up(&mut self, key: Arc<SecretKey>, now: Now) {
        let Parts { router, state, streams, .. } = &mut self.parts;
        let address = key.address();
        if router.is_local(&address) {
            return;
        }
        // Before the first frame for it can come.
        if let Some(streams) = streams {
            streams.inlet().local_up(Arc::clone(&key), router.initial_hops(&address));
        }
        let last = state.last_origin(&address).unwrap_or_default();
        router.add_local(key, last, now);
        info!(address = %address.short(), "the address of a client is up");
    }

    fn address_down(&mut self, address: &Address, now: Now) {
        let Parts { router, state, streams, .. } = &mut self.parts;
        if !router.is_local(address) {
            return;
        }
        let last = router.origin_times().find(|(other, _)| other == address);
        router.remove_local(address, now);
        if let Some(streams) = streams {
            streams.inlet().local_down(*address);
        }
        // So that the next time need not skip what was reserved.
        if let Some((_, time)) = last {
            state.settle_origin(*address, time, now.at);
        }
        info!(address = %address.short(), "the address of a client is down");
    }
}
