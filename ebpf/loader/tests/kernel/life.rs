// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is left when a process ends, and what one can do that has given up capabilities.
//!
//! Both need a process of its own: this program again, which runs one of the cases that are ignored here.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use caps::{CapSet, Capability, CapsHashSet};
use ebpf_loader::{AttachError, Conversation, Hook, LoadError, Probes, remove_leftovers};

use crate::crafted::UDP;
use crate::namespace::{Far, NEAR, at, interface, run};
use crate::probes::attached;
use crate::test_run::possible;
use crate::traffic::{hop, seconds, sockets};

/// Which hook the case is to use.
const HOOK: &str = "IRDEST_TEST_HOOK";

/// Runs a case of this file in a process of its own, in the namespace of this thread.
fn other_process(case: &str, hook: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("life::{case}"), "--exact", "--ignored", "--nocapture"]).env(HOOK, hook);
    command
}

#[test]
#[ignore = "a process for the tests below"]
fn attaches_and_stays() {
    let hook = if std::env::var(HOOK).unwrap() == "tcx" { Hook::Tcx } else { Hook::Clsact };
    let mut probes = Probes::load_for(hook).unwrap();
    assert!(probes.watch(&[interface(NEAR)]).is_empty());
    println!("\nattached");
    std::thread::sleep(Duration::from_secs(60));
}

/// A process that has attached the programs.
fn attached_process(hook: &str) -> Child {
    let mut child = other_process("attaches_and_stays", hook).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    assert!(said.lines().any(|line| line.unwrap() == "attached"));
    assert_eq!(attached(), 2);
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn nothing_stays_after_a_kill_on_tcx() {
    if !possible() {
        return;
    }
    run(|| {
        let _far = Far::new();
        kill(attached_process("tcx"));
        // The kernel lets go of the last descriptors some time after the process.
        let began = Instant::now();
        while attached() != 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "still attached");
        }
    });
}

#[test]
fn the_next_start_cleans_up_on_clsact() {
    if !possible() {
        return;
    }
    run(|| {
        let _far = Far::new();
        kill(attached_process("clsact"));
        assert_eq!(attached(), 2, "which is why they are looked for");
        let mut probes = Probes::load_for(Hook::Clsact).unwrap();
        assert_eq!(attached(), 0);
        assert!(probes.watch(&[interface(NEAR)]).is_empty());
        assert_eq!(attached(), 2);
        drop(probes);
        assert_eq!(attached(), 0);
    });
}

/// Leaves this thread with these capabilities and no others.
fn keep(kept: &[Capability]) {
    let kept: CapsHashSet = kept.iter().copied().collect();
    caps::set(None, CapSet::Effective, &kept).unwrap();
    caps::set(None, CapSet::Permitted, &kept).unwrap();
}

#[test]
fn what_was_left_on_clsact_goes_also_where_nothing_can_be_loaded() {
    if !possible() {
        return;
    }
    run(|| {
        let _far = Far::new();
        let with_network_alone = |task: fn()| {
            kill(attached_process("clsact"));
            assert_eq!(attached(), 2);
            let other = std::thread::spawn(move || {
                keep(&[Capability::CAP_NET_ADMIN]);
                task();
            });
            other.join().unwrap();
            assert_eq!(attached(), 0);
        };
        with_network_alone(remove_leftovers);
        with_network_alone(|| {
            let error = Probes::load_for(Hook::Clsact).unwrap_err();
            assert!(matches!(error, LoadError::Permission { .. }), "{error}");
        });
    });
}

#[test]
#[ignore = "a process for the test below"]
fn says_what_is_missing() {
    let missing = |kept: &[Capability]| {
        let kept = kept.to_vec();
        let load = move || {
            keep(&kept);
            match Probes::load() {
                Err(LoadError::Permission { missing }) => missing,
                other => panic!("{other:?}"),
            }
        };
        std::thread::spawn(load).join().unwrap()
    };
    use Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
    assert_eq!(missing(&[]), "CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN missing");
    assert_eq!(missing(&[CAP_NET_ADMIN]), "CAP_BPF, CAP_PERFMON missing");
    assert_eq!(missing(&[CAP_NET_ADMIN, CAP_BPF]), "CAP_PERFMON missing");
    assert_eq!(missing(&[CAP_PERFMON, CAP_BPF]), "CAP_NET_ADMIN missing");
}

#[test]
fn without_capabilities_it_says_which() {
    if possible() {
        assert!(other_process("says_what_is_missing", "").status().unwrap().success());
    }
}

#[test]
fn what_loading_needs_can_be_given_up_afterwards() {
    if !possible() {
        return;
    }
    run(|| {
        let far = Far::new();
        let near = interface(NEAR);
        let (local, remote) = (at("10.8.0.1:9000"), at("10.8.0.2:9000"));
        let (here, there) = sockets(&far, "10.8.0.1:9000", "10.8.0.2:9000");
        let conversation = Conversation { interface: near.index, local, remote, protocol: UDP };
        for hook in [Hook::Tcx, Hook::Clsact] {
            let mut probes = Probes::load_for(hook).unwrap();
            let near = near.clone();
            let (here, there) = (here.try_clone().unwrap(), there.try_clone().unwrap());
            // On a thread of its own, as this one still has to look at the interfaces.
            let other = std::thread::spawn(move || {
                keep(&[Capability::CAP_NET_ADMIN]);
                assert!(probes.watch(std::slice::from_ref(&near)).is_empty());
                probes.follow(&[(hop(1), conversation)]).unwrap();
                probes.samples(seconds(1));
                here.send_to(&[1], remote).unwrap();
                there.recv(&mut [0]).unwrap();
                there.send_to(&[1], local).unwrap();
                here.recv(&mut [0]).unwrap();
                assert_eq!(probes.samples(seconds(2)).len(), 1);
                keep(&[]);
                assert_eq!(probes.samples(seconds(3)).len(), 1, "reading needs nothing");
                let errors = probes.watch(&[near, interface("lo")]);
                match (hook, &errors[..]) {
                    // Whoever has a program may attach it.
                    (Hook::Tcx, []) | (Hook::Clsact, [AttachError::Permission(_)]) => {}
                    _ => panic!("{errors:?}"),
                }
                probes
            });
            let probes = other.join().unwrap();
            assert_eq!(attached(), 2);
            drop(probes);
            assert_eq!(attached(), 0);
        }
    });
}

#[test]
#[ignore = "a process for the test below"]
fn says_that_a_user_namespace_is_in_the_way() {
    let error = Probes::load().unwrap_err();
    assert!(matches!(error, LoadError::Permission { .. }), "{error}");
    assert!(error.to_string().contains("user namespace"), "{error}");
}

#[test]
fn in_a_user_namespace_it_says_so() {
    if !possible() {
        return;
    }
    let case = other_process("says_that_a_user_namespace_is_in_the_way", "");
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--"]).arg(case.get_program()).args(case.get_args());
    assert!(inside.status().unwrap().success());
}
