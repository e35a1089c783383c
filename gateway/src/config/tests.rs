// SPDX-License-Identifier: AGPL-3.0-or-later

use super::*;
use gateway_core::firewall::{Action, Carrying, To, Whom};
use gateway_core::packet::Direction;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

mod firewall;

const KEY: &str = "8A88-E3DD-7409-F195-FD52-DB2D-3CBA-5D72-CA67-09BF-1D94-121B-F374-8801-B40F-6F5C";

fn error(text: &str) -> String {
    Config::from_text("gateway.toml", text).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = Config::from_text("empty", "").unwrap();
    assert_eq!(config.state_dir, Path::new("/var/lib/irdest-gateway"));
    assert_eq!(config.peers, []);
    assert!(config.accept_unknown_peers);
    assert_eq!(config.passphrase_file, None);
    let tun = &config.tun;
    assert_eq!((tun.enable, tun.name.as_str(), tun.mtu, tun.offload), (true, "irdest0", 1420, true));
    assert_eq!(tun.addresses, []);
    assert!(config.inet.enable);
    assert_eq!(config.inet.listen, ["[::]:5860".parse().unwrap()]);
    assert_eq!(config.routes, []);
    let host = &config.host;
    assert_eq!((host.table, host.priority, host.mark), (26994, 26994, 0x6972_6465));
    assert_eq!(host.other_family, OtherFamily::Unreachable);
    assert_eq!(config.forward, Forward { exit_nat: true, ..Forward::default() });
    assert_eq!(config.accept_sessions, Accept::Any);
    assert_eq!(config.firewall_rules, []);
    assert_eq!(config.links, []);
    assert!(config.probes);
    assert_eq!((config.streams.enable, config.streams.quota), (true, ByteCount(1 << 30)));
    assert_eq!(config.streams.notice_above, ByteCount(8 << 20));
    assert_eq!(config.streams.filter, StreamFilter::default());
    assert_eq!((config.clients.enable, config.clients.listen), (true, "127.0.0.1:5852".parse().unwrap()));
    assert_eq!(config.clients.socket.as_deref(), Some(Path::new("/run/irdest-gateway/clients.sock")));
    assert_eq!(config.trains, Some(TrainConfig::default()));
    assert_eq!(config.control_socket, Path::new("/run/irdest-gateway/control.sock"));
    assert_eq!(config.log_filter.as_str(), "info");
}

