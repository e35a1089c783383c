// SPDX-License-Identifier: AGPL-3.0-or-later
//! What addresses say of streams to them.

use super::*;
use ratman_wire::api::{FilterAction, FilterRule, Senders};

const fn rule(from: Senders, at_least: Option<u64>, action: FilterAction) -> FilterRule {
    let at_least = match at_least {
        Some(least) => Some(ByteCount(least)),
        None => None,
    };
    FilterRule { from, at_least, action }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let (accept, deny) = (FilterAction::Accept, FilterAction::Deny);
    let mut mesh = Mesh::line(3);
    let sender = mesh.address(0);
    // The rules, whether the sender is a contact, the length, and whether it is taken.
    let table = [
        (vec![], false, 1000, true),
        (vec![rule(Senders::Anybody, None, deny.clone())], false, 0, false),
        (vec![rule(Senders::Anybody, Some(1000), deny.clone())], false, 999, true),
        (vec![rule(Senders::Anybody, Some(1000), deny.clone())], false, 1000, false),
        (vec![rule(Senders::Strangers, None, deny.clone())], false, 10, false),
        (vec![rule(Senders::Strangers, None, deny.clone())], true, 10, true),
        (vec![rule(Senders::Contacts, None, deny.clone())], true, 10, false),
        (vec![rule(Senders::Contacts, None, deny.clone())], false, 10, true),
        (vec![rule(Senders::Address(sender), None, deny.clone())], true, 10, false),
        (vec![rule(Senders::Address(mesh.address(1)), None, deny.clone())], true, 10, true),
        (
            vec![rule(Senders::Address(sender), Some(100), accept), rule(Senders::Anybody, None, deny)],
            false,
            100,
            true,
        ),
    ];
    for (rules, is_contact, length, is_taken) in table {
        let to = mesh.address(2);
        let streams = &mut mesh.node_mut(2).streams;
        streams.set_rules(to, rules.clone());
        streams.set_contacts(is_contact.then_some(sender).into_iter().collect());
        let key = mesh.send(0, 2, &content(length));
        mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key).is_some());
        let expected = if is_taken { Ended::Delivered } else { Ended::Refused };
        assert_eq!(mesh.has_ended(0, &key), Some(expected), "{rules:?} {is_contact} {length}");
    }
}

#[test]
fn rules_are_those_of_one_address_and_beside_the_operators() {
    let mut mesh = Mesh::line(3);
    let [sender, other] = [0, 1].map(|index| mesh.address(index));
    let deny = rule(Senders::Anybody, None, FilterAction::Deny);
    mesh.node_mut(2).streams.set_rules(other, vec![deny]);
    let key = mesh.send(0, 2, b"taken");
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key).is_some());
    assert_eq!(mesh.has_ended(0, &key), Some(Ended::Delivered));
    let (to, not_from) = (mesh.address(2), BTreeSet::from([sender]));
    let streams = &mut mesh.node_mut(2).streams;
    streams.set_rules(to, vec![rule(Senders::Anybody, None, FilterAction::Accept)]);
    streams.set_filter(StreamFilter { not_from, ..StreamFilter::default() });
    let key = mesh.send(0, 2, b"not taken");
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &key).is_some());
    assert_eq!(mesh.has_ended(0, &key), Some(Ended::Refused));
}
