// SPDX-License-Identifier: AGPL-3.0-or-later
//! What README promises about two machines, by its own commands.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something fails, and tells what it measured"
)]

use std::time::Duration;

use irdest_lab::TimeLimit;
use irdest_system_tests::{Commands, Package, Tree, TwoTrees};

/// More would be too many for both machines together.
const MOST_COMMANDS: usize = 10;
/// The folder in which a shell in a tree begins.
const HERE: &str = "/";
/// How README calls the machine that is to be reached.
const REACHED: &str = "other.example";

#[test]
fn two_machines_are_joined_by_the_commands_of_readme() {
    let trees = TwoTrees::boot(TimeLimit::within(Duration::from_secs(300))).unwrap();
    let commands = Commands::of_readme().unwrap();
    assert!(commands.count() <= MOST_COMMANDS, "{} commands: {commands:?}", commands.count());
    for tree in [&trees.a, &trees.b] {
        Package::under_test().unwrap().copy_to(tree, HERE).unwrap();
        type_in(tree, &commands.on_both);
    }
    trees.a.shell(&format!("echo {} {REACHED} >> /etc/hosts", TwoTrees::B_ADDRESS)).unwrap();
    type_in(&trees.b, &commands.on_reached);
    type_in(&trees.a, &commands.on_dialling);
    trees.wait_until_joined().unwrap();
    let ping = trees.ping().unwrap();
    println!("{}", ping.lines().last().unwrap());
    iperf_crosses(&trees);
    programs_in_the_kernel_measure(&trees);
}

fn type_in(tree: &Tree, commands: &[String]) {
    for command in commands {
        println!("{}# {command}", tree.node().name());
        tree.shell(command).unwrap();
    }
}

/// The rules that README sets let it in.
fn iperf_crosses(trees: &TwoTrees) {
    let overlay = trees.b.gateway().overlay().unwrap().to_string();
    let server = trees.b.spawn("iperf3", &["--server", "--one-off", "--forceflush"], "iperf3").unwrap();
    let listens = || server.log().contains("listening");
    trees.b.limit().wait_until("the iperf3 server to listen", listens).unwrap();
    let report = trees.a.run("iperf3", &["--client", &overlay, "--time", "3", "--json"]).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64().unwrap();
    println!("iperf3 across: {:.0} Mbit/s", rate / 1e6);
    assert!(rate > 1e6, "{report:#}");
}

fn programs_in_the_kernel_measure(trees: &TwoTrees) {
    for tree in [&trees.a, &trees.b] {
        let links = tree.gateway().links().unwrap();
        assert_eq!(links.probes.state, "attached", "{:?}", links.probes.reason);
        let [link] = &links.links[..] else { panic!("one link: {links:?}") };
        assert_eq!(link.probes, "attached");
        assert_eq!(link.interface.as_deref(), Some("eth0"));
        let sent = link.sent.as_ref().unwrap();
        assert_eq!(sent.source, "kernel", "{link:?}");
    }
}