#[test]
fn every_key_is_taken() {
    let text = format!(
        r#"
        state_dir = "/s"
        peers = ["inet:a.example:1", {{ peer = "inet:[2001:db8::1]:2", router_key = "{KEY}", mtu = 1280 }}]
        accept_unknown_peers = false
        identity.passphrase_file = "/p"
        sessions.accept = "configured"
        control.socket = "/c"
        probes.enabled = false
        streams = {{ enable = false, quota = 16777216, notice_above = 0, largest = 7, only_from = ["{KEY}"], not_from = ["{KEY}"],
            only_to = ["namespace:{KEY}"], not_to = ["namespace:{KEY}"] }}
        clients = {{ enable = false, listen = "[::1]:1", socket = "" }}
        trains.share = 0
        log.filter = "warn,irdest_proxy=trace"
        firewall.accept = [
            {{ from = "configured", protocol = "tcp", ports = [22, "8000-8099"] }},
            {{ from = "any" }},
            {{ from = "{KEY}", protocol = "udp" }},
        ]
        [tun]
        enable = false
        name = "mesh0"
        mtu = 65535
        offload = false
        addresses = ["10.77.0.1/24", "fd00::1/64"]
        [inet]
        enable = false
        listen = ["192.0.2.1:5860", "[::1]:1"]
        mtu = 9000
        buffer = 4194304
        [[route]]
        prefix = "10.78.0.0/24"
        via = "{KEY}"
        [[route]]
        prefix = "fd01::/16"
        prefixes = ["0.0.0.0/0", "10.0.0.0/8"]
        except = ["10.9.0.0/16", "192.0.2.1/32"]
        via = "{KEY}"
        [[link]]
        neighbour = "{KEY}"
        remote = "192.0.2.1"
        cost = "250 us"
        [host]
        table = 4294967295
        priority = 32765
        mark = 0xff
        other_family = "direct"
        [forward]
        interfaces = ["lan0", "br-lan.7"]
        nat = true
        exit_interfaces = ["eth0"]
        exit_nat = false
        "#
    );
    let config = Config::from_text("all", &text).unwrap();
    assert_eq!(config.peers[0].router_key, None);
    assert_eq!(config.peers[1].target.to_string(), "inet:[2001:db8::1]:2");
    assert_eq!((config.peers[1].target.host(), config.peers[1].target.port()), ("2001:db8::1", 2));
    assert_eq!(config.peers[1].router_key, KEY.parse().ok());
    assert_eq!(config.tun.addresses[1].to_string(), "fd00::1/64");
    assert_eq!((config.peers[0].mtu, config.peers[1].mtu), (None, Some(Mtu(1280))));
    assert_eq!(config.inet.listen.len(), 2);
    assert_eq!((config.inet.mtu, config.inet.buffer), (Some(Mtu(9000)), Some(ByteCount(4 * 1024 * 1024))));
    let routes: Vec<_> =
        config.routes[1..].iter().map(|route| format!("{} - {:?}", route.prefix, route.except)).collect();
    assert_eq!(
        routes,
        ["0.0.0.0/0 - [10.9.0.0/16, 192.0.2.1/32]", "10.0.0.0/8 - [10.9.0.0/16]", "fd01::/16 - []"]
    );
    assert_eq!(config.routes[1].via, KEY.parse().unwrap());
    assert!(!config.probes);
    assert_eq!((config.streams.enable, config.streams.quota), (false, ByteCount(1 << 24)));
    let senders = BTreeSet::from([KEY.parse().unwrap()]);
    let filter = &config.streams.filter;
    assert_eq!((config.streams.notice_above, filter.largest), (ByteCount(0), Some(ByteCount(7))));
    assert_eq!((filter.only_from.as_ref(), &filter.not_from), (Some(&senders), &senders));
    let namespaces = BTreeSet::from([KEY.parse().unwrap()]);
    assert_eq!((filter.only_to.as_ref(), &filter.not_to), (Some(&namespaces), &namespaces));
    assert_eq!(config.trains, None);
    assert_eq!(config.links[0].cost.as_duration(), Duration::from_micros(250));
    let host = &config.host;
    assert_eq!((host.table, host.priority, host.mark), (u32::MAX, 32765, 0xff));
    assert_eq!(host.other_family, OtherFamily::Direct);
    assert_eq!(config.forward.interfaces, ["lan0", "br-lan.7"]);
    assert_eq!((config.forward.nat, config.forward.exit_nat), (true, false));
    let short = Rule {
        name: "accept 1".into(),
        action: Action::Accept,
        direction: Direction::Inbound,
        remote: Whom::Configured,
        carrying: Carrying::Tcp,
        ports: vec![22..=22, 8000..=8099],
        to: To::Ourselves,
        rate: None,
        log: false,
    };
    assert_eq!(config.firewall_rules[0], short);
    let rule = &config.firewall_rules[1];
    assert_eq!((rule.remote, rule.carrying, rule.ports.len()), (Whom::Any, Carrying::TcpAndUdp, 0));
    assert_eq!(config.firewall_rules[2].remote, Whom::Remote(KEY.parse().unwrap()));
    assert_eq!((config.accept_sessions, config.accept_unknown_peers), (Accept::Configured, false));
}

