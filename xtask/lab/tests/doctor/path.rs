// SPDX-License-Identifier: AGPL-3.0-or-later
//! The way to a peer.

use irdest_lab::GatewayConfig;

use crate::scene::{Scene, doctor, nft, sysctl};

/// A hop that drops what is longer than 1300 bytes, without a word.
const BLACK_HOLE: &str =
    "table inet hole { chain forward { type filter hook forward priority 0; meta length > 1300 drop; }; }";

const ACCUSED: [&str; 1] = ["error path-mtu"];
const NOTHING: [&str; 0] = [];

#[test]
fn nothing_is_wrong_with_a_healthy_pair() {
    let scene = Scene::running();
    for gateway in [&scene.a, &scene.b] {
        let told = doctor(gateway);
        assert_eq!(told.wrong(), NOTHING, "{told:?}");
        assert!(told.not_looked_at.is_empty(), "{told:?}");
        assert!(told.findings.len() > 10 && told.code == Some(0), "{told:?}");
    }
}

#[test]
fn a_hop_that_swallows_long_packets_is_found_and_the_advice_helps() {
    let scene = Scene::running();
    nft(&scene.hop, BLACK_HOLE);
    let told = doctor(&scene.a);
    assert_eq!(told.wrong(), ACCUSED, "{told:?}");
    let found = told.found("path-mtu");
    assert!(found.contains("1500 bytes to inet:198.51.100.1:5860"), "{found}");
    assert_eq!(doctor(&scene.b).wrong(), NOTHING, "who is dialled has no way to look at");
    sysctl(scene.a.node(), "net/ipv4/tcp_mtu_probing", "2");
    assert_eq!(doctor(&scene.a).wrong(), NOTHING, "with segments that fit");
}

#[test]
fn a_hop_that_says_how_long_packets_may_be_is_not_accused() {
    let scene = Scene::running();
    scene.hop.ip(&["link", "set", "to-b", "mtu", "1300"]).unwrap();
    assert_eq!(doctor(&scene.a).wrong(), NOTHING);
    // And one that loses a fifth of everything.
    scene.hop.ip(&["link", "set", "to-b", "mtu", "1500"]).unwrap();
    nft(
        &scene.hop,
        "table inet loss { chain forward { type filter hook forward priority 0; numgen random mod 100 < 20 drop; }; }",
    );
    let told = doctor(&scene.a);
    assert!(told.wrong().iter().all(|wrong| wrong == "error peer"), "{told:?}");
}

#[test]
fn a_link_that_the_other_end_dialled_is_one() {
    let mut scene = Scene::prepare();
    let back = GatewayConfig { peers: vec!["inet:192.0.2.1:5860".into()], ..Scene::config_of_b("") };
    scene.b.configure(&back).unwrap();
    scene.b.start().unwrap();
    scene.a.start().unwrap();
    for gateway in [&scene.a, &scene.b] {
        let well = || {
            let told = doctor(gateway);
            told.wrong().is_empty() && told.not_looked_at.is_empty()
        };
        gateway.node().limit().wait_until("a link for either line", well).unwrap();
    }
}

#[test]
fn a_peer_that_cannot_be_reached_is_told_with_the_reason() {
    let mut scene = Scene::prepare();
    scene.a.start().unwrap();
    let refused = || doctor(&scene.a).wrong() == ["error peer"];
    scene.a.node().limit().wait_until("the first attempt to fail", refused).unwrap();
    let told = doctor(&scene.a);
    let found = told.found("peer");
    assert!(
        found.contains("inet:198.51.100.1:5860 was never reached") && found.contains("refused"),
        "{found}"
    );
    assert!(told.not_looked_at.iter().all(|unseen| unseen.id == "path-mtu"), "{told:?}");
}
