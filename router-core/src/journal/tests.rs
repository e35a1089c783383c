// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;
use ratman_types::{Address, Namespace};
use ratman_wire::stream::StreamId;

use super::*;

const KIB: u64 = 1024;

fn key(role: Role, stream: u8) -> GroupKey {
    GroupKey {
        role,
        sender: Address::from_bytes([1; 32]),
        recipient: Recipient::Address(Address::from_bytes([2; 32])),
        stream: Some(StreamId::from_bytes([stream; 32])),
    }
}

fn neighbour(number: u8) -> Option<RouterId> {
    Some(RouterId::from_bytes([number; 32]))
}

fn later(seconds: u64) -> WallTime {
    WallTime::from_micros(seconds * 1_000_000)
}

fn name(number: u64) -> [u8; 32] {
    let mut name = [0; 32];
    name[..8].copy_from_slice(&number.to_be_bytes());
    name
}

/// Adds an entry as drivers do: room first, and what has to leave does.
fn add(
    journal: &mut Journal,
    group: GroupNumber,
    number: u64,
    bytes: u32,
) -> Result<Vec<GroupNumber>, JournalFull> {
    let leaving = journal.room_for(group, bytes.into())?;
    for number in &leaving {
        journal.remove(*number).unwrap();
    }
    journal.insert(group, name(number), bytes);
    Ok(leaving)
}

#[test]
fn what_may_go_and_what_is_of_a_stream_is_found_as_a_look_at_all_finds_it() {
    let mut journal = Journal::new(ByteCount(100 * KIB));
    let [none, all] = [0, u8::MAX].map(|byte| [byte; 32]);
    let recipients = [none, [3; 32], all]
        .map(|to| {
            [Recipient::Address(Address::from_bytes(to)), Recipient::Namespace(Namespace::from_bytes(to))]
        })
        .concat();
    let streams = [None, Some(none), Some([7; 32]), Some(all)].map(|stream| stream.map(StreamId::from_bytes));
    let mut numbers = Vec::new();
    for (role, recipient) in [Role::Carried, Role::Flooded, Role::Shared]
        .into_iter()
        .flat_map(|role| recipients.iter().rev().map(move |to| (role, *to)))
    {
        for (sender, stream) in
            [none, [7; 32], all].into_iter().flat_map(|sender| streams.map(|stream| (sender, stream)))
        {
            let sender = Address::from_bytes(sender);
            let by = neighbour(1).filter(|_| stream.is_none());
            let key = GroupKey { role, recipient, sender, stream };
            numbers.push(journal.open(key, by, later(9)).unwrap());
        }
    }
    for role in [Role::Sent, Role::Carried, Role::Flooded, Role::Shared] {
        for (sender, stream) in [none, [7; 32], all, [9; 32]].map(|of| (Address::from_bytes(of), of)) {
            let stream = StreamId::from_bytes(stream);
            let is_it = |number: &GroupNumber| {
                let key = journal.get(*number).unwrap().key;
                (key.sender, key.stream) == (sender, Some(stream))
            };
            let expected: Vec<_> = journal.of_role(role).into_iter().filter(is_it).collect();
            assert_eq!(journal.of_stream(role, sender, stream), expected);
        }
    }
    for (place, number) in numbers.into_iter().enumerate() {
        for by in [None, neighbour(1), neighbour(2)] {
            let is_it = |number: &GroupNumber| {
                let group = journal.get(*number).unwrap();
                group.hold == Hold::Loose && group.brought_by == by
            };
            let expected = journal.of_role(Role::Flooded).into_iter().find(is_it);
            assert_eq!(journal.oldest_loose(Role::Flooded, by), expected);
        }
        if place % 3 == 0 {
            journal.hold(number);
        } else {
            journal.remove(number);
        }
    }
}