#[test]
fn mistakes_are_named_with_place_key_and_expectation() {
    let mtu = "expected an integer from 1280 to 65535";
    let key = "16 groups of 4 hexadecimal digits joined by '-'";
    let peer = "expected \"inet:HOST:PORT\" with an IPv6 address in brackets";
    let prefix = "expected a unicast IP prefix without host bits and outside of fd69:7264::/32, such as \"10.78.0.0/24\"";
    let address = "expected a unicast IP address with prefix length, neither loopback nor within fd69:7264::/32, such as \
                   \"10.77.0.1/24\"";
    let via = format!("expected the address of a remote, {key}, or a name from [contacts]");
    let table = [
        ("\n[tun]\nmtu = \"big\"", format!("gateway.toml:3: tun.mtu: {mtu}, got \"big\"")),
        ("inet.mtu = 575", "gateway.toml:1: inet.mtu: expected an integer from 576 to 33004, got 575".into()),
        (
            "peers = [{ peer = \"inet:a:1\", mtu = 33_005 }]",
            "gateway.toml:1: peers[0].mtu: expected an integer from 576 to 33004, got 33005".into(),
        ),
        (
            "inet.buffer = 65_535",
            "gateway.toml:1: inet.buffer: expected an integer from 65536 to 1073741824, got 65535".into(),
        ),
        (
            "streams.quota = 1_000",
            "gateway.toml:1: streams.quota: expected an integer from 16777216 to 1099511627776, got 1000".into(),
        ),
        ("trains.share = 101", "gateway.toml:1: trains.share: expected an integer from 0 to 100, got 101".into()),
        ("tun.mtu = 1279", format!("gateway.toml:1: tun.mtu: {mtu}, got 1279")),
        ("tun.mtu = 65_536", format!("gateway.toml:1: tun.mtu: {mtu}, got 65536")),
        ("tun.mtu = 1400.0", format!("gateway.toml:1: tun.mtu: {mtu}, got 1400.0")),
        ("tun.mtu = 99999999999999999999", format!("gateway.toml:1: tun.mtu: {mtu}, got 99999999999999999999")),
        ("tun.enable = 1", "gateway.toml:1: tun.enable: expected true or false, got 1".into()),
        ("tun = true", "gateway.toml:1: tun: expected a table, got true".into()),
        ("[tun]\n\nmut = 1", "gateway.toml:3: tun.mut: unknown key, expected addresses, enable, mtu, name or offload".into()),
        ("[identity]\nkey = 1", "gateway.toml:2: identity.key: unknown key, expected passphrase_file".into()),
        (
            "\n\n[tune]\nmtu = 1",
            "gateway.toml:3: tune: unknown key, expected accept_unknown_peers, clients, contacts, control, firewall, forward, host, \
             identity, inet, limit, link, log, peers, probes, route, sessions, state_dir, streams, trains or tun"
                .into(),
        ),
        ("state_dir = \"here\"", "gateway.toml:1: state_dir: expected an absolute path, got \"here\"".into()),
        ("peers = \"inet:a:1\"", "gateway.toml:1: peers: expected a list, got \"inet:a:1\"".into()),
        ("peers = [\n\"inet:a:1\",\n\"inet:a\"]", format!("gateway.toml:3: peers[1]: {peer}, got \"inet:a\"")),
        (
            "peers = [\"inet:a:1\",\n\"inet:a:1\"]",
            "gateway.toml:2: peers[1]: expected a different one each time, got the one of peers[0] again".into(),
        ),
        ("peers = [{}]", format!("gateway.toml:1: peers[0].peer: missing, {peer}")),
        (
            "peers = [{ peer = \"inet:a:1\", router_key = \"AB\" }]",
            format!("gateway.toml:1: peers[0].router_key: expected a router id, {key}, got \"AB\""),
        ),
        (
            "peers = [{ peer = \"inet:a:1\", key = \"AB\" }]",
            "gateway.toml:1: peers[0].key: unknown key, expected mtu, peer or router_key".into(),
        ),
        ("[[route]]\nprefix = \"10.0.0.0/8\"", format!("gateway.toml:1: route[0].via: missing, {via}")),
        ("[[route]]\nprefix = \"10.0.0.1/8\"\nvia = \"\"", format!("gateway.toml:2: route[0].prefix: {prefix}, got \"10.0.0.1/8\"")),
        ("[[route]]\n\nprefix = \"ff00::/8\"\nvia = \"\"", format!("gateway.toml:3: route[0].prefix: {prefix}, got \"ff00::/8\"")),
        ("[[route]]\nprefix = \"fd69:7264:1::/48\"\nvia = \"\"", format!("gateway.toml:2: route[0].prefix: {prefix}, got \"fd69:7264:1::/48\"")),
        ("[[route]]\nprefix = \"10.0.0.0/8\"\nvia = \"\"", format!("gateway.toml:3: route[0].via: {via}, got \"\"")),
        ("[[route]]\nvia = \"\"", format!("gateway.toml:1: route[0].prefix: missing, {prefix}")),
        (
            "[[route]]\nprefix = \"10.0.0.0/8\"\nexcept = [\"11.0.0.0/8\"]",
            "gateway.toml:3: route[0].except[0]: expected a part of one of the route's prefixes, got 11.0.0.0/8".into(),
        ),
        ("host.table = 254", "gateway.toml:1: host.table: expected the number of a routing table of its own, from 1 to 4294967295 without 253 to 255, got 254".into()),
        ("host.priority = 32766", "gateway.toml:1: host.priority: expected an integer from 1 to 32765, got 32766".into()),
        ("host.mark = 0", "gateway.toml:1: host.mark: expected an integer from 1 to 4294967295, got 0".into()),
        ("host.other_family = \"leak\"", "gateway.toml:1: host.other_family: expected \"unreachable\" or \"direct\", got \"leak\"".into()),
        (
            "forward.interfaces = [\"eth*\"]",
            "gateway.toml:1: forward.interfaces[0]: expected an interface name of 1 to 15 letters, digits, '-', '_' and '.', \
             got \"eth*\""
                .into(),
        ),
        ("[route]\nprefix = \"10.0.0.0/8\"", "gateway.toml:1: route: expected a list, got a table".into()),
        (
            "tun.name = \"a-name-that-is-too-long\"",
            "gateway.toml:1: tun.name: expected a device name of 1 to 15 visible characters without '/', ':' and '%', \
             got \"a-name-that-is-too-long\""
                .into(),
        ),
        (
            "tun.addresses = [\"10.77.0.1\"]",
            format!("gateway.toml:1: tun.addresses[0]: {address}, got \"10.77.0.1\""),
        ),
        (
            "tun.addresses = [\n\"10.77.0.1/24\",\n\"fd69:7264::1/128\"]",
            format!("gateway.toml:3: tun.addresses[1]: {address}, got \"fd69:7264::1/128\""),
        ),
        (
            "inet.listen = [\"5860\"]",
            "gateway.toml:1: inet.listen[0]: expected \"ADDRESS:PORT\", such as \"[::]:5860\" or \"192.0.2.1:5860\", \
             got \"5860\""
                .into(),
        ),
        ("sessions.accept = \"all\"", "gateway.toml:1: sessions.accept: expected \"any\" or \"configured\", got \"all\"".into()),
        (
            "log.filter = \"inof\"",
            "gateway.toml:1: log.filter: expected a level (error, warn, info, debug, trace) or directives like \
             \"info,irdest_proxy=debug\", got \"inof\""
                .into(),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(error(text), expected, "for {text:?}");
    }
    let syntax = error("a = 1\nb =");
    assert!(syntax.starts_with("gateway.toml:2: not TOML: "), "{syntax}");
    let twice = error("accept_unknown_peers = true\naccept_unknown_peers = true");
    assert!(twice.starts_with("gateway.toml:2: not TOML: "), "{twice}");
}

#[test]
fn lists_have_a_limit() {
    let peers = |count: usize| {
        let list: Vec<_> = (0..count).map(|n| format!("\"inet:a{n}:1\"")).collect();
        Config::from_text("gateway.toml", &format!("peers = [{}]", list.join(",")))
    };
    assert_eq!(peers(256).unwrap().peers.len(), 256);
    assert_eq!(
        peers(257).unwrap_err().to_string(),
        "gateway.toml:1: peers: expected at most 256 peers, got 257"
    );
}

#[test]
fn a_prefix_is_routed_once() {
    let twice = |second: &str| {
        error(&format!("route = [\n{{ prefix = \"10.0.0.0/8\", via = \"{KEY}\" }},\n{second}]"))
    };
    assert_eq!(
        twice(&format!("{{ prefix = \"10.0.0.0/8\", via = \"{KEY}\" }}")),
        "gateway.toml:3: route[1]: expected a different one each time, got the one of route[0] again"
    );
    assert_eq!(
        twice(&format!("{{ prefixes = [\"11.0.0.0/8\", \"10.0.0.0/8\"], via = \"{KEY}\" }}")),
        "gateway.toml:3: route[1]: expected other prefixes, got 10.0.0.0/8 of route[0] again"
    );
}

#[test]
fn prefixes_have_the_same_limit_as_routes() {
    let prefixes = |octet: u8| -> Vec<_> {
        (0..2049).map(|n| format!("\"10.{octet}.{}.{}/32\"", n / 256, n % 256)).collect()
    };
    let table = |octet| format!("{{ prefixes = [{}], via = \"{KEY}\" }}", prefixes(octet).join(","));
    let text = format!("route = [{}, {}]", table(1), table(2));
    assert_eq!(error(&text), "gateway.toml:1: route[1]: expected at most 4096 prefixes, got 4098 up to here");
}

#[test]
fn routes_have_the_limit_of_the_table_that_takes_them() {
    let text = format!("route = [{}]", vec!["{}"; MAX_ROUTES + 1].join(","));
    assert_eq!(error(&text), "gateway.toml:1: route: expected at most 4096 routes, got 4097");
}

/// A directory with a state directory in it, and the sources that read it.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        fs::create_dir(files.0.path().join("state")).unwrap();
        let state = files.0.path().join("state");
        files.write("gateway.toml", &format!("state_dir = {state:?}\n"));
        files
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, before + text).unwrap();
    }

    fn sources(&self, assignments: &[&str]) -> Sources {
        Sources {
            config: Some(self.0.path().to_owned()),
            assignments: assignments.iter().map(|text| (*text).to_owned()).collect(),
            ..Sources::default()
        }
    }
}

