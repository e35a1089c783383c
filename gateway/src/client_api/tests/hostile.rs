// SPDX-License-Identifier: AGPL-3.0-or-later
//! Any frames in any order, from who has a token and who has not: each connection comes to its end once its client has said its last,
//! and whoever behaves is served meanwhile and afterwards.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ratman_wire::api::{ApiMode, ApiNamespace, Operation, PageOf};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::*;

/// An answer may take so long, beside the test's other threads.
const SOON: Duration = Duration::from_secs(20);

/// What payloads are made of: what requests begin with, and anything.
#[derive(Clone, Debug)]
enum Part {
    Own,
    Foreign,
    Number(u64, usize),
    Any(Vec<u8>),
}

/// Whose token a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    Own,
    Wrong,
}

#[derive(Clone, Debug)]
struct Said {
    mode: ApiMode,
    shown: Shown,
    parts: Vec<Part>,
}

fn modes() -> impl Strategy<Value = ApiMode> {
    let operations: Vec<_> = (0..=u8::MAX).map(Operation).filter(|of| of.name().is_some()).collect();
    let namespaces: Vec<_> = (0..=u8::MAX).map(ApiNamespace).filter(|of| of.name().is_some()).collect();
    let named = (prop::sample::select(namespaces), prop::sample::select(operations));
    prop_oneof![9 => named.prop_map(|(of, what)| ApiMode::new(of, what)), 1 => any::<u16>().prop_map(ApiMode)]
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        3 => Just(Part::Own),
        2 => Just(Part::Foreign),
        4 => (0..4_u64, 1..=8_usize).prop_map(|(number, length)| Part::Number(number, length)),
        1 => (any::<u64>(), 1..=8_usize).prop_map(|(number, length)| Part::Number(number, length)),
        2 => vec(any::<u8>(), 0..80).prop_map(Part::Any),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    let shown = prop_oneof![1 => Just(Shown::Nothing), 4 => Just(Shown::Own), 1 => Just(Shown::Wrong)];
    (modes(), shown, vec(part(), 0..5)).prop_map(|(mode, shown, parts)| Said { mode, shown, parts })
}

impl Said {
    fn frame(&self, (own, token): (&Address, &AuthToken)) -> Microframe {
        // It is to be there for the next, too.
        let ends_it = [Operation::DESTROY, Operation::DOWN].contains(&self.mode.operation());
        let shown = if ends_it && self.shown == Shown::Own { Shown::Wrong } else { self.shown };
        let auth = match shown {
            Shown::Nothing => None,
            Shown::Own => Some(token.clone()),
            Shown::Wrong => Some(AuthToken::from_bytes([9; 32])),
        };
        let mut payload = Vec::new();
        for part in &self.parts {
            match part {
                Part::Own => payload.extend(own.as_bytes()),
                Part::Foreign => payload.extend([60; 32]),
                Part::Number(number, length) => payload.extend(&number.to_be_bytes()[8 - length..]),
                Part::Any(bytes) => payload.extend(bytes),
            }
        }
        Microframe { mode: self.mode, auth, payload: Zeroizing::new(payload) }
    }
}

/// Says all of it and hears the connection out; how many bytes came.
async fn heard_out(api: &Api, said: &[Said], own: (&Address, &AuthToken), rest: &[u8]) -> usize {
    let mut hostile = api.client().await;
    for said in said {
        // It may be over before all is said.
        let _ = hostile.stream.write_all(&said.frame(own).encode()).await;
    }
    let _ = hostile.stream.write_all(rest).await;
    let _ = hostile.stream.shutdown().await;
    let mut come = Vec::new();
    let ended = timeout(SOON, hostile.stream.read_to_end(&mut come)).await;
    // Reset where something was left unread.
    let _reset = ended.expect("the connection goes on after its client has left");
    come.len()
}

#[test]
fn any_frames_are_answered_and_hang_nobody() {
    let long = std::env::var("IRDEST_LONG").is_ok_and(|long| long == "1");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let api = runtime.block_on(async { Api::new() });
    let mut behaves = runtime.block_on(api.client());
    let (own, token) = runtime.block_on(behaves.address());
    let config =
        Config { cases: if long { 4096 } else { 192 }, failure_persistence: None, ..Config::default() };
    let frames = (vec(said(), 1..12), vec(any::<u8>(), 0..8));
    let behaves = tokio::sync::Mutex::new(behaves);
    let tried = TestRunner::new(config).run(&frames, |(said, rest)| {
        let listed = Request::LinkList(PageOf::first());
        let (come, served) = runtime.block_on(async {
            let asked = async {
                let listed =
                    timeout(SOON, behaves.lock().await.ask(&listed, None)).await.expect("others wait");
                matches!(listed, Reply::LinkPage(_))
            };
            tokio::join!(heard_out(&api, &said, (&own, &token), &rest), asked)
        });
        // No answer is as long as that, and no stream is here.
        prop_assert!(come < 1 << 20, "{} bytes", come);
        prop_assert!(served);
        Ok(())
    });
    tried.unwrap();
    // Nothing is left of them.
    runtime.block_on(api.bed.reported(|report| report.streams.receiving == 0));
    runtime.block_on(api.end());
}
