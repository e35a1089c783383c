// SPDX-License-Identifier: AGPL-3.0-or-later
use netmod_api::Outbox;
use netmod_api::contract::Recorder;
use ratman_types::{Hop, LinkId};
use ratman_wire::train::Arrival;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::{MOST_MTU, TrainConfig};

const TRAIN: u32 = 7;

fn key() -> TrainKey {
    TrainKey::derive(&[1; 32], &[2; 32], &[3; 32])
}

/// A link that somebody dialled from 127.0.0.1; his end, and ours with a way to the port of `way`.
async fn dialled(way: SocketAddr) -> (TcpStream, Running) {
    heard_by(Recorder::new(), way).await
}

async fn heard_by(inbox: Arc<Recorder>, way: SocketAddr) -> (TcpStream, Running) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let hop = Hop { link: LinkId(1), neighbour: RouterId::from_bytes([1; 32]) };
    let link = Link::new(stream, hop, false, (MOST_MTU, false), at(0), Arc::default()).unwrap();
    let of = Runner {
        hub: Hub::new(TrainConfig::default(), Arc::default()),
        link: Arc::new(link),
        own: RouterId::from_bytes([2; 32]),
        key: key(),
        mark: None,
        inbox,
    };
    let way = of.open(way, 0, at(0));
    let state = State::Resting { until: at(0) };
    let collector = Collector::new();
    (dialer, Running { of, way, collector, state, known: None, in_vain: 0, number: TRAIN })
}

fn at(millis: u32) -> Timestamp {
    Timestamp::default() + Duration::from_millis(1) * millis
}

impl Running {
    /// Takes the turn; this step is next.
    fn measures(&mut self, step: Step) {
        let turn = self.of.hub.turn(self.of.link.pair().0).unwrap();
        let (series, carried) = (Series::default(), Some((at(0), self.of.link.carried().unwrap())));
        self.state = State::Measuring(Measuring {
            series,
            _turn: turn,
            carried,
            hold: None,
            length: MIN_TRAIN_PACKET,
            wire: 300,
            bytes: 0,
            known: None,
            step,
        });
    }

    /// The same on a link that is in use.
    fn measures_in_use(&mut self, step: Step) {
        self.measures(step);
        let State::Measuring(measuring) = &mut self.state else { unreachable!() };
        measuring.carried = None;
    }

    fn step(&self) -> &Step {
        let State::Measuring(measuring) = &self.state else { panic!("it does not measure") };
        &measuring.step
    }

    fn hears(&mut self, bytes: Vec<u8>, source: SocketAddr, now: Timestamp) {
        self.receive(&Datagram { bytes: bytes.into(), source, stamp: Duration::ZERO }, now);
    }

    fn way(&self) -> (SocketAddr, Timestamp) {
        self.way.as_ref().map(|way| (way.remote, way.heard)).unwrap()
    }
}

fn report(train: u32) -> Vec<u8> {
    let arrivals = (0..16).map(|index| Arrival { index, micros: u32::from(index) * 100 }).collect();
    TrainReport { train, received: 16, arrivals }.encode(RouterId::from_bytes([1; 32]), &key())
}

#[tokio::test]
async fn an_old_report_from_another_port_leads_nowhere() {
    let [port, other] = [1001, 1002].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let (_dialer, mut running) = dialled(port).await;
    let bad = |running: &Running| running.of.hub.counters.snapshot().bad_train_reports;
    running.hears(report(TRAIN), other, at(1));
    assert_eq!((running.way(), bad(&running)), ((port, at(0)), 1), "nothing was sent");

    let micros = |index| Duration::from_micros(index);
    let sent = SentTrain { number: TRAIN, at: (0..16).map(micros).collect(), wire: 300 };
    running.measures(Step::Report { sent, since: at(2) });
    running.hears(report(TRAIN - 1), other, at(3));
    assert_eq!((running.way(), bad(&running)), ((port, at(0)), 2), "about an earlier train");

    running.hears(report(TRAIN), other, at(4));
    assert_eq!((running.way(), bad(&running)), ((other, at(4)), 2), "a NAT may have moved him");
}