#[test]
fn each_layer_lies_over_the_one_before() {
    let files = Files::new();
    let mtu = |sources: &Sources| Config::load(sources).unwrap().tun.mtu;
    assert_eq!(mtu(&files.sources(&[])), 1420);
    files.write("gateway.toml", "tun.mtu = 1300\n");
    assert_eq!(mtu(&files.sources(&[])), 1300);
    files.write("lab.toml", "tun.mtu = 1301\n");
    assert_eq!(mtu(&files.sources(&[])), 1300, "a profile counts only where it is named");
    let lab = Sources { profile: Some("lab".into()), ..files.sources(&[]) };
    assert_eq!(mtu(&lab), 1301);
    files.write("state/gateway.toml", "tun.mtu = 1302\n");
    assert_eq!(mtu(&lab), 1302);
    assert_eq!(Config::load_for_client(&lab).unwrap().tun.mtu, 1301, "without the state directory");
    assert_eq!(mtu(&files.sources(&["tun.mtu=1303"])), 1303);
    assert_eq!(mtu(&files.sources(&["tun.mtu=1303", "\"tun.mtu\" = 1304"])), 1304);
    // As the file itself, the profile lies beside it.
    let file = Sources { config: Some(files.0.path().join("gateway.toml")), ..lab };
    assert_eq!(mtu(&file), 1302);
}

