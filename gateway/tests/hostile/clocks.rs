// SPDX-License-Identifier: AGPL-3.0-or-later
//! Daemons whose clock is wrong, by the Debian package faketime: the wall clock alone is, as on a machine whose battery
//! is empty.

use irdest_lab::{Gateway, Process, find_program, gateway_program};

use crate::mesh::{Mesh, drops};

/// Shortly after the beginning of all times, far before anybody wrote this program.
const IN_1970: &str = "@1970-01-01 00:01:00";

const WARNING: &str = "our clock differs from the neighbours'";

/// Starts a daemon on a node of the lab with its wall clock moved, and waits until it answers.
fn start_at(gateway: &Gateway, clock: &str) -> Process {
    assert!(find_program("faketime").is_some(), "the Debian package faketime is missing");
    let (node, program) = (gateway.node(), gateway_program().unwrap().display().to_string());
    let config = node.directory().join("gateway.toml").display().to_string();
    let arguments = ["-m", "--exclude-monotonic", "-f", clock, &program, "-c", &config];
    let daemon = node.spawn("faketime", &arguments, "gateway").unwrap();
    let answers = || gateway.status().is_ok();
    node.limit().wait_until("the daemon with the wrong clock", answers).unwrap();
    daemon
}

/// Whether it has told its operator.
fn is_warned(gateway: &Gateway) -> bool {
    let log = gateway.node().directory().join("gateway.log");
    std::fs::read_to_string(log).unwrap().contains(WARNING)
}

/// A mesh in which A has another clock, see [`tunnel_stands`].
fn mesh_with_wrong_a(clock: &str) -> (Mesh, Process) {
    let mut mesh = Mesh::prepare();
    mesh.r.start_as_ratmand().unwrap();
    let daemon = start_at(&mesh.a, clock);
    tunnel_stands(mesh, daemon)
}

/// A mesh in which R has another clock, see [`tunnel_stands`].
fn mesh_with_wrong_r(clock: &str) -> (Mesh, Process) {
    let mesh = Mesh::prepare();
    let daemon = start_at(&mesh.r, clock);
    tunnel_stands(mesh, daemon)
}

/// The tunnel stands and goes on, and but for R nobody drops anything.
fn tunnel_stands(mut mesh: Mesh, daemon: Process) -> (Mesh, Process) {
    mesh.start();
    mesh.tunnel().end_unharmed();
    for edge in [&mesh.a, &mesh.b] {
        assert!(drops(edge).is_empty(), "{:?}", drops(edge));
    }
    (mesh, daemon)
}

#[test]
fn a_router_four_minutes_behind_goes_by_its_neighbours_and_says_so() {
    let (mesh, _daemon) = mesh_with_wrong_r("-240s");
    mesh.limit().wait_until("R's warning", || is_warned(&mesh.r)).unwrap();
    assert!(!is_warned(&mesh.a) && !is_warned(&mesh.b));
    assert!(drops(&mesh.r).is_empty(), "{:?}", drops(&mesh.r));
}

#[test]
fn a_gateway_four_minutes_ahead_is_within_the_window() {
    // One neighbour alone cannot tell which of the two is wrong, so nobody is warned.
    let (mesh, _daemon) = mesh_with_wrong_a("+240s");
    assert!(!is_warned(&mesh.a) && !is_warned(&mesh.r));
    assert!(drops(&mesh.r).is_empty(), "{:?}", drops(&mesh.r));
}

#[test]
fn a_router_in_1970_goes_by_its_neighbours() {
    let (mesh, _daemon) = mesh_with_wrong_r(IN_1970);
    mesh.limit().wait_until("R's warning", || is_warned(&mesh.r)).unwrap();
    assert!(drops(&mesh.r).is_empty(), "{:?}", drops(&mesh.r));
}

#[test]
fn a_gateway_in_1970_goes_by_its_neighbour() {
    let (mesh, _daemon) = mesh_with_wrong_a(IN_1970);
    mesh.limit().wait_until("A's warning", || is_warned(&mesh.a)).unwrap();
    // What A announced before it had heard the time from R.
    assert!(drops(&mesh.r).keys().all(|reason| reason == "clock_window"), "{:?}", drops(&mesh.r));
}
