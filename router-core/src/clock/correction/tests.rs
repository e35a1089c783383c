// SPDX-License-Identifier: AGPL-3.0-or-later
use super::*;
use proptest::prelude::*;

const BUILD: WallTime = WallTime::from_micros(1_000_000_000_000);
const SECOND: i64 = 1_000_000;

fn now() -> Now {
    Now { at: Timestamp::from_micros(50_000_000), wall: BUILD + Duration::from_secs(1_000) }
}

fn router(number: usize) -> RouterId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    RouterId::from_bytes(bytes)
}

/// A router whose neighbours' clocks are ahead of `from` by these microseconds.
fn with(from: Now, offsets: &[i64]) -> ClockCorrection {
    let mut clock = ClockCorrection::new(BUILD);
    let rtt = Duration::from_millis(40);
    for (number, offset) in offsets.iter().enumerate() {
        clock.observe(router(number), true, from.wall.shifted(*offset), from.at - rtt / 2, rtt);
    }
    clock
}

#[test]
fn the_median_with_our_own_vote() {
    let table: &[(&[i64], i64)] = &[
        (&[], 0),
        (&[9], 0),
        (&[-9], 0),
        (&[9, 7], 7),
        (&[-9, 7], 0),
        (&[5, 7, 9], 5),
        (&[-5, -7, -9], -5),
        (&[-5, 3, 4], 0),
        (&[5, 5, 5, 5], 5),
    ];
    for (offsets, expected) in table {
        assert_eq!(with(now(), offsets).micros(now()), *expected, "{offsets:?}");
    }
}

#[test]
fn a_leaf_whose_neighbour_lies_keeps_its_own_time() {
    let clock = with(now(), &[240 * SECOND]);
    assert_eq!(clock.corrected(now()), now().wall);
    assert_eq!(clock.skew(now()), None);
}

#[test]
fn a_clock_before_the_build_date_has_no_vote() {
    let dead = Now { wall: WallTime::from_micros(5), ..now() };
    let clock = with(now(), &[0, 3, 4]);
    assert_eq!(clock.corrected(dead), now().wall + Duration::from_micros(3), "ours");
    assert_eq!(clock.told(dead), WallTime::default());
    assert_eq!(clock.told(now()), now().wall);
    let mut clock = with(now(), &[7, 7]);
    clock.observe(router(0), true, WallTime::default(), now().at, Duration::ZERO);
    assert_eq!(clock.micros(now()), 0, "a neighbour's, and its former vote is gone");
    assert_eq!(with(now(), &[]).micros(dead), 0, "nobody's");
    assert_eq!(with(now(), &[4, -7]).corrected(dead), now().wall.shifted(-7), "the smaller correction");
}

#[test]
fn a_step_of_our_own_clock_is_corrected_without_new_readings() {
    let clock = with(now(), &[0, 0]);
    let stepped = Now { wall: now().wall.shifted(-240 * SECOND), ..now() };
    assert_eq!(clock.corrected(stepped), now().wall);
    assert_eq!(clock.skew(stepped), Some(240 * SECOND));
    let later = now() + Duration::from_secs(60);
    assert_eq!(clock.corrected(later), later.wall);
}

#[test]
fn the_warning_begins_above_a_minute() {
    assert_eq!(with(now(), &[60 * SECOND; 2]).skew(now()), None);
    assert_eq!(with(now(), &[-60 * SECOND - 1; 2]).skew(now()), Some(-60 * SECOND - 1));
}

#[test]
fn votes_are_limited() {
    let mut clock = with(now(), &[5; MAX_VOTES]);
    clock.observe(router(MAX_VOTES), true, now().wall, now().at, Duration::ZERO);
    assert_eq!((clock.votes.len(), clock.surplus()), (MAX_VOTES, 1));
    clock.observe(router(0), true, now().wall, now().at, Duration::ZERO);
    assert_eq!(clock.surplus(), 1, "one of them speaks again");
    clock.forget(&router(1));
    clock.observe(router(MAX_VOTES), true, now().wall, now().at, Duration::ZERO);
    assert_eq!((clock.votes.len(), clock.surplus()), (MAX_VOTES, 1));
}

/// As [`with`], but these are strangers who dialed us; they come after the others.
fn add_strangers(clock: &mut ClockCorrection, from: Now, offsets: &[i64]) {
    for (number, offset) in offsets.iter().enumerate() {
        clock.observe(router(1_000 + number), false, from.wall.shifted(*offset), from.at, Duration::ZERO);
    }
}

#[test]
fn strangers_are_outvoted_by_us_and_those_whom_we_dialed() {
    let dead = Now { wall: WallTime::from_micros(5), ..now() };
    for dialed in 1..5 {
        let mut clock = with(now(), &vec![0; dialed]);
        add_strangers(&mut clock, now(), &[200 * SECOND; 50]);
        assert_eq!(clock.micros(now()), 0, "{dialed} dialed");
        assert_eq!(clock.corrected(dead), now().wall, "{dialed} dialed, and our own clock has no vote");
    }
}

#[test]
fn strangers_who_agree_with_those_whom_we_dialed_correct_us() {
    let mut clock = with(now(), &[200 * SECOND]);
    assert_eq!(clock.micros(now()), 0, "one alone may lie");
    add_strangers(&mut clock, now(), &[200 * SECOND]);
    assert_eq!(clock.micros(now()), 200 * SECOND);
}