#[tokio::test]
async fn no_train_leaves_while_one_is_on_its_way_here() {
    let neighbour = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (_dialer, mut running) = dialled(neighbour.local_addr().unwrap()).await;
    let port = running.way().0;
    let packet = |index| {
        let packet = TrainPacket { train: 1, index, count: 2 };
        packet.encode(RouterId::from_bytes([1; 32]), MIN_TRAIN_PACKET, &key())
    };
    running.measures(Step::Send { count: 16, at: at(1) });
    running.turn(at(1));
    assert!(matches!(running.state, State::Measuring(Measuring { step: Step::Report { .. }, .. })));
    assert_eq!(running.number, TRAIN + 1);

    running.state = State::Resting { until: at(1) };
    running.measures(Step::Send { count: 16, at: at(2) });
    running.hears(packet(0), port, at(2));
    running.turn(at(2));
    assert!(matches!(running.state, State::Resting { until } if until > at(2)));
    assert_eq!(running.number, TRAIN + 1, "nothing left");
    assert!(running.of.hub.turn(running.of.link.pair().0).is_some(), "the turn is given back");
}

#[tokio::test]
async fn a_link_in_use_is_idle_for_its_train_and_no_longer() {
    let neighbour = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let inbox = Recorder::new();
    let (_dialer, mut running) = heard_by(Arc::clone(&inbox), neighbour.local_addr().unwrap()).await;
    let (link, from) = (Arc::clone(&running.of.link), running.way().0);
    running.way.as_ref().unwrap().socket.writable().await.unwrap();
    running.measures_in_use(Step::Send { count: 16, at: at(1) });
    running.turn(at(1));
    assert!(matches!(running.step(), Step::Drain { .. }));
    assert!(!link.ready(), "others wait");
    assert_eq!(running.number, TRAIN, "nothing left yet");
    running.turn(running.due());
    assert!(matches!(running.step(), Step::Report { .. }));
    assert!(!link.ready(), "and go on waiting while it is under way");
    running.hears(report(TRAIN + 1), from, at(9));
    assert!(matches!(running.step(), Step::Send { .. }));
    assert_eq!(inbox.writable_calls(link.hop), 1, "they are told");
    assert!(link.ready());
}

#[tokio::test]
async fn nobody_waits_long_for_a_link_that_does_not_fall_idle_nor_for_a_lost_report() {
    let neighbour = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let inbox = Recorder::new();
    let (_dialer, mut running) = heard_by(Arc::clone(&inbox), neighbour.local_addr().unwrap()).await;
    let link = Arc::clone(&running.of.link);
    running.measures_in_use(Step::Send { count: 16, at: at(0) });
    running.turn(at(0));
    running.turn(at(0));
    assert!(!link.ready());
    assert_eq!(running.due(), at(150));
    running.turn(at(150));
    assert!(link.ready(), "its report may still come");
    assert!(matches!(running.step(), Step::Report { .. }));
    assert_eq!(running.due(), at(0) + REPORT_LIMIT);

    running.state = State::Resting { until: at(0) };
    running.measures_in_use(Step::Drain { count: 16, at: at(200), until: at(200) });
    let State::Measuring(measuring) = &mut running.state else { unreachable!() };
    measuring.hold = Some(link.hold(Arc::clone(&running.of.inbox)));
    assert!(!link.ready());
    running.turn(at(200));
    assert!(link.ready());
    assert_eq!(inbox.writable_calls(link.hop), 2);
    let State::Resting { until } = running.state else { panic!("it does not rest") };
    assert_eq!(until, at(10_200), "others may just have been in the way");

    running.measures_in_use(Step::Drain { count: 16, at: at(10_200), until: at(10_200) });
    running.turn(at(10_200));
    let State::Resting { until } = running.state else { panic!("it does not rest") };
    assert_eq!(until, at(30_200), "they have waited for nothing twice");
}
