// SPDX-License-Identifier: AGPL-3.0-or-later
//! Everything at once: bad weather, restarts, wrong clocks, idle times. Whatever happens, nothing comes twice, and
//! in fair weather all talk again.

use core::time::Duration;

use proptest::prelude::*;

use super::super::{Accept, SessionState};
use super::network::{FAIR, Network, Weather, config};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
enum Step {
    Weather { lost: u64, repeated: u64, jitter: u64 },
    Talk { from: usize, to: usize, seconds: u8 },
    Restart(usize),
    Wait { seconds: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_u64..500, 0_u64..300, 0_u64..2000)
            .prop_map(|(lost, repeated, jitter)| Step::Weather { lost, repeated, jitter }),
        6 => (0_usize..3, 1_usize..3, 1_u8..90)
            .prop_map(|(from, by, seconds)| Step::Talk { from, to: (from + by) % 3, seconds }),
        1 => (0_usize..3).prop_map(Step::Restart),
        1 => (1_u64..200).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn nothing_comes_twice_and_all_talk_again(
        steps in prop::collection::vec(step(), 1..25),
        configured: bool,
        skews in prop::array::uniform3(-60_000_000_i64..60_000_000),
    ) {
        let remotes: &[u8] = if configured { &[1, 2, 3] } else { &[] };
        let mut net = Network::new(vec![config(Accept::Any, remotes); 3]);
        for (node, skew) in net.nodes.iter_mut().zip(skews) {
            node.skew = skew;
        }
        // Strangers whose clocks are behind are refused until they pass our start.
        net.run(121 * SECOND);
        let mut number = 0_u64;
        for step in steps {
            match step {
                Step::Weather { lost, repeated, jitter } => {
                    net.weather = Weather { lost, repeated, jitter: Duration::from_millis(jitter), ..FAIR };
                }
                Step::Talk { from, to, seconds } => {
                    for _ in 0..u64::from(seconds) {
                        number += 1;
                        let _ = net.send(from, to, &[&number.to_be_bytes(), &[1; 4000]]);
                        net.run(SECOND);
                    }
                }
                Step::Restart(node) => net.restart(node),
                Step::Wait { seconds } => net.run(SECOND * u32::try_from(seconds).unwrap()),
            }
        }
        for node in &net.nodes {
            let mut packets: Vec<_> = node.delivered.iter().filter(|(_, packet)| packet.len() == 8).collect();
            let count = packets.len();
            packets.sort();
            packets.dedup();
            prop_assert_eq!(packets.len(), count, "a packet came twice");
        }
        net.weather = FAIR;
        net.run(121 * SECOND);
        for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
            for _ in 0..20 {
                let _ = net.send(from, to, &[b"probe"]);
                net.run(SECOND);
            }
            let before = net.nodes[to].delivered.len();
            prop_assert!(net.send(from, to, &[b"fair weather"]).is_ok());
            net.run(SECOND);
            prop_assert_eq!(net.nodes[to].delivered.len(), before + 1, "from {} to {}", from, to);
            prop_assert_eq!(net.status(from, to).unwrap().state, SessionState::Established);
        }
    }
}