#[test]
fn where_we_dialed_nobody_the_first_two_strangers_count() {
    let mut clock = with(now(), &[]);
    add_strangers(&mut clock, now(), &[5 * SECOND, 7 * SECOND, -90 * SECOND, -90 * SECOND, -90 * SECOND]);
    assert_eq!(clock.micros(now()), 5 * SECOND);
    clock.forget(&router(1_000));
    assert_eq!(clock.micros(now()), 0, "the next one disagrees");
    add_strangers(&mut clock, now(), &[5 * SECOND]);
    assert_eq!(clock.micros(now()), 0, "who comes back comes last");
}

#[test]
fn who_is_dialed_is_no_stranger_any_more_whichever_link_speaks() {
    let mut clock = with(now(), &[0, 0, 0]);
    add_strangers(&mut clock, now(), &[9; 9]);
    assert_eq!(clock.counting.each_ref().map(Vec::len), [5, 6]);
    clock.observe(router(1_008), true, now().wall, now().at, Duration::ZERO);
    add_strangers(&mut clock, now(), &[9; 9]);
    assert_eq!(clock.counting.each_ref().map(Vec::len), [7, 8]);
}

#[test]
fn strangers_take_no_place_of_those_whom_we_dial() {
    let mut clock = ClockCorrection::new(BUILD);
    add_strangers(&mut clock, now(), &[9; MAX_VOTES + 3]);
    assert_eq!((clock.votes.len(), clock.surplus()), (MAX_VOTES, 3));
    clock.observe(router(0), true, now().wall, now().at, Duration::ZERO);
    assert_eq!(clock.votes.len(), MAX_VOTES + 1);
    assert_eq!(clock.micros(now()), 0);
}

proptest! {
    #[test]
    fn whatever_strangers_say_we_stay_among_those_whom_we_know(
        known in prop::collection::vec(-1_000_i64..1_000, 1..9),
        strangers in prop::collection::vec(-1_000_000_i64..1_000_000, 0..30),
    ) {
        let mut clock = with(now(), &known);
        add_strangers(&mut clock, now(), &strangers);
        let (least, most) = (known.iter().min().unwrap(), known.iter().max().unwrap());
        prop_assert!(((*least).min(0)..=(*most).max(0)).contains(&clock.micros(now())));
        let dead = Now { wall: WallTime::from_micros(5), ..now() };
        let corrected = clock.corrected(dead).ahead_of(now().wall);
        prop_assert!((*least..=*most).contains(&corrected));
    }

    #[test]
    fn it_is_the_median(offsets in prop::collection::vec(-1_000_i64..1_000, 0..12)) {
        let mut all = offsets.clone();
        all.push(0);
        all.sort_unstable();
        let (lower, upper) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
        let expected = if upper.abs() < lower.abs() { upper } else { lower };
        prop_assert_eq!(with(now(), &offsets).micros(now()), expected);
    }

    #[test]
    fn any_time_is_survived(theirs: u64, asked: u64, rtt: u64, wall: u64, at: u64) {
        let mut clock = ClockCorrection::new(BUILD);
        for number in 0..2 {
            let (theirs, asked) = (WallTime::from_micros(theirs), Timestamp::from_micros(asked));
            clock.observe(router(number), number == 0, theirs, asked, Duration::from_micros(rtt));
        }
        let now = Now { at: Timestamp::from_micros(at), wall: WallTime::from_micros(wall) };
        let _ = (clock.corrected(now), clock.skew(now), clock.told(now));
    }
}

/// As [`with`], but our clock was right when we announced something, and was set back by ten minutes.
fn set_back(offsets: &[i64]) -> (ClockCorrection, Now) {
    let mut clock = with(now(), offsets);
    clock.raise_announced(now().wall, now().at);
    clock.raise_announced(now().wall.shifted(-SECOND), now().at);
    (clock, Now { wall: now().wall.shifted(-600 * SECOND), ..now() })
}

#[test]
fn a_clock_behind_what_we_announced_has_no_vote() {
    let wall = now().wall;
    let (alone, back) = set_back(&[]);
    assert_eq!(alone.behind(now()), None);
    assert_eq!(alone.behind(back), Some(Duration::from_secs(600)));
    assert_eq!(alone.corrected(back), wall, "nobody knows better than our announcements");
    assert_eq!(alone.told(back), WallTime::default(), "nor are others told");
    let later = back + Duration::from_secs(60);
    assert_eq!(alone.corrected(later), now().wall + Duration::from_secs(60));

    let (clock, back) = set_back(&[30 * SECOND]);
    assert_eq!(clock.corrected(back), wall.shifted(30 * SECOND), "a single neighbour decides");
    let (clock, back) = set_back(&[-600 * SECOND]);
    assert_eq!(clock.corrected(back), back.wall, "also that what we announced was wrong");
}

#[test]
fn a_step_back_below_four_minutes_is_none() {
    let mut clock = ClockCorrection::new(BUILD);
    clock.raise_announced(now().wall.shifted(240 * SECOND), now().at);
    assert_eq!((clock.behind(now()), clock.micros(now())), (None, 0));
    clock.raise_announced(now().wall.shifted(240 * SECOND + 1), now().at);
    assert!(clock.behind(now()).is_some());
    clock.set_announced(now().wall, now().at);
    assert_eq!((clock.behind(now()), clock.told(now())), (None, now().wall));
}

#[test]
fn a_clock_before_the_build_date_goes_by_what_was_announced_too() {
    let mut clock = ClockCorrection::new(BUILD);
    clock.raise_announced(now().wall, now().at);
    let dead = Now { wall: WallTime::from_micros(5), ..now() };
    assert_eq!(clock.corrected(dead), now().wall);
}
