// SPDX-License-Identifier: AGPL-3.0-or-later
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
        inbox: Recorder::new(),
    };
    let way = of.open(way, 0, at(0));
    let state = State::Resting { until: at(0) };
    (dialer, Running { of, way, collector: Collector::new(), state, known: None, number: TRAIN })
}

fn at(millis: u32) -> Timestamp {
    Timestamp::default() + Duration::from_millis(1) * millis
}

impl Running {
    /// Takes the turn; this step is next.
    fn measures(&mut self, step: Step) {
        let turn = self.of.hub.turn(self.of.link.pair().0).unwrap();
        let (series, carried) = (Series::default(), (at(0), self.of.link.carried().unwrap()));
        self.state = State::Measuring(Measuring {
            series,
            _turn: turn,
            carried,
            length: MIN_TRAIN_PACKET,
            wire: 300,
            bytes: 0,
            step,
        });
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
