// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams to namespaces that several addresses of one router take part in, and what senders say beside the content.

use super::*;
use ratman_wire::stream::AuxiliaryData;

const ONE: Address = Address::from_bytes([51; 32]);
const OTHER: Address = Address::from_bytes([52; 32]);

impl Mesh {
    /// Whether a member was told that it has a stream, and whether that is stored.
    fn is_taken_by(&self, index: usize, stream: &StreamKey, of: Address) -> Option<bool> {
        self.events(index).find_map(|event| {
            let StreamEvent::TakenBy { key, member, durable } = event else { return None };
            ((*key, *member) == (*stream, of)).then_some(*durable)
        })
    }

    fn have_taken(&self, index: usize, stream: &StreamKey) -> [bool; 2] {
        [ONE, OTHER].map(|member| self.node(index).streams.has_taken(stream, &member))
    }
}

#[test]
fn a_stream_is_there_for_each_of_its_members_also_after_a_restart() {
    // In its manifest, and in blocks.
    for length in [20, 100_000] {
        let mut mesh = Mesh::line(2);
        mesh.subscribe(1);
        let content = content(length);
        let key = mesh.publish(0, &content);
        mesh.run_until(MINUTE, |mesh| mesh.is_here(1, &key));
        mesh.node_mut(1).streams.taken_by(&key, ONE);
        mesh.settle();
        assert_eq!(mesh.is_taken_by(1, &key, ONE), Some(true));
        assert_eq!(mesh.have_taken(1, &key), [true, false]);
        assert!(mesh.is_here(1, &key), "the other has not taken it");
        mesh.restart(1);
        assert_eq!(mesh.have_taken(1, &key), [false; 2], "nobody asks of what sleeps");
        mesh.subscribe(1);
        mesh.run_until(MINUTE, |mesh| mesh.is_here(1, &key));
        assert_eq!(mesh.have_taken(1, &key), [true, false]);
        assert_eq!(mesh.take_content(1, &key), content);
        assert!(!mesh.is_here(1, &key));
        mesh.run_for(10 * MINUTE);
        assert!(!mesh.is_here(1, &key));
    }
}

#[test]
fn the_streams_of_a_recipient_are_in_the_order_in_which_they_came() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let mut keys = Vec::new();
    for turn in 0..6 {
        let key = if turn % 2 == 0 { mesh.publish(0, b"to all") } else { mesh.send(0, 1, b"to one") };
        mesh.run_until(MINUTE, |mesh| mesh.is_here(1, &key));
        keys.push(key);
    }
    let streams = &mesh.node(1).streams;
    for first in [0, 1] {
        let expected: Vec<_> = keys[first..].iter().step_by(2).collect();
        assert_eq!(streams.arrivals_to(&keys[first].recipient).collect::<Vec<_>>(), expected);
    }
    assert_eq!(streams.arrival(&keys[3]).map(|arrival| arrival.key), Some(keys[3]));
    let stranger = Recipient::Address(ONE);
    assert_eq!(streams.arrivals_to(&stranger).count(), 0);
}

#[test]
fn who_takes_what_is_gone_hears_so() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let key = mesh.publish(0, b"short");
    mesh.run_until(MINUTE, |mesh| mesh.is_here(1, &key));
    mesh.take_content(1, &key);
    mesh.node_mut(1).streams.taken_by(&key, ONE);
    mesh.settle();
    assert_eq!(mesh.is_taken_by(1, &key, ONE), Some(true), "nobody gets it again");
}

#[test]
fn what_a_sender_says_beside_comes_with_the_stream() {
    let mut mesh = Mesh::line(3);
    let auxiliary_data = AuxiliaryData::new([(c"name", c"cat.jpg"), (c"topic", c"/pets")]).unwrap();
    for length in [0, 10, 50_000] {
        let new = NewStream { auxiliary_data: auxiliary_data.clone(), ..mesh.new_stream(0, 2, None) };
        let now = mesh.now();
        let key = mesh.node_mut(0).streams.send(new, now).unwrap();
        mesh.write_all(0, &key, &content(length)).unwrap();
        mesh.run_until(MINUTE, |mesh| mesh.is_here(2, &key));
        mesh.restart(2);
        let arrival = mesh.node(2).streams.arrival(&key).unwrap();
        assert_eq!(arrival.auxiliary_data, auxiliary_data, "{length} bytes");
        mesh.take_content(2, &key);
    }
}