#[test]
fn a_group_is_found_by_its_key_and_its_recipient_and_its_entries_by_name() {
    let mut journal = Journal::new(ByteCount(100 * KIB));
    let first = journal.open(key(Role::Received, 1), neighbour(1), later(9)).unwrap();
    let second = journal.open(key(Role::Carried, 1), neighbour(1), later(9)).unwrap();
    assert_eq!(journal.open(key(Role::Received, 1), neighbour(2), later(5)), Ok(first), "there already");
    assert_eq!(journal.insert(first, name(7), 500), Some(Entry { number: 0, bytes: 500 }));
    assert_eq!(journal.insert(first, name(8), 600), Some(Entry { number: 1, bytes: 600 }));
    assert_eq!(journal.insert(first, name(7), 500), None, "a duplicate");
    let group = journal.get(first).unwrap();
    assert_eq!(group.find(&name(8)), Some(Entry { number: 1, bytes: 600 }));
    assert_eq!((group.find(&name(9)), group.len(), group.bytes()), (None, 2, ByteCount(1_100)));
    assert_eq!(journal.used(), ByteCount(1_100 + 3 * OVERHEAD));
    let of_recipient = |journal: &Journal, number| -> Vec<GroupNumber> {
        let recipient = Recipient::Address(Address::from_bytes([number; 32]));
        journal.of_recipient(recipient).map(|(number, _)| number).collect()
    };
    assert_eq!(of_recipient(&journal, 2), [second, first], "the newest first");
    assert_eq!(of_recipient(&journal, 3), []);
    assert_eq!(journal.remove(first).unwrap().len(), 2);
    assert_eq!((journal.find(&key(Role::Received, 1)), journal.used()), (None, ByteCount(0)));
    assert_eq!(of_recipient(&journal, 2), [second]);
}

#[test]
fn what_a_flood_brings_leaves_first_and_what_others_brought_stays() {
    let mut journal = Journal::new(ByteCount(40 * KIB));
    let quiet = journal.open(key(Role::Received, 0), neighbour(1), later(9)).unwrap();
    add(&mut journal, quiet, 0, 4_096).unwrap();
    let mut flood = Vec::new();
    for stream in 1..=5 {
        flood.push(journal.open(key(Role::Received, stream), neighbour(2), later(9)).unwrap());
        add(&mut journal, flood[flood.len() - 1], 0, 4_096).unwrap();
    }
    // The share of what is received is three quarters, and full.
    let more = journal.open(key(Role::Sent, 9), None, later(9)).unwrap();
    journal.hold(more);
    for number in 0..3 {
        assert_eq!(add(&mut journal, more, number, 4_096), Ok(vec![]));
    }
    let newest = [flood[3], flood[4]];
    assert_eq!(add(&mut journal, more, 3, 8_192), Ok(newest.to_vec()), "of whoever fills most the newest");
    assert!(journal.get(quiet).is_some());
    assert_eq!(journal.counters().evicted, 2);
}

#[test]
fn who_fills_most_finds_no_room_for_more_at_the_expense_of_what_is_older() {
    let mut journal = Journal::new(ByteCount(17 * KIB));
    let older = journal.open(key(Role::Received, 1), neighbour(1), later(9)).unwrap();
    let newer = journal.open(key(Role::Received, 2), neighbour(1), later(9)).unwrap();
    add(&mut journal, older, 0, 8_000).unwrap();
    let filler = journal.open(key(Role::Sent, 3), None, later(9)).unwrap();
    journal.hold(filler);
    add(&mut journal, filler, 0, 8_000).unwrap();
    assert_eq!(add(&mut journal, newer, 0, 2_000), Err(JournalFull::Bytes));
    assert_eq!(journal.counters(), JournalCounters { refused: 1, ..JournalCounters::default() });
    assert!(journal.get(older).is_some_and(|group| group.len() == 1), "nothing left for it");
    // The older one may take the place of the newer one, which has nothing yet, and that does not suffice either.
    assert_eq!(add(&mut journal, older, 1, 2_000), Err(JournalFull::Bytes));
}

