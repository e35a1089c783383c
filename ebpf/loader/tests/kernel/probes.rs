// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the loader attaches, follows and refuses.

use aya::programs::{SchedClassifier, TcAttachType};
use ebpf_abi::MAX_CONVERSATIONS;
use ebpf_loader::{AttachError, Conversation, FollowError, Hook, Interface, Layer, Probes};

use crate::crafted::UDP;
use crate::namespace::{Far, NEAR, at, interface, ip, program, run};
use crate::test_run::possible;
use crate::traffic::{hop, seconds};

fn conversation(interface: u32, port: u16) -> Conversation {
    let mut remote = at("10.8.0.2:0");
    remote.set_port(port);
    Conversation { interface, local: at("10.8.0.1:9000"), remote, protocol: UDP }
}

/// How many of our programs hang on the near interface, by whichever hook.
pub(crate) fn attached() -> usize {
    let sides = [(TcAttachType::Ingress, "ingress"), (TcAttachType::Egress, "egress")];
    let on = |(side, name)| {
        let links = SchedClassifier::query_tcx(NEAR, side).unwrap().1;
        let links = links.iter().filter(|program| program.name_as_str().unwrap().starts_with("irdest_"));
        let filters = program("tc", &format!("filter show dev {NEAR} {name}"));
        links.count() + filters.lines().filter(|line| line.contains(" irdest_")).count()
    };
    sides.into_iter().map(on).sum()
}

#[test]
fn exactly_the_interfaces_that_are_watched_have_the_programs() {
    if !possible() {
        return;
    }
    run(|| {
        let _far = Far::new();
        ip("link add other type veth peer name far-other");
        for hook in [Hook::Tcx, Hook::Clsact] {
            let mut probes = Probes::load_for(hook).unwrap();
            assert_eq!(attached(), 0, "{hook:?}");
            for _ in 0..2 {
                assert!(probes.watch(&[interface(NEAR)]).is_empty());
                assert_eq!(attached(), 2, "{hook:?}");
            }
            assert!(probes.watch(&[interface("other")]).is_empty());
            assert_eq!(attached(), 0, "{hook:?}");
            assert!(probes.watch(&[interface("other"), interface(NEAR)]).is_empty());
            drop(probes);
            assert_eq!(attached(), 0, "{hook:?}");
        }
    });
}

#[test]
fn an_interface_that_is_not_there_is_told_and_the_others_are_watched() {
    if !possible() {
        return;
    }
    run(|| {
        let _far = Far::new();
        let mut probes = Probes::load().unwrap();
        let gone = Interface { index: 4711, name: "gone0".into(), layer: Layer::Ethernet };
        let renamed = Interface { index: 4711, ..interface(NEAR) };
        for absent in [gone, renamed] {
            let errors = probes.watch(&[absent.clone(), interface("lo")]);
            assert!(matches!(&errors[..], [AttachError::Gone(name)] if *name == absent.name), "{errors:?}");
        }
        assert!(probes.watch(&[interface(NEAR)]).is_empty());
        ip(&format!("link del {NEAR}"));
        ip(&format!("link add {NEAR} type veth peer name far"));
        assert!(probes.watch(&[interface(NEAR)]).is_empty(), "a new one of the same name");
        assert_eq!(attached(), 2);
    });
}

#[test]
fn conversations_beyond_the_limit_are_told() {
    if !possible() {
        return;
    }
    run(|| {
        let mut probes = Probes::load().unwrap();
        let followed = |probes: &Probes, count: usize| {
            assert_eq!(format!("{probes:?}"), format!("Probes {{ followed: {count}, .. }}"));
        };
        let many: Vec<_> =
            (0..MAX_CONVERSATIONS + 3).map(|number| (hop(number), conversation(number, 1))).collect();
        let error = probes.follow(&many).unwrap_err();
        assert!(matches!(error, FollowError::Full { left: 3 }), "{error}");
        followed(&probes, usize::try_from(MAX_CONVERSATIONS).unwrap());
        // Who goes makes room.
        probes.follow(&many[10..]).unwrap();
        followed(&probes, many.len() - 10);
        probes.samples(seconds(1));
        assert_eq!(probes.samples(seconds(2)), [], "nothing was seen of any");
        probes.follow(&[]).unwrap();
        followed(&probes, 0);
    });
}