#[test]
fn what_the_disk_does_not_take_of_it_is_told() {
    let mut mesh = Mesh::line(2);
    mesh.subscribe(1);
    let key = mesh.publish(0, b"short");
    mesh.run_until(MINUTE, |mesh| mesh.is_here(1, &key));
    mesh.settle();
    mesh.node_mut(1).disk_fails = true;
    mesh.node_mut(1).streams.taken_by(&key, ONE);
    mesh.run_until(MINUTE, |mesh| mesh.is_taken_by(1, &key, ONE) == Some(false));
    mesh.node_mut(1).disk_fails = false;
    assert_eq!(mesh.have_taken(1, &key), [false; 2]);
    mesh.restart(1);
    mesh.subscribe(1);
    mesh.run_until(MINUTE, |mesh| mesh.is_here(1, &key));
    assert_eq!(mesh.have_taken(1, &key), [false; 2]);
}

#[test]
fn either_end_ends_a_stream() {
    let mut mesh = Mesh::line(3);
    // Both are on their way for as long as there is no end to them.
    let [denied, withdrawn] = [(); 2].map(|()| {
        let key = mesh.open(0, 2, None);
        assert!(mesh.write(0, &key, &content(300_000)) > 100_000);
        key
    });
    mesh.run_until(MINUTE, |mesh| mesh.entries(2) > 12);
    let now = mesh.now();
    assert!(mesh.node_mut(2).streams.deny(&denied, now));
    assert!(mesh.node_mut(0).streams.withdraw(&withdrawn));
    mesh.run_until(MINUTE, |mesh| mesh.has_ended(0, &denied).is_some());
    assert_eq!(mesh.has_ended(0, &denied), Some(Ended::Refused));
    assert_eq!(mesh.has_ended(0, &withdrawn), Some(Ended::Withdrawn));
    mesh.settle();
    assert_eq!(mesh.entries(0), 0);
    assert!(!mesh.node_mut(0).streams.withdraw(&withdrawn), "once");
    let whole = mesh.send(0, 2, b"short");
    mesh.run_until(MINUTE, |mesh| mesh.is_here(2, &whole));
    let now = mesh.now();
    assert!(!mesh.node_mut(2).streams.deny(&whole, now), "its sender heard that it is delivered");
    mesh.run_for(mesh::LIFETIME + MINUTE);
    mesh.settle();
    assert_eq!(mesh.entries(2), 0, "what was denied left nothing");
}

#[test]
fn what_waited_comes_in_the_order_in_which_it_was_sent() {
    enum Waits {
        AtItsSender,
        WithACarrier,
        AtItsRecipient,
    }
    for (number, waits) in
        [Waits::AtItsSender, Waits::WithACarrier, Waits::AtItsRecipient].into_iter().enumerate()
    {
        let mut mesh = Mesh::line(3);
        match waits {
            Waits::AtItsSender => mesh.cut(Cut::Between(0, 1)),
            Waits::WithACarrier => mesh.cut(Cut::Between(1, 2)),
            Waits::AtItsRecipient => mesh.address_down(2),
        }
        let sent: Vec<_> = (0..8_u8)
            .map(|number| {
                let key = mesh.send(0, 2, &[number; 40]);
                mesh.run_until(MINUTE, |mesh| mesh.is_accepted(0, &key));
                mesh.run_for(Duration::from_millis(100));
                key
            })
            .collect();
        mesh.run_for(MINUTE);
        match waits {
            Waits::AtItsSender => mesh.join(0, 1),
            Waits::WithACarrier => mesh.join(1, 2),
            Waits::AtItsRecipient => mesh.address_up(2),
        }
        mesh.run_until(20 * MINUTE, |mesh| mesh.received(2) == sent.len());
        let come = mesh.events(2).filter_map(|event| {
            let StreamEvent::Received(arrival) = event else { return None };
            Some(arrival.key)
        });
        let order: Vec<_> = come.map(|key| sent.iter().position(|sent| *sent == key)).collect();
        if number == 0 {
            // Otherwise one that its sender repeats just then may be faster than what is carried; who asks for them has them in order.
            assert_eq!(order, (0..sent.len()).map(Some).collect::<Vec<_>>(), "case {number}");
        }
        let whole: Vec<_> = mesh.node(2).streams.arrivals_to(&sent[0].recipient).copied().collect();
        assert_eq!(whole, sent);
    }
}