#[test]
fn what_was_promised_never_makes_room() {
    let mut journal = Journal::new(ByteCount(64 * KIB));
    let received = journal.open(key(Role::Received, 1), neighbour(1), later(9)).unwrap();
    for number in 0..7 {
        add(&mut journal, received, number, 4_096).unwrap();
    }
    journal.hold(received);
    let own = journal.open(key(Role::Sent, 1), None, later(9)).unwrap();
    journal.hold(own);
    for number in 0..8 {
        add(&mut journal, own, number, 4_096).unwrap();
    }
    assert_eq!(add(&mut journal, own, 9, 4_096), Err(JournalFull::Bytes));
    assert_eq!(journal.get(received).unwrap().len(), 7);
    journal.remove(received).unwrap();
    assert_eq!(add(&mut journal, own, 9, 4_096), Ok(vec![]));
}

/// Fills a journal with entries that have to stay, for as long as it takes them; how many those are, and why no more.
fn fill(journal: &mut Journal, from: u8, bytes: u32, groups: usize) -> (usize, JournalFull) {
    let mut taken = 0;
    loop {
        let serial = |number: usize| u64::try_from(1_000_000 * usize::from(from) + number).unwrap();
        let stream = StreamId::from_bytes(name(serial(taken % groups)));
        let key = GroupKey { stream: Some(stream), ..key(Role::Carried, 0) };
        let added = journal.open(key, neighbour(from), later(9)).and_then(|group| {
            journal.hold(group);
            let number = serial(journal.get(group).unwrap().len());
            add(journal, group, number, bytes)
        });
        match added {
            Ok(leaving) => assert_eq!(leaving, [], "what has to stay"),
            Err(full) => return (taken, full),
        }
        taken += 1;
    }
}

#[test]
fn who_fills_the_journal_for_others_leaves_room_for_the_next() {
    // What may be carried are 64 frames with their costs, in so few groups that theirs do not count.
    let mut journal = Journal::new(ByteCount(2 * 64 * (4_096 + OVERHEAD) + 10 * OVERHEAD));
    let refused = JournalFull::Neighbour;
    assert_eq!(fill(&mut journal, 1, 4_096, 1), (32, refused), "half of it");
    assert_eq!(fill(&mut journal, 2, 4_096, 1), (16, refused), "half of the rest");
    assert_eq!(fill(&mut journal, 3, 4_096, 1), (8, refused));
    assert_eq!(journal.counters(), JournalCounters { refused: 3, beyond_share: 3, ..Default::default() });
    assert_eq!(refused.drop_reason(), DropReason::CarriedShare);
    // Also of what was there before a restart.
    let mut again = Journal::new(journal.quota);
    for (number, group) in &journal.groups {
        again.restore(*number, group.clone());
    }
    assert_eq!(fill(&mut again, 2, 4_096, 1), (0, refused));
    let gone = journal.of_role(Role::Carried)[0];
    journal.remove(gone).unwrap();
    assert_eq!(fill(&mut journal, 2, 4_096, 1).0, 12, "as much as is free then");
    let ours = journal.open(key(Role::Sent, 1), None, later(9)).unwrap();
    assert_eq!(
        add(&mut journal, ours, 1, 4_096),
        Ok(vec![]),
        "what is not carried has nothing to do with it"
    );
}

#[test]
fn the_frames_and_streams_of_one_neighbour_are_bounded_too() {
    let mut journal = Journal::new(ByteCount(u64::MAX / 2));
    let frames = Role::Carried.share_of_entries() / 2;
    assert_eq!(fill(&mut journal, 1, 1, 1), (frames, JournalFull::Neighbour));
    assert_eq!(fill(&mut journal, 2, 1, 1), (frames / 2, JournalFull::Neighbour));
    let mut journal = Journal::new(ByteCount(u64::MAX / 2));
    let groups = Role::Carried.share_of_groups() / 2;
    assert_eq!(fill(&mut journal, 1, 1, usize::MAX), (groups, JournalFull::Neighbour));
    assert_eq!(fill(&mut journal, 2, 1, usize::MAX), (groups / 2, JournalFull::Neighbour));
}