#[test]
fn tables_merge_and_lists_replace() {
    let files = Files::new();
    files.write(
        "gateway.toml",
        "peers = [\"inet:a:1\", \"inet:b:1\"]\n[tun]\nname = \"one\"\naddresses = [\"10.0.0.1/8\"]\n",
    );
    files.write("state/gateway.toml", "peers = [\"inet:c:1\"]\n[tun]\noffload = false\n");
    let config = Config::load(&files.sources(&[])).unwrap();
    assert_eq!((config.tun.name.as_str(), config.tun.offload, config.tun.addresses.len()), ("one", false, 1));
    assert_eq!(config.peers.len(), 1);
    assert_eq!(config.peers[0].target.host(), "c");
}

#[test]
fn arguments_are_toml_or_bare_words() {
    let files = Files::new();
    let config = Config::load(&files.sources(&[
        "tun.name=mesh1",
        "tun.offload=false",
        "log.filter=info,irdest_proxy=debug",
        "peers=[\"inet:a:1\"]",
        "'inet'.\"listen\"=[]",
        "sessions.accept = configured",
    ]))
    .unwrap();
    assert_eq!((config.tun.name.as_str(), config.tun.offload), ("mesh1", false));
    assert_eq!(config.log_filter.as_str(), "info,irdest_proxy=debug");
    assert_eq!((config.peers.len(), config.inet.listen.len()), (1, 0));
    assert_eq!(config.accept_sessions, Accept::Configured);

    let error = |argument| Config::load(&files.sources(&[argument])).unwrap_err().to_string();
    assert_eq!(
        error("tun.mtu=big"),
        "-s tun.mtu=big: tun.mtu: expected an integer from 1280 to 65535, got \"big\""
    );
    assert_eq!(error("tun.mtu"), "-s tun.mtu: expected KEY=VALUE, such as tun.mtu=1400");
    assert_eq!(error("tun..mtu=1"), "-s tun..mtu=1: expected KEY=VALUE, such as tun.mtu=1400");
    assert!(error("tune=1").starts_with("-s tune=1: tune: unknown key, expected "));
}

