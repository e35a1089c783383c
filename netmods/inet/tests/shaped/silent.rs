// SPDX-License-Identifier: AGPL-3.0-or-later
//! A link whose medium drops everything without a word: what was on its way is read back, and arrives after all when
//! the medium comes back.

use netmod_api::Outbox;

use super::*;

/// Data that is read back, and an echo request, which means this link only.
const MARKS: [&[u8]; 2] = [b"\xee", &[2, 0, 0, 71]];

/// The frame of a number: any length, every seventh an echo request.
fn frame(number: u32) -> Vec<u8> {
    let length = usize::try_from(number * 7919 % 9000).unwrap();
    [MARKS[usize::from(number % 7 == 3)], &number.to_be_bytes(), &vec![0xab; length]].concat()
}

/// Sends frames from a number on until the time is over or the link takes no more for a while; the next number.
fn send(outbox: &dyn Outbox, mut number: u32, time: Duration) -> u32 {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if outbox.send(Class::Data, &[FrameParts::whole(&frame(number))]).accepted == 1 {
            number += 1;
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    number
}

/// Which frames begin behind so many bytes of the stream.
fn begun_behind(bytes: u64, count: u32) -> Vec<Vec<u8>> {
    let mut end = 0;
    let behind = |frame: &Vec<u8>| {
        let start = end;
        end += 4 + u64::try_from(frame.len()).unwrap();
        start >= bytes
    };
    (0..count).map(frame).filter(behind).filter(|frame| frame.starts_with(MARKS[0])).collect()
}

#[test]
fn what_a_silent_medium_swallowed_is_read_back_and_the_link_goes_on() {
    let lab = Lab::create(TimeLimit::within(Duration::from_secs(30))).unwrap();
    let nodes = row(&lab, &["tbf", "rate", "50mbit", "burst", "32kb", "latency", "50ms"]);
    let (near, far) = (Recorder::new(), Recorder::new());
    let _running = run_both(&nodes, [&near, &far], None, [|_: &Inet| (); 2]);
    let outbox = near.link().outbox;
    std::thread::sleep(Duration::from_millis(100));
    let peering = outbox.activity().acked_bytes.unwrap();

    let count = send(&*outbox, 0, Duration::from_millis(700));
    nodes[1].run("sysctl", &["-qw", "net.ipv4.ip_forward=0"], lab.limit()).unwrap();
    let count = send(&*outbox, count, Duration::from_millis(300));
    let acknowledged = outbox.activity().acked_bytes.unwrap() - peering;
    for _ in 0..3 {
        let mut found = Vec::new();
        outbox.unacknowledged(&mut |frame| found.push(frame.to_vec()));
        let expected = begun_behind(acknowledged, count);
        assert!(expected.len() > 5 && expected.len() < usize::try_from(count).unwrap() / 2);
        assert!(found == expected, "{} frames of {count}, expected {}", found.len(), expected.len());
    }

    nodes[1].run("sysctl", &["-qw", "net.ipv4.ip_forward=1"], lab.limit()).unwrap();
    let count = send(&*outbox, count, Duration::from_millis(500));
    let arrived = far.take_frames(usize::try_from(count).unwrap());
    assert!(arrived.into_iter().eq((0..count).map(frame)), "everything, once and in order");
}
