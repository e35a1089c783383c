// SPDX-License-Identifier: AGPL-3.0-or-later

use super::*;

/// That of a gateway that has just started, without peers and links.
pub(crate) fn just_started() -> Status {
    Status {
        version: "0.1.0".into(),
        address: Address::from_bytes([1; 32]),
        router_id: RouterId::from_bytes([2; 32]),
        overlay: "fd69:7264::1".parse().unwrap(),
        uptime_s: 60,
        warnings: Vec::new(),
        clock_correction_us: 0,
        peers: Vec::new(),
        links: Vec::new(),
        routes: Vec::new(),
        sessions: Vec::new(),
        flows: Vec::new(),
        rules: Vec::new(),
        streams: None,
        drops: BTreeMap::new(),
        counters: BTreeMap::new(),
    }
}

pub(crate) fn sample() -> Status {
    let address = Address::from_bytes([0xAB; 32]);
    let neighbour = RouterId::from_bytes([0xCD; 32]);
    let link = LinkStatus {
        link: 3,
        netmod: "inet".into(),
        neighbour,
        local: "192.0.2.1:5860".into(),
        remote: "[2001:db8::1]:40000".into(),
        dialed: false,
        state: LinkState::Live,
        mtu: 33_004,
        rtt_us: Some(213),
        clock_offset_us: Some(-7),
        queued_bytes: 0,
        dropped_frames: 7,
        up_s: 12,
    };
    let starting =
        LinkStatus { link: 4, dialed: true, state: LinkState::Starting, rtt_us: None, ..link.clone() };
    Status {
        version: "0.1.0".into(),
        address,
        router_id: RouterId::from_bytes([1; 32]),
        overlay: "fd69:7264::1".parse().unwrap(),
        uptime_s: 3_700,
        warnings: vec!["reload refused: gateway.toml:3: not TOML".into()],
        clock_correction_us: -90_500_000,
        peers: vec![
            PeerStatus { peer: "inet:[2001:db8::1]:5860".into(), linked: true, reached: true, failure: None },
            PeerStatus {
                peer: "inet:a.example:1".into(),
                linked: false,
                reached: false,
                failure: Some("connection refused".into()),
            },
        ],
        links: vec![link, starting],
        routes: vec![
            RouteStatus {
                address,
                overlay: "fd69:7264::2".parse().unwrap(),
                local: false,
                next_hop: Some(NextHop { link: 3, neighbour }),
                ping_us: Some(1_420),
                mtu: Some(33_004),
                bandwidth: Some(6_250_000),
                state: RouteState::Live,
                reason: "lowest ping".into(),
                hops: Some(3),
                heard_s: 1,
                known_s: 90,
            },
            RouteStatus {
                address: Address::from_bytes([2; 32]),
                overlay: "fd69:7264::3".parse().unwrap(),
                local: false,
                next_hop: None,
                ping_us: None,
                mtu: None,
                bandwidth: None,
                state: RouteState::Idle,
                reason: "no feasible hop".into(),
                hops: None,
                heard_s: 40,
                known_s: 90,
            },
        ],
        sessions: vec![SessionStatus {
            remote: address,
            state: SessionState::Established,
            role: SessionRole::Initiator,
            since_s: 59,
            tx_bytes: 12_345,
            rx_bytes: 0,
            tx_packets: 10,
            rx_packets: 0,
        }],
        flows: vec![FlowStatus {
            protocol: "tcp".into(),
            source: FlowEnd { ip: "fd69:7264::1".parse().unwrap(), port: Some(40_000) },
            destination: FlowEnd { ip: "10.78.0.1".parse().unwrap(), port: None },
            remote: address,
            tx_packets: 1,
            rx_packets: 2,
            tx_bytes: 3,
            rx_bytes: 4,
            idle_s: 0,
        }],
        rules: vec![RuleStatus {
            name: "no mail".into(),
            direction: "out".into(),
            action: "deny".into(),
            accepted: 0,
            denied: 25,
            limited: 0,
        }],
        streams: Some(StreamsStatus {
            sending: 2,
            receiving: 1,
            waiting: 3,
            sleeping: 4,
            shared: 5,
            carried: 0,
            flooded: 12,
            journal_bytes: 1_100_000,
            quota_bytes: 1 << 30,
            disk_bytes: 1_600_000,
            unsaved_bytes: 640,
            removals_owed: 6,
        }),
        drops: BTreeMap::from([("replayed frame".into(), 7)]),
        counters: BTreeMap::new(),
    }
}

