// SPDX-License-Identifier: AGPL-3.0-or-later
use super::*;
use ratman_types::{LinkId, RouterId};

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn link() -> Link {
    let hop = Hop { link: LinkId(1), neighbour: RouterId::from_bytes([1; 32]) };
    Link::new(hop, Mtu(1_500), Digest::from_bytes([0; 32]), true, at(0))
}

/// Lets time pass to `until`, sends the echoes that are due, and answers them after `rtt` or not at all.
struct Bench {
    link: Link,
    now: u64,
    /// When the link asked to be judged next, as of the last thing that happened to it.
    wake: Option<Timestamp>,
    nonce: u64,
    replies: VecDeque<(u64, [u8; 8])>,
    states: Vec<(u64, LinkState)>,
    closed_at: Option<u64>,
    echoes: Vec<u64>,
}

impl Bench {
    fn new() -> Self {
        Self {
            link: link(),
            now: 0,
            wake: Some(at(0)),
            nonce: 0,
            replies: VecDeque::new(),
            states: Vec::new(),
            closed_at: None,
            echoes: Vec::new(),
        }
    }

    fn run(&mut self, until: u64, rtt: Option<u64>) {
        while self.now <= until {
            while let Some((_, nonce)) = self.replies.pop_front_if(|(when, _)| *when <= self.now) {
                self.link.note_received(at(self.now));
                self.link.note_reply(&nonce, at(self.now)).unwrap();
                self.note_state();
            }
            self.judge(rtt);
            self.now += 1;
        }
    }

    /// What the driver tells every 25 ms while something moves.
    fn report(&mut self, sent: u64, received: u64, acked: Option<u64>) {
        self.link.note_activity(sent, received, acked, at(self.now));
        self.wake = self.link.deadline(at(self.now));
    }

    fn judge(&mut self, rtt: Option<u64>) {
        if self.wake.is_some_and(|wake| wake <= at(self.now)) {
            let due = self.link.handle_timeout(at(self.now));
            self.note_state();
            if due.close {
                self.closed_at.get_or_insert(self.now);
                self.link.close();
            }
            for _ in 0..due.echoes {
                self.nonce += 1;
                let nonce = self.nonce.to_be_bytes();
                self.link.note_echo(nonce, at(self.now));
                self.echoes.push(self.now);
                if let Some(rtt) = rtt {
                    self.replies.push_back((self.now + rtt, nonce));
                }
            }
        }
        self.wake = self.link.deadline(at(self.now));
    }

    fn note_state(&mut self) {
        let state = self.link.state();
        if self.states.last().map(|(_, state)| *state) != Some(state) {
            self.states.push((self.now, state));
        }
    }
}

#[test]
fn three_echoes_come_first_and_then_one_every_half_second() {
    let mut bench = Bench::new();
    bench.run(1_600, Some(10));
    assert_eq!(bench.echoes, [0, 0, 0, 500, 1_000, 1_500]);
    assert_eq!(bench.states, [(0, LinkState::Starting), (10, LinkState::Live)]);
    assert_eq!(bench.link.rtt(), Some(Duration::from_millis(10)));
    assert_eq!(bench.link.live_since, Some(at(10)));
}

#[test]
fn a_link_that_never_answers_brings_no_routes_and_is_down_after_five_seconds() {
    let mut bench = Bench::new();
    bench.run(6_000, None);
    assert_eq!(bench.states, [(0, LinkState::Starting)]);
    assert!(!bench.link.carries_routes());
    assert_eq!(bench.closed_at, Some(5_000));
    assert_eq!(bench.link.deadline(at(6_000)), None);
}

