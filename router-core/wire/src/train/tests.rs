// SPDX-License-Identifier: AGPL-3.0-or-later
use proptest::prelude::*;
use ratman_types::blake2s_mac;

use super::*;

const SENDER: RouterId = RouterId::from_bytes([7; 32]);

fn key() -> TrainKey {
    TrainKey::derive(&[1; 32], &[2; 32], &[3; 32])
}

/// Header, `payload` and the MAC over both.
fn framed(mode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, mode];
    bytes.extend([7; 32]);
    bytes.extend([0; 4]);
    bytes.extend(u16::try_from(payload.len() + 16).unwrap().to_be_bytes());
    bytes.extend(payload);
    let mac = blake2s_mac(&key().0, &[&bytes]);
    bytes.extend(mac);
    bytes
}

#[test]
fn golden_bytes() {
    let domain = [&[1; 32][..], b"irdest train 1", &[2; 32], &[3; 32]].concat();
    assert_eq!(*key().0, *blake2b(&[&domain]).as_bytes());
    assert_eq!(format!("{:?}", key()), "TrainKey(…)");

    let packet = TrainPacket { train: 0x0102_0304, index: 5, count: 64 };
    let mut payload = vec![1, 2, 3, 4, 0, 5, 0, 64];
    payload.resize(256 - 42 - 16, 0);
    let bytes = framed(36, &payload);
    assert_eq!(packet.encode(SENDER, 0, &key()), bytes);
    assert_eq!(TrainPacket::decode(&bytes, SENDER, &key()), Ok(packet));
    assert_eq!(peek(&bytes), Some((Mode::TRAIN, SENDER)));
    assert_eq!(packet.encode(SENDER, 9000, &key()).len(), MAX_TRAIN_PACKET);

    let arrivals = vec![Arrival { index: 1, micros: 0 }, Arrival { index: 0, micros: 0x0a0b }];
    let report = TrainReport { train: 9, received: 2, arrivals };
    let bytes = framed(37, &[0, 0, 0, 9, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a, 0x0b]);
    assert_eq!(report.encode(SENDER, &key()), bytes);
    assert_eq!(TrainReport::decode(&bytes, SENDER, &key()), Ok(report));
    assert_eq!(peek(&bytes), Some((Mode::TRAIN_REPORT, SENDER)));
}

#[test]
fn every_byte_counts_and_every_key() {
    let packet = TrainPacket { train: 1, index: 2, count: 3 }.encode(SENDER, 300, &key());
    let report = TrainReport { train: 1, received: 0, arrivals: vec![] }.encode(SENDER, &key());
    for good in [packet, report] {
        let opens = |bytes: &[u8], sender, key: &TrainKey| {
            TrainPacket::decode(bytes, sender, key).is_ok() || TrainReport::decode(bytes, sender, key).is_ok()
        };
        assert!(opens(&good, SENDER, &key()));
        for index in 0..good.len() {
            let mut changed = good.clone();
            changed[index] ^= 1;
            assert!(!opens(&changed, SENDER, &key()), "byte {index}");
            assert!(!opens(&good[..index], SENDER, &key()), "cut to {index}");
        }
        assert!(!opens(&good, RouterId::from_bytes([8; 32]), &key()), "reflected");
        for other in [([9; 32], [2; 32], [3; 32]), ([1; 32], [3; 32], [2; 32])] {
            let other = TrainKey::derive(&other.0, &other.1, &other.2);
            assert!(!opens(&good, SENDER, &other), "another link");
        }
    }
}

#[test]
fn what_contradicts_itself_is_refused_though_its_mac_holds() {
    let packet = |index: u8, count: u16, zero: u8| {
        let mut payload = vec![0, 0, 0, 1, 0, index];
        payload.extend(count.to_be_bytes());
        payload.resize(300, zero);
        TrainPacket::decode(&framed(36, &payload), SENDER, &key()).is_ok()
    };
    assert!(packet(1, 2, 0) && packet(0, 512, 0));
    assert!(!packet(0, 1, 0) && !packet(2, 2, 0) && !packet(0, 513, 0) && !packet(1, 2, 1));
    let report = |bytes: &[u8]| TrainReport::decode(&framed(37, bytes), SENDER, &key()).is_ok();
    assert!(report(&[0, 0, 0, 1, 0, 0]));
    assert!(!report(&[0, 0, 0, 1, 0, 1]), "an arrival is missing");
    assert!(!report(&[0, 0, 0, 1, 0, 0, 0]), "a byte too many");
    assert!(!report(&[0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1]), "it does not begin at zero");
    let backwards = [0, 0, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 2, 0, 0, 0, 8];
    assert!(!report(&backwards));
    assert!(!report(&[0, 0, 0, 1, 0xff, 0xff]), "more than any train has");
}

#[test]
fn any_report_is_shorter_than_two_packets_of_a_usual_train() {
    for received in 0..=MAX_TRAIN {
        let arrivals = vec![Arrival { index: 0, micros: 0 }; named(received)];
        assert!(
            arrivals.len() <= MAX_ARRIVALS
                && named(received) * TrainReport::every(received) >= usize::from(received)
        );
        let report = TrainReport { train: 0, received, arrivals };
        let length = report.encode(SENDER, &key()).len();
        assert!(length <= 42 + 6 + 6 * MAX_ARRIVALS + 16 && length <= 832);
    }
}

proptest! {
    #[test]
    fn reports_round_trip(train: u32, received in 0..=MAX_TRAIN, steps in prop::collection::vec(0_u32..9999, MAX_ARRIVALS)) {
        let mut micros = 0;
        let arrivals = steps.into_iter().take(named(received)).enumerate().map(|(place, step)| {
            micros += if place == 0 { 0 } else { step };
            Arrival { index: u16::try_from(place).unwrap(), micros }
        });
        let report = TrainReport { train, received, arrivals: arrivals.collect() };
        prop_assert_eq!(TrainReport::decode(&report.encode(SENDER, &key()), SENDER, &key()), Ok(report));
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        crate::fuzz::fuzz_train(&bytes);
    }
}
