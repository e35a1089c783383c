// SPDX-License-Identifier: AGPL-3.0-or-later
//! Any frames in any order, from who has a token and who has not: each connection comes to its end once its client has said its last,
//! and whoever behaves is served meanwhile and afterwards.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ratman_wire::api::{
    Anycast, ApiMode, ApiNamespace, Content, FilterAction, FilterRule, FiltersOf, HeldFilter,
    HeldSubscription, Lifetime, List, Membership, NamespaceSeed, NamespacesOf, NewFilter, NewNamespace,
    NewStream, NewSubscription, Operation, PageOf, Receive, Senders, StreamId, StreamKey, StreamsOf,
    SubscriptionId,
};
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

/// What a frame says.
#[derive(Clone, Debug)]
enum What {
    /// A request as it should be, by its place among [`requests_of`].
    Request(prop::sample::Index),
    /// The same with a byte that is another, or without its end.
    Damaged(prop::sample::Index, prop::sample::Index, Option<u8>),
    /// Anything.
    Any(ApiMode, Vec<Part>),
}

#[derive(Clone, Debug)]
struct Said {
    what: What,
    shown: Shown,
}

/// A request of each kind by an address to itself, but for those that would end it.
fn requests_of(own: Address) -> Vec<Request> {
    let (to, nothing, page) = (Recipient::Address(own), Nothing, PageOf::first);
    let seed = NamespaceSeed::from_bytes([60; 32]);
    let namespace = seed.namespace();
    let member = || Membership { address: own, namespace };
    let held = || HeldSubscription { id: SubscriptionId::from_bytes([1; 32]), address: own };
    let stream = || StreamKey { from: own, to, stream: StreamId::from_bytes([1; 32]) };
    let recipients = || List::new(vec![to]).unwrap();
    let letters = List::new(vec![letterhead(own, own)]).unwrap();
    let receive = |wait| Receive { address: own, from: None, to: None, limit: None, wait, resume: None };
    let rule = FilterRule { from: Senders::Strangers, at_least: None, action: FilterAction::Deny };
    let created = |size| NewStream {
        from: own,
        to: recipients(),
        size,
        lifetime: Lifetime::MAX,
        progress: true,
        auxiliary_data: Default::default(),
    };
    vec![
        Request::StreamCreate(created(Some(ByteCount(3)))),
        Request::StreamCreate(created(None)),
        Request::Content(Content::new(vec![7; 3]).unwrap()),
        Request::End(nothing),
        Request::Cancel(nothing),
        Request::Taken(nothing),
        Request::StreamReceive(receive(true)),
        Request::StreamReceive(receive(false)),
        Request::StreamStatus(stream()),
        Request::StreamDestroy(stream()),
        Request::StreamQuery(StreamsOf { address: own, page: page() }),
        Request::SendOne(letterhead(own, own)),
        Request::SendMany(letters),
        Request::RecvOne(RecvOne { address: own, recipient: None }),
        Request::RecvMany(RecvMany { address: own, recipient: Some(to), limit: Some(1) }),
        Request::Subscribe(NewSubscription { address: own, recipient: None }),
        Request::Resubscribe(held()),
        Request::Unsubscribe(held()),
        Request::SubscriptionList(own),
        Request::FilterAdd(NewFilter { address: own, rule }),
        Request::FilterDelete(HeldFilter { address: own, filter: 0 }),
        Request::FilterList(FiltersOf { address: own, page: page() }),
        Request::NamespaceCreate(NewNamespace { namespace, seed }),
        Request::NamespaceUp(member()),
        Request::NamespaceDown(member()),
        Request::NamespaceDestroy(member()),
        Request::NamespaceList(NamespacesOf { address: own, page: page() }),
        Request::Anycast(Anycast { address: own, namespace, timeout: Duration::from_millis(1) }),
        Request::AddressUp(own),
        Request::AddressList(nothing),
        Request::AddressQuery(page()),
        Request::RouterQuery(nothing),
        Request::RouteList(page()),
        Request::RouteQuery(own),
        Request::PeerList(nothing),
        Request::PeerQuery(page()),
        Request::LinkQuery(1),
        Request::Status(nothing),
        Request::Connect(ApiVersion::OURS),
        Request::Disconnect(nothing),
    ]
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
    let shown = prop_oneof![1 => Just(Shown::Nothing), 12 => Just(Shown::Own), 1 => Just(Shown::Wrong)];
    let index = any::<prop::sample::Index>;
    let what = prop_oneof![
        8 => index().prop_map(What::Request),
        1 => (index(), index(), any::<Option<u8>>()).prop_map(|(which, at, byte)| What::Damaged(which, at, byte)),
        1 => (modes(), vec(part(), 0..5)).prop_map(|(mode, parts)| What::Any(mode, parts)),
    ];
    (what, shown).prop_map(|(what, shown)| Said { what, shown })
}

impl Said {
    fn frame(&self, (own, token): (&Address, &AuthToken)) -> Microframe {
        let request = |which: &prop::sample::Index| which.get(&requests_of(*own)).to_frame(None);
        let (mode, payload) = match &self.what {
            What::Request(which) => (request(which).mode, request(which).payload.to_vec()),
            What::Damaged(which, at, byte) => {
                let mut payload = request(which).payload.to_vec();
                if !payload.is_empty() {
                    let at = at.index(payload.len());
                    match byte {
                        Some(byte) => payload[at] = *byte,
                        None => payload.truncate(at),
                    }
                }
                (request(which).mode, payload)
            }
            What::Any(mode, parts) => (*mode, parts.iter().flat_map(|part| part.bytes(own)).collect()),
        };
        // It is to be there for the next, too.
        let ends_it = mode.namespace() == ApiNamespace::ADDRESS
            && [Operation::DESTROY, Operation::DOWN].contains(&mode.operation());
        let auth = match self.shown {
            Shown::Own if !ends_it => Some(token.clone()),
            Shown::Own | Shown::Wrong => Some(AuthToken::from_bytes([9; 32])),
            Shown::Nothing => None,
        };
        Microframe { mode, auth, payload: Zeroizing::new(payload) }
    }
}

impl Part {
    fn bytes(&self, own: &Address) -> Vec<u8> {
        match self {
            Self::Own => own.as_bytes().to_vec(),
            Self::Foreign => vec![60; 32],
            Self::Number(number, length) => number.to_be_bytes()[8 - length..].to_vec(),
            Self::Any(bytes) => bytes.clone(),
        }
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
    let config = Config {
        cases: if long { 4096 } else { 192 },
        failure_persistence: None,
        max_shrink_time: 100_000,
        ..Config::default()
    };
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
