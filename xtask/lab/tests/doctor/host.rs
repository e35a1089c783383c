// SPDX-License-Identifier: AGPL-3.0-or-later
//! The host: its ports, routes, switches, filters and devices.

use std::net::TcpListener;

use irdest_lab::{GatewayConfig, Node};

use crate::scene::{Scene, doctor, doctor_after, nft, sysctl};

const NOTHING: [&str; 0] = [];

/// A network of the host with nobody else in it.
fn add_network(node: &Node, device: &str, address: &str) {
    let far = format!("{device}-far");
    node.ip(&["link", "add", device, "type", "veth", "peer", "name", &far]).unwrap();
    node.ip(&["address", "add", address, "dev", device]).unwrap();
    node.ip(&["link", "set", &far, "up"]).unwrap();
    node.ip(&["link", "set", device, "up"]).unwrap();
}

/// B as it is, and forwarding between lan0 and the mesh.
fn forwarding(scene: &Scene) -> GatewayConfig {
    let via = scene.a.identity().address.clone();
    let config = Scene::config_of_b("forward.interfaces = [\"lan0\"]");
    GatewayConfig { routes: vec![("10.66.1.0/24".into(), via)], ..config }
}

#[test]
fn a_port_that_somebody_else_has() {
    let scene = Scene::prepare();
    let taken = scene.b.node().thread(|| TcpListener::bind("0.0.0.0:5860").unwrap()).unwrap().join().unwrap();
    let told = doctor(&scene.b);
    assert_eq!(told.wrong(), ["error port", "warning gateway"], "{told:?}");
    let found = told.found("port");
    assert!(
        found.contains("0.0.0.0:5860 is taken by") && found.contains(&std::process::id().to_string()),
        "{found}"
    );
    drop(taken);
    assert_eq!(doctor(&scene.b).wrong(), ["warning gateway"]);
}

#[test]
fn networks_of_the_host_in_the_way_of_the_mesh() {
    let scene = Scene::running();
    let a = scene.a.node();
    add_network(a, "same0", "10.66.2.9/24");
    let told = doctor(&scene.a);
    assert_eq!(told.wrong(), ["error routes"], "{told:?}");
    assert!(
        told.found("routes")
            .contains("10.66.2.0/24 is routed into the mesh, and by the host itself dev same0")
    );
    a.ip(&["link", "delete", "same0"]).unwrap();

    add_network(a, "wide0", "10.66.2.9/23");
    let told = doctor(&scene.a);
    assert_eq!(told.wrong(), ["warning routes"], "{told:?}");
    assert!(told.found("routes").contains("10.66.2.0/23 of wide0"), "{told:?}");
    a.ip(&["link", "delete", "wide0"]).unwrap();

    add_network(a, "own0", "10.66.1.9/25");
    let told = doctor(&scene.a);
    assert_eq!(told.wrong(), ["error routes"], "{told:?}");
    assert!(told.found("routes").starts_with("tun.addresses: 10.66.1.1/24"), "{told:?}");
    a.ip(&["link", "delete", "own0"]).unwrap();
    assert_eq!(doctor(&scene.a).wrong(), NOTHING);
}

#[test]
fn a_routing_table_of_somebody_else() {
    let scene = Scene::prepare();
    scene.a.node().ip(&["route", "add", "10.9.0.0/24", "dev", "to-hop", "table", "26994"]).unwrap();
    let told = doctor(&scene.a);
    assert_eq!(told.wrong(), ["error routes", "warning gateway"], "{told:?}");
    assert!(told.found("routes").contains("26994 holds routes of another program"), "{told:?}");
}

#[test]
fn forwarding_that_is_off_or_filtered() {
    let mut scene = Scene::prepare();
    let config = forwarding(&scene);
    scene.b.configure(&config).unwrap();
    let told = doctor(&scene.b);
    assert_eq!(told.wrong(), ["warning gateway", "warning forwarding"], "{told:?}");
    assert!(told.found("forwarding").contains("no interface lan0"), "{told:?}");

    add_network(scene.b.node(), "lan0", "10.66.3.1/24");
    scene.start();
    assert_eq!(doctor(&scene.b).wrong(), NOTHING, "the gateway has switched it on");
    sysctl(scene.b.node(), "net/ipv4/conf/lan0/forwarding", "0");
    let told = doctor(&scene.b);
    assert_eq!(told.wrong(), ["error forwarding"], "{told:?}");
    sysctl(scene.b.node(), "net/ipv4/conf/lan0/forwarding", "1");

    nft(
        scene.b.node(),
        "table inet host { chain forward { type filter hook forward priority 0; policy drop; }; }",
    );
    let told = doctor(&scene.b);
    assert_eq!(told.wrong(), ["error firewall"], "{told:?}");
    assert!(
        told.found("firewall").contains("from lan0 to irdest0 (chain forward of table inet host)"),
        "{told:?}"
    );
    nft(scene.b.node(), "add rule inet host forward iifname lan0 oifname irdest0 accept");
    assert_eq!(doctor(&scene.b).wrong(), NOTHING);
}

#[test]
fn a_firewall_in_front_of_our_port() {
    let scene = Scene::running();
    let b = scene.b.node();
    nft(
        b,
        "table inet host { chain input { type filter hook input priority 0; policy drop; \
         iif lo accept; ct state vmap { established : accept, related : accept, invalid : drop }; \
         tcp dport { 22, 80-90 } accept; }; }",
    );
    let told = doctor(&scene.b);
    assert_eq!(told.wrong(), ["error firewall"], "{told:?}");
    assert!(told.found("firewall").contains("TCP port 5860 (chain input of table inet host)"), "{told:?}");
    nft(b, "add rule inet host input ip saddr 203.0.113.0/24 accept");
    assert_eq!(doctor(&scene.b).wrong(), ["warning firewall"]);
    nft(b, "add rule inet host input ip saddr 192.0.2.0/24 tcp dport 5860 accept");
    assert_eq!(doctor(&scene.b).wrong(), NOTHING);
}

#[test]
fn a_device_that_is_down_or_cannot_be_had() {
    let mut scene = Scene::running();
    scene.a.node().ip(&["link", "set", "irdest0", "down"]).unwrap();
    let told = doctor(&scene.a);
    assert_eq!(told.wrong(), ["error tun"], "{told:?}");
    scene.a.stop().unwrap();
    let told = doctor_after(&scene.a, "mount -t tmpfs tmpfs /dev/net");
    assert_eq!(told.wrong(), ["error tun", "warning gateway"], "{told:?}");
    assert!(told.found("tun").contains("no TUN driver"), "{told:?}");
    add_network(scene.a.node(), "irdest0", "10.66.9.1/24");
    let told = doctor(&scene.a);
    assert!(told.found("tun").contains("irdest0 is no TUN device"), "{told:?}");
}

#[test]
fn a_kernel_that_is_known_to_break_packets() {
    let scene = Scene::prepare();
    // Debian and Ubuntu tell the version of kernel.org in the other two.
    let kernel = "echo 6.6.44 > release && echo '#1 SMP' > version &&
        mount --bind release /proc/sys/kernel/osrelease && mount --bind version /proc/sys/kernel/version &&
        { test ! -e /proc/version_signature || mount --bind version /proc/version_signature; }";
    let told = doctor_after(&scene.a, kernel);
    assert_eq!(told.wrong(), ["warning gateway", "warning kernel-offload"], "{told:?}");
    assert!(told.found("kernel-offload").starts_with("Linux 6.6.44 refuses super-packets"), "{told:?}");
    assert_eq!(doctor(&scene.a).wrong(), ["warning gateway"]);
}
