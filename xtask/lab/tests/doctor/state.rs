// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is stored, the clock, the gateway itself, and who asks.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use irdest_lab::{GatewayConfig, gateway_program, moved_clock};

use crate::scene::{Scene, Told, doctor, doctor_after, doctor_by, is_true_root};

#[test]
fn a_state_directory_that_is_full_read_only_or_of_somebody_else() {
    let scene = Scene::prepare();
    let told = doctor_after(&scene.a, "mount -t tmpfs -o size=64k,mode=0700 tmpfs state");
    assert_eq!(told.wrong(), ["error disk", "warning gateway"], "{told:?}");
    let told = doctor_after(&scene.a, "mount --bind state state && mount -o remount,bind,ro state");
    assert_eq!(told.wrong(), ["error state-directory", "warning gateway"], "{told:?}");
    assert!(told.found("state-directory").contains("read-only"), "{told:?}");
    let told = doctor_after(&scene.a, "mount -t tmpfs -o nr_inodes=4,mode=0700 tmpfs state");
    assert_eq!(told.wrong(), ["error disk", "warning gateway"], "{told:?}");
    if is_true_root() {
        let told = doctor_after(&scene.a, "chown 65534 state/identity");
        assert_eq!(told.wrong(), ["error state-directory", "warning gateway"], "{told:?}");
    }
}

#[test]
fn an_identity_or_a_passphrase_that_is_gone() {
    let scene = Scene::prepare();
    let directory = scene.a.node().directory();
    fs::rename(directory.join("passphrase"), directory.join("elsewhere")).unwrap();
    let told = doctor(&scene.a);
    assert_eq!(told.wrong(), ["error identity", "warning gateway"], "{told:?}");
    fs::rename(directory.join("elsewhere"), directory.join("passphrase")).unwrap();
    fs::write(directory.join("state/times.toml"), "version = 1\n").unwrap();
    fs::remove_file(directory.join("state/identity")).unwrap();
    let told = doctor(&scene.a);
    assert_eq!(told.wrong(), ["warning gateway", "warning identity"], "{told:?}");
}

#[test]
fn a_clock_that_was_set_back() {
    let mut scene = Scene::running();
    scene.a.stop().unwrap();
    let file = scene.a.node().directory().join("state/times.toml");
    let times = fs::read_to_string(&file).unwrap();
    assert_eq!(doctor(&scene.a).wrong(), ["warning gateway"]);
    let own = format!("{} = ", scene.a.identity().address);
    let ceiling: u64 = times.lines().find_map(|line| line.strip_prefix(&own)).unwrap().parse().unwrap();
    let later = times.replace(&ceiling.to_string(), &(ceiling + 3_600_000_000).to_string());
    fs::write(&file, later).unwrap();
    let told = doctor(&scene.a);
    assert_eq!(told.wrong(), ["error clock", "warning gateway"], "{told:?}");
    assert!(told.found("clock").contains("behind what was announced with last"), "{told:?}");
}

#[test]
fn a_clock_that_differs_from_the_neighbours() {
    let mut scene = Scene::prepare();
    scene.b.start().unwrap();
    let (program, clock) = (gateway_program().unwrap().display().to_string(), moved_clock("+5m").unwrap());
    let ahead: Vec<&str> = clock.iter().chain([&program]).map(String::as_str).collect();
    let _daemon =
        scene.a.node().spawn("env", &[&ahead[..], &["-c", "gateway.toml"]].concat(), "gateway").unwrap();
    // On each host everybody has the same clock.
    let doctor_ahead = [&["env"], &ahead[..], &["doctor", "--json", "-c", "gateway.toml"]].concat();
    let by_a = || doctor_by(&scene.a, &doctor_ahead);
    let by_b = || doctor(&scene.b);
    let doctors: [(&dyn Fn() -> Told, &str); 2] =
        [(&by_a, "is 300 s ahead of that of neighbour"), (&by_b, "is 300 s behind that of neighbour")];
    for (doctor, words) in doctors {
        let compared = || {
            let told = doctor();
            Ok(told.wrong().iter().any(|wrong| wrong.ends_with(" clock")).then_some(told))
        };
        let told = scene.a.node().limit().wait_for("clocks that were compared", compared).unwrap();
        assert!(told.wrong() == ["warning clock"] && told.found("clock").contains(words), "{told:?}");
    }
}

#[test]
fn a_configuration_with_a_mistake() {
    let scene = Scene::prepare();
    scene.a.configure(&GatewayConfig { extra: "no TOML".into(), ..GatewayConfig::default() }).unwrap();
    assert_eq!(doctor(&scene.a).wrong(), ["error configuration"]);
}

#[test]
fn probes_that_nobody_may_load() {
    let mut scene = Scene::prepare();
    scene.a.configure(&GatewayConfig { extra: String::new(), ..Scene::config_of_a("") }).unwrap();
    let program = gateway_program().unwrap().display().to_string();
    let words =
        ["setpriv", "--bounding-set=-bpf,-sys_admin", &program, "doctor", "--json", "-c", "gateway.toml"];
    let told = doctor_by(&scene.a, &words);
    assert_eq!(told.wrong(), ["warning gateway", "warning probes"], "{told:?}");
    // Of those that the program was built with, or that it was built without.
    let found = told.found("probes");
    assert!(found.contains("CAP_BPF missing") || found.contains("built without the probes"), "{found}");
    let built_without = !found.contains("CAP_BPF missing");
    scene.b.start().unwrap();
    scene.a.start().unwrap();
    let linked = || scene.a.status().is_ok_and(|status| status.live_links() == 1);
    scene.a.node().limit().wait_until("the link", linked).unwrap();
    let told = doctor(&scene.a);
    assert_eq!(told.wrong().is_empty(), !built_without, "{told:?}");
}

#[test]
fn who_is_not_root_hears_what_could_not_be_looked_at_and_nothing_false() {
    if !is_true_root() {
        return;
    }
    let scene = Scene::running();
    let directory = scene.a.node().directory();
    fs::set_permissions(directory.parent().unwrap(), fs::Permissions::from_mode(0o711)).unwrap();
    // Where everybody may run it.
    let program = directory.join("doctor");
    fs::copy(gateway_program().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.display().to_string();
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", &program];
    let told = doctor_by(&scene.a, &[&nobody[..], &["doctor", "--json", "-c", "gateway.toml"]].concat());
    assert_eq!(told.wrong(), [""; 0], "{told:?}");
    let unseen: Vec<_> = told.not_looked_at.iter().map(|unseen| unseen.id.as_str()).collect();
    for id in ["configuration", "gateway", "firewall", "state-directory", "identity"] {
        assert!(unseen.contains(&id), "{id} in {unseen:?}");
    }
}