#[test]
fn an_idle_link_that_falls_silent_stalls_within_two_seconds_and_is_down_after_five() {
    // The third echo has the loaded round trip for its answer, within limits.
    for (round_trip, answer) in [(10, 20), (30, 30), (90, 50)] {
        let mut bench = Bench::new();
        bench.run(1_100, Some(round_trip));
        bench.run(7_000, None);
        assert_eq!(bench.states.last(), Some(&(2_500 + answer, LinkState::Stalled)));
        assert_eq!(bench.closed_at, Some(6_000 + round_trip), "five seconds after the last reply");
    }
}

#[test]
fn a_used_link_that_falls_silent_stalls_within_a_third_of_a_second() {
    let mut bench = Bench::new();
    bench.run(1_100, Some(10));
    let mut sent = 0;
    while bench.link.state() == LinkState::Live {
        sent += 1;
        bench.report(sent, 0, Some(0));
        bench.run(bench.now, None);
    }
    let (stalled, _) = bench.states.last().unwrap();
    assert!(*stalled <= 1_400, "{stalled}");
    let urgent = bench.echoes.iter().filter(|at| **at > 1_100).count();
    assert!(urgent >= 3, "{:?}", bench.echoes);
}

/// Traffic both ways with reports every 25 ms until the way drops everything, `after` milliseconds behind a report. What
/// is lost: from the last sign of life until the link is left.
fn gap(round_trip: u64, after: u64, goes_on_sending: bool) -> u64 {
    let mut bench = Bench::new();
    bench.run(30_000, Some(round_trip));
    for report in 1..80 {
        bench.report(report * 9_000, report * 9, Some(report * 9_000));
        bench.run(bench.now + 24, Some(round_trip));
    }
    bench.run(bench.now + after - 1, Some(round_trip));
    bench.replies.clear();
    let dead = bench.now;
    bench.run(bench.now + 24 - after, None);
    // The report after the end still tells of what came before it.
    bench.report(80 * 9_000, 80 * 9, Some(80 * 9_000));
    for report in 81.. {
        bench.run(bench.now + 24, None);
        if bench.link.state() == LinkState::Stalled {
            break;
        }
        if goes_on_sending {
            bench.report(report * 9_000, 80 * 9, Some(80 * 9_000));
        }
    }
    bench.states.last().unwrap().0 - dead
}

#[test]
fn a_used_link_is_left_so_soon_that_pings_miss_less_than_three_tenths_of_a_second() {
    for round_trip in [1, 5, 20, 50] {
        for after in [1, 10, 24] {
            for goes_on in [true, false] {
                let gap = gap(round_trip, after, goes_on);
                // Leaves the rest for the driver, the next ping and the other way.
                assert!(
                    gap <= 230,
                    "{gap} ms at {round_trip} ms, {after} ms behind a report, going on: {goes_on}"
                );
            }
        }
    }
}

#[test]
fn received_frames_and_acknowledged_bytes_keep_a_link_from_stalling() {
    for (received, acked) in [(1, 0), (0, 1)] {
        let mut bench = Bench::new();
        bench.run(1_100, Some(10));
        for step in 0..300 {
            bench.report(step, received * step, Some(acked * step));
            bench.run(bench.now + 9, None);
        }
        assert_eq!(bench.link.state(), LinkState::Live);
    }
}

#[test]
fn acknowledged_bytes_do_not_keep_a_silent_link_up() {
    let mut bench = Bench::new();
    bench.run(1_100, Some(10));
    for step in 0..600 {
        bench.report(step, 0, Some(step));
        bench.run(bench.now + 9, None);
    }
    assert_eq!(bench.closed_at, Some(6_010));
}

#[test]
fn a_long_loaded_round_trip_is_not_a_stall() {
    let mut bench = Bench::new();
    bench.run(20_000, Some(900));
    assert_eq!(bench.states.len(), 2, "{:?}", bench.states);
}