#[test]
fn called_as_ratmand_there_is_no_tun_unless_asked_for() {
    let files = Files::new();
    let ratmand = |assignments| Sources { router_only: true, ..files.sources(assignments) };
    assert!(!Config::load(&ratmand(&[])).unwrap().tun.enable);
    assert!(Config::load(&ratmand(&["tun.enable=true"])).unwrap().tun.enable);
    files.write("gateway.toml", "tun.enable = true\n");
    assert!(Config::load(&ratmand(&[])).unwrap().tun.enable);
}

#[test]
fn missing_files_and_bad_names_are_named() {
    let files = Files::new();
    let dir = files.0.path().display();
    let error = |sources: Sources| Config::load(&sources).unwrap_err().to_string();
    let none = Sources { config: Some(files.0.path().join("none.toml")), ..Sources::default() };
    assert_eq!(error(none), format!("{dir}/none.toml: cannot read the configuration: entity not found"));
    let profile = |name: &str| Sources { profile: Some(name.into()), ..files.sources(&[]) };
    assert_eq!(
        error(profile("none")),
        format!("{dir}/none.toml: cannot read the configuration: entity not found")
    );
    assert_eq!(error(profile("../x")), "-p ../x: expected a profile name of letters, digits, '-' and '_'");
    let endless = Sources { config: Some("/dev/zero".into()), ..Sources::default() };
    assert_eq!(error(endless), "/dev/zero: cannot read the configuration: expected at most 1 MiB");
}

#[test]
fn a_mistake_is_found_even_where_another_layer_hides_it() {
    let files = Files::new();
    files.write("gateway.toml", "tun.mtu = 1\n");
    let error = Config::load(&files.sources(&["tun.mtu=1400"])).unwrap_err().to_string();
    assert!(error.contains("gateway.toml:2: tun.mtu: expected"), "{error}");
}

#[test]
fn the_layer_in_the_state_directory_cannot_move_it() {
    let files = Files::new();
    files.write("state/gateway.toml", "\nstate_dir = \"/elsewhere\"");
    let error = Config::load(&files.sources(&[])).unwrap_err().to_string();
    let expected = "state/gateway.toml:2: state_dir: expected it to be set outside of the state directory, got \"/elsewhere\"";
    assert!(error.ends_with(expected), "{error}");
}

/// What is installed to begin with: a comment throughout, whose examples are good.
#[test]
fn the_installed_file_changes_nothing_and_shows_what_is_true() {
    let text = include_str!("../../../config/gateway.toml");
    assert_eq!(Config::from_text("installed", text).unwrap(), Config::from_text("empty", "").unwrap());
    let examples: Vec<_> = text
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .filter(|line| line.starts_with('[') || line.split(' ').nth(1) == Some("="))
        .collect();
    let examples = examples.join("\n").replace("0123-4567-…", KEY);
    let config = Config::from_text("examples", &examples).unwrap();
    assert_eq!((config.peers.len(), config.routes.len(), config.firewall_rules.len()), (1, 1, 1));
    assert_eq!(config.tun.addresses.len(), 1);
    assert_eq!(config.forward.interfaces, ["lan0"]);
    let defaults = Config::from_text("empty", "").unwrap();
    assert_eq!((config.inet, config.log_filter), (defaults.inet, defaults.log_filter));
}
