// SPDX-License-Identifier: AGPL-3.0-or-later
//! The lab does what it says: it connects its nodes and nothing else, and it leaves nothing behind.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use irdest_lab::traffic::{EchoConnection, HttpServer, IperfServer, Ping, SshServer, Transport, ping};
use irdest_lab::{Conduct, Lab, LinkEnd, Node, Relay, TimeLimit, living_labs, remove_leftovers};

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(30))
}

fn two_nodes(lab: &Lab) -> (Node, Node) {
    let (left, right) = (lab.node("left").unwrap(), lab.node("right").unwrap());
    lab.link(
        LinkEnd { node: &left, device: "to-right", addresses: &["192.0.2.1/24", "2001:db8:1::1/64"] },
        LinkEnd { node: &right, device: "to-left", addresses: &["192.0.2.2/24", "2001:db8:1::2/64"] },
    )
    .unwrap();
    (left, right)
}

fn namespaces() -> String {
    let output = Command::new("ip").args(["netns", "list"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn is_running(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

#[test]
fn linked_nodes_reach_each_other_over_both_families() {
    let lab = Lab::create(limit()).unwrap();
    let (left, right) = two_nodes(&lab);
    for address in ["192.0.2.2", "2001:db8:1::2"] {
        ping(&left, address.parse().unwrap(), 2, lab.limit()).unwrap();
    }
    let mut connection = EchoConnection::open(&left, &right, "192.0.2.2:9000".parse().unwrap()).unwrap();
    connection.echo(lab.limit()).unwrap();
}

#[test]
fn the_applications_work_over_a_plain_link() {
    let lab = Lab::create(limit()).unwrap();
    let (left, right) = two_nodes(&lab);
    let target = "2001:db8:1::2".parse().unwrap();
    let http = HttpServer::start(&right, target, 100_000, lab.limit()).unwrap();
    assert_eq!(http.download(&left, lab.limit()).unwrap().size, 100_000);
    let iperf = IperfServer::start(&right, target, lab.limit()).unwrap();
    for transport in [Transport::Tcp, Transport::Udp] {
        let figure = iperf.measure(&left, transport, 1, lab.limit()).unwrap();
        assert!(figure.bits_per_second > 1e6, "{figure}");
    }
    let ssh = SshServer::start(&right, target, lab.limit()).unwrap();
    assert_eq!(ssh.run(&left, "echo over there", lab.limit()).unwrap(), "over there\n");
}

#[test]
fn an_outage_shows_in_the_answers_to_ping() {
    let lab = Lab::create(limit()).unwrap();
    let (left, right) = two_nodes(&lab);
    let ping = Ping::start(&left, "192.0.2.2".parse().unwrap(), Duration::from_millis(20)).unwrap();
    ping.reply_after(SystemTime::now(), lab.limit()).unwrap();
    right.ip(&["link", "set", "to-left", "down"]).unwrap();
    lab.limit().pass(Duration::from_millis(500)).unwrap();
    right.ip(&["link", "set", "to-left", "up"]).unwrap();
    let up = SystemTime::now();
    ping.reply_after(up, lab.limit()).unwrap();
    let replies = ping.stop(lab.limit()).unwrap();
    assert!(replies.longest_gap() >= Duration::from_millis(500), "{replies:?}");
    assert!(!replies.after(up).0.is_empty());
}

#[test]
fn a_slow_relay_holds_bytes_back_in_both_directions() {
    let lab = Lab::create(limit()).unwrap();
    let (left, right) = two_nodes(&lab);
    let listen = "192.0.2.2:9001".parse().unwrap();
    let target = "192.0.2.2:9000".parse().unwrap();
    let delay = Duration::from_millis(30);
    Relay { listen, target, conduct: Conduct::Slow(delay) }.start(&right).unwrap();
    let far_end = EchoConnection::listen(&right, target).unwrap();
    let mut connection = EchoConnection::connect(&left, listen).unwrap();
    for _ in 0..3 {
        let sent = Instant::now();
        connection.echo(lab.limit()).unwrap();
        assert!(sent.elapsed() >= delay * 2);
    }
    drop(connection);
    far_end.join().unwrap().unwrap();
}

#[test]
fn a_link_that_is_down_carries_nothing() {
    let lab = Lab::create(limit()).unwrap();
    let (left, right) = two_nodes(&lab);
    let target = "192.0.2.2".parse().unwrap();
    right.ip(&["link", "set", "to-left", "down"]).unwrap();
    assert!(ping(&left, target, 1, lab.limit()).is_err());
    right.ip(&["link", "set", "to-left", "up"]).unwrap();
    ping(&left, target, 1, lab.limit()).unwrap();
}

#[test]
fn nothing_leads_out_of_the_lab() {
    let lab = Lab::create(limit()).unwrap();
    let (left, _) = two_nodes(&lab);
    let devices = left.ip(&["-brief", "link"]).unwrap();
    let mut names: Vec<&str> = devices.lines().filter_map(|line| line.split(['@', ' ']).next()).collect();
    names.sort();
    assert_eq!(names, ["lo", "to-right"]);
    assert_eq!(left.ip(&["route", "show", "default"]).unwrap(), "");
    assert_eq!(left.ip(&["-6", "route", "show", "default"]).unwrap(), "");
    let outside = "203.0.113.7:80".parse().unwrap();
    let connect = left.thread(move || TcpStream::connect_timeout(&outside, Duration::from_secs(5))).unwrap();
    assert_eq!(connect.join().unwrap().unwrap_err().kind(), ErrorKind::NetworkUnreachable);
}

#[test]
fn links_never_show_outside_of_their_nodes() {
    let before = fs::read_dir("/sys/class/net").unwrap().count();
    let lab = Lab::create(limit()).unwrap();
    let _nodes = two_nodes(&lab);
    assert_eq!(fs::read_dir("/sys/class/net").unwrap().count(), before);
}

#[test]
fn a_lab_that_ends_leaves_nothing() {
    let lab = Lab::create(limit()).unwrap();
    let (left, _) = two_nodes(&lab);
    let mut process = left.spawn("sleep", &["600"], "sleep").unwrap();
    let grandchild = left.spawn("sh", &["-c", "sleep 601 & echo $!; wait"], "sh").unwrap();
    lab.limit().wait_until("the grandchild", || !grandchild.log().is_empty()).unwrap();
    let grandchild_id: u32 = grandchild.log().trim().parse().unwrap();
    assert!(process.is_running() && is_running(grandchild_id));
    let name = lab.name();
    assert!(name.directory().exists() && namespaces().contains(&name.to_string()));

    drop(lab);
    assert!(!name.directory().exists());
    assert!(!namespaces().contains(&name.to_string()));
    assert!(!process.is_running() && !is_running(grandchild_id));
}

#[test]
fn leftovers_of_a_killed_lab_are_removed_and_living_labs_are_not() {
    let living = Lab::create(limit()).unwrap();
    two_nodes(&living);
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let dead = format!("irdest-lab-{}-0", gone.id());
    let namespace = format!("{dead}-left");
    fs::create_dir_all(std::env::temp_dir().join(&dead).join("left")).unwrap();
    assert!(Command::new("ip").args(["netns", "add", &namespace]).status().unwrap().success());
    let mut left_over = Command::new("ip");
    left_over.args(["netns", "exec", &namespace, "sleep", "600"]).env("IRDEST_LAB", &dead);
    let mut left_over = left_over.stdin(Stdio::null()).process_group(0).spawn().unwrap();
    let environment = format!("/proc/{}/environ", left_over.id());
    let marked = || fs::read_to_string(&environment).is_ok_and(|text| text.contains(&dead));
    limit().wait_until("the process to be known by its mark", marked).unwrap();

    let removed = remove_leftovers().unwrap();
    assert!(removed.iter().any(|lab| lab.to_string() == dead), "{removed:?}");
    assert!(!left_over.wait().unwrap().success(), "it was killed");
    assert!(!namespaces().contains(&dead));
    assert!(!std::env::temp_dir().join(&dead).exists());
    assert!(living_labs().unwrap().contains(&living.name()));
    assert!(namespaces().contains(&living.name().to_string()));
}

#[test]
fn several_may_remove_the_same_leftovers() {
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let dead = format!("irdest-lab-{}-0", gone.id());
    for number in 0..8 {
        let namespace = format!("{dead}-n{number}");
        assert!(Command::new("ip").args(["netns", "add", &namespace]).status().unwrap().success());
    }
    thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(remove_leftovers)).collect();
        all.into_iter().for_each(|one| _ = one.join().unwrap().unwrap());
    });
    assert!(!namespaces().contains(&dead));
}

#[test]
fn no_program_outlives_the_limit() {
    let lab = Lab::create(limit()).unwrap();
    let node = lab.node("alone").unwrap();
    let short = lab.limit().at_most(Duration::from_millis(200));
    let error = format!("{:#}", node.run("sleep", &["600"], short).unwrap_err());
    assert!(error.contains("sleep") && error.contains("alone"), "{error}");
}