#[test]
fn groups_expire_in_the_order_of_their_ends() {
    let mut journal = Journal::new(ByteCount(64 * KIB));
    let late = journal.open(key(Role::Received, 1), neighbour(1), later(9)).unwrap();
    let early = journal.open(key(Role::Carried, 2), neighbour(1), later(3)).unwrap();
    journal.hold(early);
    assert_eq!(journal.next_end(), Some(later(3)));
    assert!(journal.take_expired(later(2)).is_none());
    assert_eq!(journal.take_expired(later(9)).map(|(number, _)| number), Some(early));
    assert_eq!(journal.take_expired(later(9)).map(|(number, _)| number), Some(late));
    assert!(journal.take_expired(later(9)).is_none());
    assert_eq!((journal.next_end(), journal.counters().expired), (None, 2));
}

#[test]
fn there_is_room_for_so_many_streams_and_no_more() {
    let mut journal = Journal::new(ByteCount(u64::MAX));
    let numbered = |number: usize| {
        let stream = StreamId::from_bytes(name(u64::try_from(number).unwrap()));
        GroupKey { stream: Some(stream), ..key(Role::Received, 0) }
    };
    let quarter = MAX_GROUPS / 4;
    for number in 0..quarter {
        journal.open(numbered(number), neighbour(1), later(9)).unwrap();
    }
    assert_eq!(
        journal.open(numbered(MAX_GROUPS), neighbour(1), later(9)),
        Err(JournalFull::Groups),
        "a neighbour"
    );
    for number in quarter..MAX_GROUPS / 2 {
        let neighbour = neighbour(2 + u8::try_from(number / quarter).unwrap());
        journal.open(numbered(number), neighbour, later(9)).unwrap();
    }
    let of_role = |role, number| GroupKey { role, ..numbered(number) };
    for (role, share) in [(Role::Carried, MAX_GROUPS / 4), (Role::Flooded, MAX_GROUPS / 8)] {
        let full = journal.open(numbered(MAX_GROUPS), neighbour(9), later(9));
        assert_eq!(full, Err(JournalFull::Groups), "its share, before that of {role}");
        for number in 0..share {
            // Each of another neighbour, as none may fill the share.
            let neighbour = RouterId::from_bytes(name(u64::try_from(number).unwrap()));
            let group = journal.open(of_role(role, number), Some(neighbour), later(9)).unwrap();
            // That it has to stay makes no place for more.
            journal.hold(group);
        }
        let full = journal.open(of_role(role, MAX_GROUPS), neighbour(9), later(9));
        assert_eq!(full, Err(JournalFull::Groups), "the share of {role}");
    }
    let own = |number| of_role(Role::Sent, number);
    for number in 0..MAX_GROUPS / 8 {
        journal.open(own(number), None, later(9)).unwrap();
    }
    assert_eq!(journal.open(own(MAX_GROUPS), None, later(9)), Err(JournalFull::Groups), "and ours");
}

#[test]
fn there_is_room_for_so_many_blocks_and_no_more() {
    let mut journal = Journal::new(ByteCount(u64::MAX / 2));
    let full = journal.open(key(Role::Received, 1), neighbour(1), later(9)).unwrap();
    for number in 0..u64::try_from(MAX_ENTRIES / 4 * 3).unwrap() {
        journal.insert(full, name(number), 64).unwrap();
    }
    let next = journal.open(key(Role::Received, 2), neighbour(2), later(9)).unwrap();
    assert_eq!(journal.room_for(next, 64), Ok(vec![full]), "of what has the same share");
    journal.hold(full);
    assert_eq!(journal.room_for(next, 64), Err(JournalFull::Share(Role::Received)));
    let own = journal.open(key(Role::Sent, 1), None, later(9)).unwrap();
    journal.hold(own);
    for number in 0..u64::try_from(MAX_ENTRIES / 4).unwrap() {
        assert_eq!(journal.room_for(own, 64), Ok(vec![]));
        journal.insert(own, name(number), 64).unwrap();
    }
    journal.remove(next);
    assert_eq!(journal.room_for(own, 64), Err(JournalFull::Entries));
}

