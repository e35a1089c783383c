// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which of our packages may use which: the table "Doors" of ARCHITECTURE.md as data.

use cargo_metadata::{DependencyKind, Metadata, Package};

use super::Finding;

/// One package and what it may use.
struct Room {
    package: &'static str,
    /// Our own packages that it may use.
    doors: &'static [&'static str],
    /// Our own packages that only its tests may use.
    tests: &'static [&'static str],
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A value: time, seeds and bytes come in as arguments.
    Pure,
    /// A library that does IO.
    Library,
    /// A program, or a library that only our programs and tests use.
    Program,
}

/// What a pure package must not use: what does IO, waits, or asks the system for entropy.
const NOT_PURE: &[&str] = &["getrandom", "libc", "nix", "rand", "rtnetlink", "socket2", "tempfile", "tokio"];

const HOUSE: &[Room] = &[
    room("ratman-types", &[], Kind::Pure),
    room("ratman-eris", &["ratman-types"], Kind::Pure),
    room("ratman-wire", &["ratman-eris", "ratman-types"], Kind::Pure),
    room("router-core", &["ratman-eris", "ratman-types", "ratman-wire"], Kind::Pure),
    room("ratman-sim", &["ratman-types", "ratman-wire", "router-core"], Kind::Pure),
    room("netmod-api", &["ratman-types", "ratman-wire"], Kind::Library),
    room("netmod-mem", &["netmod-api", "ratman-types", "ratman-wire"], Kind::Library),
    Room {
        package: "netmod-inet",
        doors: &["netmod-api", "ratman-types", "ratman-wire"],
        // What lies in the kernel's queues shows only over a slow hop.
        tests: &["irdest-lab", "netmod-mem"],
        kind: Kind::Library,
    },
    room("gateway-core", &["ratman-types", "ratman-wire", "router-core"], Kind::Pure),
    // Packets that are checked once, in gateway-core, stay the same type on their way to the device.
    room("gateway-tun", &["gateway-core"], Kind::Library),
    // Built for the kernel as well, where there is no standard library.
    room("ebpf-abi", &[], Kind::Pure),
    room("ebpf-loader", &["ebpf-abi", "ratman-types"], Kind::Library),
    Room {
        package: "irdest-gateway",
        doors: &[
            "ebpf-loader",
            "gateway-core",
            "gateway-tun",
            "netmod-api",
            "netmod-inet",
            "netmod-mem",
            "ratman-eris",
            "ratman-types",
            "ratman-wire",
            "router-core",
        ],
        tests: &["irdest-lab"],
        kind: Kind::Program,
    },
    // Of ratman-wire it uses `api`, the protocol of clients, and nothing else.
    room("ratman-client", &["ratman-wire"], Kind::Library),
    // A router that says what a test wants speaks by the codec.
    room("irdest-scripted-router", &["ratman-wire"], Kind::Library),
    Room {
        package: "irdest-tools",
        doors: &["ratman-client"],
        tests: &["irdest-scripted-router", "ratman-wire"],
        kind: Kind::Program,
    },
    Room {
        package: "irdest-mblog",
        doors: &["irdest-tools", "ratman-client"],
        tests: &["irdest-scripted-router", "ratman-wire"],
        kind: Kind::Program,
    },
    room("irdest-lab", &[], Kind::Program),
    room("irdest-system-tests", &["irdest-lab"], Kind::Program),
    // The same device and the same cutting of super-packets as the gateway has, and nothing else of it.
    Room {
        package: "irdest-yardstick",
        doors: &["gateway-core", "gateway-tun"],
        tests: &["irdest-lab"],
        kind: Kind::Program,
    },
    room("xtask", &["irdest-lab", "irdest-system-tests"], Kind::Program),
    // The command lines as data.
    room("irdest-manual", &["irdest-gateway", "irdest-mblog", "irdest-tools"], Kind::Program),
    // It feeds the parsers of every package.
    room(
        "irdest-fuzz",
        &["gateway-core", "irdest-gateway", "netmod-inet", "ratman-eris", "ratman-wire", "router-core"],
        Kind::Program,
    ),
];

const fn room(package: &'static str, doors: &'static [&'static str], kind: Kind) -> Room {
    Room { package, doors, tests: &[], kind }
}

/// Compares every package of the workspace with its row.
pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    let packages = metadata.workspace_packages();
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    packages.iter().flat_map(|package| check_package(package, &names)).collect()
}

fn check_package(package: &Package, ours: &[&str]) -> Vec<Finding> {
    let name = package.name.as_str();
    let Some(room) = HOUSE.iter().find(|room| room.package == name) else {
        return vec![Finding::failure(name, "has no row in the table of doors, xtask/src/tidy/doors.rs")];
    };
    let uses = package.dependencies.iter().map(|dependency| (dependency.name.as_str(), dependency.kind));
    uses.filter_map(|(used, kind)| {
        let in_tests = kind == DependencyKind::Development;
        let objection = room.objection(used, ours.contains(&used), in_tests)?;
        Some(Finding::failure(name, format!("uses {used}: {objection}")))
    })
    .collect()
}

impl Room {
    /// Why it may not use the package, if so.
    fn objection(&self, used: &str, is_ours: bool, in_tests: bool) -> Option<&'static str> {
        let door = self.doors.contains(&used) || (in_tests && self.tests.contains(&used));
        if is_ours {
            return (!door).then_some("there is no such door in ARCHITECTURE.md");
        }
        if in_tests {
            return None;
        }
        match self.kind {
            Kind::Pure if NOT_PURE.contains(&used) => Some("it is a value without IO, clock and entropy"),
            Kind::Pure | Kind::Library if used == "anyhow" => Some("a library has error types of its own"),
            Kind::Pure | Kind::Library | Kind::Program => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(package: &str, used: &str, is_ours: bool, in_tests: bool) -> bool {
        let room = HOUSE.iter().find(|room| room.package == package).unwrap();
        room.objection(used, is_ours, in_tests).is_some()
    }

    #[test]
    fn every_door_leads_to_a_room() {
        for room in HOUSE {
            for door in room.doors.iter().chain(room.tests) {
                assert!(HOUSE.iter().any(|other| other.package == *door), "{} to {door}", room.package);
            }
        }
    }

    #[test]
    fn doors_open_in_one_direction() {
        assert!(!objects("router-core", "ratman-wire", true, false));
        assert!(objects("ratman-wire", "router-core", true, false));
        assert!(objects("router-core", "gateway-core", true, true), "tests use the same doors");
    }

    #[test]
    fn some_doors_are_for_tests_only() {
        assert!(!objects("netmod-inet", "netmod-mem", true, true));
        assert!(objects("netmod-inet", "netmod-mem", true, false));
    }

    #[test]
    fn pure_packages_do_no_io() {
        assert!(objects("gateway-core", "tokio", false, false));
        assert!(!objects("gateway-core", "ring", false, false));
        assert!(!objects("netmod-inet", "tokio", false, false));
        assert!(objects("netmod-inet", "anyhow", false, false));
        assert!(!objects("irdest-gateway", "anyhow", false, false));
    }

    #[test]
    fn this_workspace_keeps_to_the_table() {
        assert_eq!(check(&crate::cargo::metadata().unwrap()), []);
    }
}