#[test]
fn json_round_trips_and_names_things_as_documented() {
    let status = sample();
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["links"][1]["state"], "starting");
    assert_eq!(json["links"][0]["rtt_us"], 213);
    assert_eq!(json["links"][1]["rtt_us"], serde_json::Value::Null);
    assert_eq!(json["peers"][1]["failure"], "connection refused");
    assert_eq!(json["clock_correction_us"], -90_500_000);
    assert_eq!(json["streams"]["removals_owed"], 6);
    assert_eq!(json["links"][0]["remote"], "[2001:db8::1]:40000");
    assert_eq!(json["routes"][0]["next_hop"]["link"], 3);
    assert_eq!(json["address"], status.address.to_string());
    assert_eq!(json["sessions"][0]["role"], "initiator");
    assert_eq!(json["flows"][0]["source"]["port"], 40_000);
    assert_eq!(json["streams"]["journal_bytes"], 1_100_000);
    assert_eq!(json["drops"]["replayed frame"], 7);
    assert_eq!(serde_json::from_value::<Status>(json).unwrap(), status);
}

#[test]
fn tables_are_aligned() {
    let expected = "\
address    ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB
router id  0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101-0101
overlay    fd69:7264::1
version    0.1.0, up 1h 1m
warning    reload refused: gateway.toml:3: not TOML
clock      90.50 s ahead of that of the neighbours

Peers (2)
  peer                     state          last failure
  inet:[2001:db8::1]:5860  linked         –
  inet:a.example:1         never reached  connection refused

Links (2)
  link  netmod  neighbour            local and remote                      state     rtt     queued  dropped  mtu      up
  3     inet    CDCD-CDCD-CDCD-CDCD  192.0.2.1:5860 ← [2001:db8::1]:40000  live      213 µs  0 B     7        33004 B  12s
  4     inet    CDCD-CDCD-CDCD-CDCD  192.0.2.1:5860 → [2001:db8::1]:40000  starting  –       0 B     7        33004 B  12s

Neighbours (1)
  router id                                                                        links  live  best rtt
  CDCD-CDCD-CDCD-CDCD-CDCD-CDCD-CDCD-CDCD-CDCD-CDCD-CDCD-CDCD-CDCD-CDCD-CDCD-CDCD  2      1     213 µs

Routes (2)
  address              overlay       next hop                         state  ping     bandwidth  mtu      reason
  ABAB-ABAB-ABAB-ABAB  fd69:7264::2  CDCD-CDCD-CDCD-CDCD over link 3  live   1.42 ms  50 Mbit/s  33004 B  lowest ping
  0202-0202-0202-0202  fd69:7264::3  –                                idle   –        –          –        no feasible hop

Sessions (1)
  remote               state        role       since  sent        received
  ABAB-ABAB-ABAB-ABAB  established  initiator  59s    10 (12 kB)  0 (0 B)

Flows (1)
  protocol  source                destination  remote               sent     received  idle
  tcp       [fd69:7264::1]:40000  10.78.0.1    ABAB-ABAB-ABAB-ABAB  1 (3 B)  2 (4 B)   0s

Rules (1)
  rule     direction  action  accepted  denied  limited
  no mail  out        deny    0         25      0

Streams (1)
  sending  receiving  waiting  sleeping  shared  carried  flooded  journal  quota    on disk  not yet on disk
  2        1          3        4         5       0        12       1100 kB  1073 MB  1600 kB  640 B

Drops (1)
  reason          count
  replayed frame  7

Counters (0)
";
    assert_eq!(sample().to_string(), expected);
}