#[test]
fn a_restored_journal_is_the_one_that_was() {
    let mut journal = Journal::new(ByteCount(64 * KIB));
    let mut group = Group::new(key(Role::Sent, 1), None, later(9));
    group.insert(name(1), 100).unwrap();
    group.hold = Hold::Firm;
    journal.restore(GroupNumber(17), group);
    assert_eq!(journal.find(&key(Role::Sent, 1)), Some(GroupNumber(17)));
    assert_eq!(journal.used(), ByteCount(100 + 2 * OVERHEAD));
    let next = journal.open(key(Role::Sent, 2), None, later(9)).unwrap();
    assert_eq!(next, GroupNumber(18), "numbers are never used twice");
}

/// What a journal is asked to do.
#[derive(Clone, Debug)]
enum Step {
    Open(u8, u8, u8),
    Add(u8, u16),
    Hold(u8),
    Remove(u8),
    Expire(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_u8..3, 0_u8..8, 0_u8..3).prop_map(|(role, stream, from)| Step::Open(role, stream, from)),
        6 => (0_u8..12, 1_u16..9_000).prop_map(|(group, bytes)| Step::Add(group, bytes)),
        1 => (0_u8..12).prop_map(Step::Hold),
        1 => (0_u8..12).prop_map(Step::Remove),
        1 => (0_u8..20).prop_map(Step::Expire),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_quota_holds_and_what_is_held_stays(steps in proptest::collection::vec(step(), 0..120)) {
        let quota = ByteCount(48 * KIB);
        let mut journal = Journal::new(quota);
        let mut held = BTreeSet::new();
        for (serial, step) in (0_u64..).zip(steps) {
            match step {
                Step::Open(role, stream, from) => {
                    let role = [Role::Sent, Role::Received, Role::Carried][usize::from(role)];
                    journal.open(key(role, stream), neighbour(from), later(u64::from(stream))).unwrap();
                }
                Step::Add(group, bytes) => {
                    if let Ok(leaving) = add(&mut journal, GroupNumber(group.into()), serial, bytes.into()) {
                        prop_assert!(leaving.iter().all(|number| !held.contains(number)));
                        prop_assert!(!leaving.contains(&GroupNumber(group.into())));
                    }
                }
                Step::Hold(group) => {
                    let number = GroupNumber(group.into());
                    journal.hold(number);
                    if journal.get(number).is_some() {
                        held.insert(number);
                    }
                }
                Step::Remove(group) => {
                    held.remove(&GroupNumber(group.into()));
                    journal.remove(GroupNumber(group.into()));
                }
                Step::Expire(seconds) => {
                    while let Some((number, _)) = journal.take_expired(later(seconds.into())) {
                        held.remove(&number);
                    }
                }
            }
            prop_assert!(journal.used().0 <= quota.0);
            prop_assert!(held.iter().all(|number| journal.get(*number).is_some()));
            let costs: u64 = journal.groups.values().map(Group::cost).sum();
            prop_assert_eq!(costs, journal.used().0);
            let loose: u64 = journal.loose.values().map(|loose| loose.bytes).sum();
            let may_go = journal.groups.values().filter(|group| group.hold == Hold::Loose);
            prop_assert_eq!(loose, may_go.map(Group::cost).sum::<u64>());
            prop_assert_eq!(journal.entries.iter().sum::<usize>(), journal.groups.values().map(Group::len).sum::<usize>());
            prop_assert!(journal.shares.is_sum_of(journal.groups.values()));
            prop_assert_eq!(journal.by_key.len(), journal.groups.len());
            prop_assert_eq!(journal.by_end.len(), journal.groups.len());
            prop_assert_eq!(journal.by_recipient.len(), journal.groups.len());
        }
    }
}
