// SPDX-License-Identifier: AGPL-3.0-or-later
//! Mistakes in the configuration: a start is refused with the reason, a reload leaves in force what was before.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::net::SocketAddr;
use std::time::Duration;

use irdest_lab::TimeLimit;
use irdest_lab::traffic::EchoConnection;
use irdest_system_tests::{GatewayUnit, OneTree, TwoTrees};

/// Of a line in the journal.
const ERROR: u8 = 3;
/// The port of a service on B.
const PORT: u16 = 5201;
/// Without all that was configured before, too.
const WRONG: &str = "tun.mtu = 12\n";

fn limit() -> TimeLimit {
    TimeLimit::within(Duration::from_secs(300))
}

#[test]
fn a_wrong_configuration_is_refused_at_the_start_with_the_reason_in_the_journal() {
    let one = OneTree::with_package(limit()).unwrap();
    let gateway = one.tree.gateway();
    gateway.stop().unwrap();
    gateway.configure("tun.mtu = 12").unwrap();
    let journal = gateway.journal().unwrap();
    gateway.start().unwrap_err();
    let reason = journal.wait_for("tun.mtu").unwrap();
    assert!(reason.text.contains("1280") && reason.priority == ERROR, "{reason:?}");
    // systemd does not try again what cannot succeed.
    assert_eq!(gateway.property("ActiveState").unwrap(), "failed");
    assert_eq!(gateway.property("NRestarts").unwrap(), "0");
}

/// Opens a connection from A to the service on B, and uses it.
fn use_service(trees: &TwoTrees) {
    let service = SocketAddr::from((trees.b.gateway().overlay().unwrap(), PORT));
    let connection = EchoConnection::open(trees.a.node(), trees.b.node(), service);
    connection.unwrap().echo(trees.a.limit()).unwrap();
}

fn accepted_by(gateway: GatewayUnit<'_>, rule: &str) -> u64 {
    gateway.status().unwrap().rule(rule).unwrap().accepted
}

/// Gives a gateway that runs a configuration that it refuses to take.
fn mistake(gateway: GatewayUnit<'_>, limit: TimeLimit) {
    let (pid, journal) = (gateway.main_pid().unwrap(), gateway.journal().unwrap());
    gateway.set_configuration(WRONG).unwrap();
    // Whether systemctl itself fails is not what counts: the daemon says what it did.
    let _refused = gateway.reload();
    let said = journal.wait_for("not reloaded, the old one holds").unwrap();
    assert!(said.text.contains("tun.mtu") && said.priority == ERROR, "{said:?}");
    let in_status = || Ok(gateway.property("StatusText")?.contains("reload refused").then_some(()));
    limit.wait_for("the status line to say so, too", in_status).unwrap();
    assert_eq!(gateway.finding("configuration").unwrap().severity, "error");
    assert_eq!(gateway.main_pid().unwrap(), pid, "it was not restarted");
}

#[test]
fn a_wrong_configuration_is_not_reloaded_and_the_old_one_holds() {
    let trees = TwoTrees::joined(limit()).unwrap();
    let (a, b) = (trees.a.gateway(), trees.b.gateway());
    let good = format!(
        "firewall.rules = [{{ name = \"service\", action = \"accept\", remote = \"any\", ports = [{PORT}] }}]\n"
    );
    b.set_configuration(&good).unwrap();
    b.reload().unwrap();
    use_service(&trees);
    assert_eq!(accepted_by(b, "service"), 1);
    for gateway in [a, b] {
        mistake(gateway, trees.a.limit());
    }

    // Who was let in is let in still, by the same rule.
    use_service(&trees);
    assert_eq!(accepted_by(b, "service"), 2);
    trees.ping().unwrap();

    // And A dials B, whom only the old one names, when B has ended and is there again.
    let journal = b.journal().unwrap();
    b.set_configuration(&good).unwrap();
    b.reload().unwrap();
    journal.wait_for("configuration reloaded").unwrap();
    assert!(b.status().unwrap().warnings.is_empty());
    trees.b.run("systemctl", &["restart", "irdest-gateway"]).unwrap();
    trees.wait_until_joined().unwrap();
    trees.ping().unwrap();
    assert!(a.status().unwrap().warnings.iter().any(|warning| warning.starts_with("reload refused")));
}
