// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which streams are taken: what the operator says of all addresses here, and then what each address says of its own.

use std::collections::BTreeSet;

use ratman_types::{Address, ByteCount, Recipient};
use ratman_wire::api::{FilterAction, FilterRule, Senders};

use super::{StreamFilter, StreamKey, Streams};

impl Streams {
    /// Takes other rules of the operator's; what was taken already stays.
    pub fn set_filter(&mut self, filter: StreamFilter) {
        self.config.filter = filter;
    }

    /// Takes other rules of an address, up or not: the first that matches a stream to it decides, and without one it is taken. What was
    /// taken already stays. How many there may be is for the driver to say.
    pub fn set_rules(&mut self, address: Address, rules: Vec<FilterRule>) {
        if rules.is_empty() {
            self.rules.remove(&address);
        } else {
            self.rules.insert(address, rules);
        }
    }

    /// Whom rules of addresses mean by contacts.
    pub fn set_contacts(&mut self, contacts: BTreeSet<Address>) {
        self.contacts = contacts;
    }

    /// Whether a stream with so much content is refused.
    pub(super) fn refuses(&self, key: &StreamKey, size: ByteCount) -> bool {
        self.config.filter.refuses(&key.sender, &key.recipient, size) || self.is_denied(key, size)
    }

    fn is_denied(&self, key: &StreamKey, size: ByteCount) -> bool {
        let Recipient::Address(to) = &key.recipient else { return false };
        let mut rules = self.rules.get(to).into_iter().flatten();
        let first = rules.find(|rule| self.is_about(rule, &key.sender, size));
        first.is_some_and(|rule| rule.action == FilterAction::Deny)
    }

    fn is_about(&self, rule: &FilterRule, sender: &Address, size: ByteCount) -> bool {
        let is_from = match &rule.from {
            Senders::Anybody => true,
            Senders::Address(from) => from == sender,
            Senders::Contacts => self.contacts.contains(sender),
            Senders::Strangers => !self.contacts.contains(sender),
        };
        is_from && rule.at_least.is_none_or(|least| size >= least)
    }
}