#[test]
fn echoes_that_waited_in_a_stalled_link_are_no_round_trips() {
    let mut bench = Bench::new();
    bench.run(1_100, Some(10));
    let (mut sent, mut waiting) = (0, Vec::new());
    while bench.now < 3_000 {
        sent += 1;
        bench.report(sent, 0, Some(0));
        bench.run(bench.now, None);
    }
    assert_eq!(bench.link.state(), LinkState::Stalled);
    waiting.extend(bench.link.unanswered.iter().map(|echo| echo.nonce));
    assert!(waiting.len() > 2 * ECHOES, "some are answered after the link is live again");
    bench.replies.extend(waiting.into_iter().map(|nonce| (3_010, nonce)));
    bench.run(3_020, None);
    assert_eq!(bench.link.state(), LinkState::Live);
    assert_eq!(
        bench.link.loaded_rtt(),
        Duration::from_millis(10),
        "the next stall is found as soon as this one"
    );
}

#[test]
fn a_stalled_link_is_live_again_after_three_replies_in_a_row() {
    let mut bench = Bench::new();
    bench.run(1_100, Some(10));
    bench.run(3_000, None);
    assert_eq!(bench.link.state(), LinkState::Stalled);
    let before = bench.echoes.len();
    bench.run(6_000, Some(10));
    let (live, state) = *bench.states.last().unwrap();
    assert_eq!(state, LinkState::Live);
    assert_eq!(live, bench.echoes[before + 2] + 10);
    assert_eq!(bench.closed_at, None);
}

#[test]
fn our_own_frames_do_not_count_as_use() {
    let mut bench = Bench::new();
    bench.run(1_100, Some(100));
    let mut written = 0;
    for _ in 0..80 {
        let before = bench.echoes.len();
        bench.run(bench.now + 49, Some(100));
        let sent = bench.echoes.len() - before;
        (0..sent).for_each(|_| bench.link.note_sent(130));
        // What we sent is written one report later.
        bench.report(written, 0, None);
        written += 132 * u64::try_from(sent).unwrap();
    }
    let gaps = bench.echoes.windows(2).skip(3).map(|pair| pair[1] - pair[0]);
    assert!(gaps.clone().all(|gap| gap == 500), "{:?}", gaps.collect::<Vec<_>>());
}

#[test]
fn frames_that_the_router_got_are_as_old_as_they_are() {
    let mut link = link();
    link.note_received(at(100));
    link.note_activity(0, 1, None, at(900));
    assert_eq!(link.heard, at(100));
    link.note_activity(0, 2, None, at(950));
    assert_eq!(link.heard, at(950), "this one went another way");
}

#[test]
fn only_what_was_asked_is_answered() {
    let mut link = link();
    link.note_echo([1; 8], Timestamp::default());
    assert!(link.awaits(&[1; 8]));
    assert!(!link.awaits(&[2; 8]));
    assert!(link.note_reply(&[2; 8], at(1)).is_none());
    assert!(link.note_reply(&[1; 8], at(1)).is_some());
    assert!(!link.awaits(&[1; 8]), "a reply counts once");
}

#[test]
fn unanswered_echoes_are_limited() {
    let mut link = link();
    for nonce in 0..200_u64 {
        link.note_echo(nonce.to_be_bytes(), Timestamp::default());
    }
    assert_eq!(link.unanswered.len(), MAX_UNANSWERED);
    assert!(!link.awaits(&71_u64.to_be_bytes()));
    assert!(link.awaits(&72_u64.to_be_bytes()));
}

#[test]
fn one_hop_times_increase_strictly_per_mode() {
    let mut link = link();
    let time = WallTime::from_micros;
    assert_eq!(link.stamp(time(5)), time(5));
    assert_eq!(link.stamp(time(3)), time(6), "even where the clock goes back");
    assert!(link.is_newer(Mode::ECHO_REPLY, time(0)));
    link.note_time(Mode::ECHO_REPLY, time(7));
    assert!(!link.is_newer(Mode::ECHO_REPLY, time(7)));
    assert!(link.is_newer(Mode::ECHO_REPLY, time(8)));
    assert!(link.is_newer(Mode::ECHO_REQUEST, time(7)));
}
