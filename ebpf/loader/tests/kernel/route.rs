// SPDX-License-Identifier: AGPL-3.0-or-later
//! The interface of a conversation is that of its route.

use ebpf_loader::{Interface, RouteError, interface_of};

use crate::namespace::{Far, NEAR, at, interface, ip, run};

/// Asks the kernel, in the namespace of this thread.
fn ask(local: &str, remote: &str, mark: u32) -> Result<Interface, RouteError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        interface_of(&handle, at(local), at(remote), mark).await
    })
}

#[test]
fn the_route_names_the_interface() {
    run(|| {
        let _far = Far::new();
        for (local, remote) in [
            ("10.8.0.1:9000", "10.8.0.2:9000"),
            ("0.0.0.0:9000", "10.8.0.2:1"),
            ("[fd08::1]:9000", "[fd08::2]:9000"),
            ("[::]:9000", "[::ffff:10.8.0.2]:9000"),
            ("[::]:9000", &format!("[fe80::9%{}]:9000", interface(NEAR).index)),
        ] {
            assert_eq!(ask(local, remote, 0).unwrap(), interface(NEAR), "{remote}");
        }
        assert_eq!(ask("127.0.0.1:1", "127.0.0.1:2", 0).unwrap(), interface("lo"));
        assert_eq!(ask("10.8.0.1:1", "10.8.0.1:2", 0).unwrap(), interface("lo"), "our own address");
    });
}

#[test]
fn routes_that_move_and_routes_by_mark_are_followed() {
    run(|| {
        let _far = Far::new();
        ip("link add other type veth peer name far-other");
        ip("link set other up");
        ip("link set far-other up");
        ip("route add 10.9.0.0/24 dev near");
        let towards = |mark| ask("10.8.0.1:1", "10.9.0.1:2", mark).map(|interface| interface.name);
        assert_eq!(towards(0).unwrap(), NEAR);
        ip("rule add fwmark 7 lookup 100");
        ip("route add 10.9.0.0/24 dev other table 100");
        assert_eq!((towards(0).unwrap(), towards(7).unwrap()), (NEAR.to_owned(), "other".to_owned()));
        ip("route replace 10.9.0.0/24 dev other");
        assert_eq!(towards(0).unwrap(), "other");
        ip("route del 10.9.0.0/24");
        let error = towards(0).unwrap_err();
        assert!(matches!(error, RouteError::NoRoute { .. }), "{error}");
        assert!(matches!(ask("[::]:1", "[fe80::9%4711]:2", 0), Err(RouteError::Gone(_))));
    });
}
