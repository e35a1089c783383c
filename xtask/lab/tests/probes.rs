// SPDX-License-Identifier: AGPL-3.0-or-later
//! The probes in the kernel beside running daemons: they follow the links, and leave nothing behind. A daemon that was
//! built without them says so and measures by what it has.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests end and report tests, too")]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use irdest_lab::traffic::Ping;
use irdest_lab::{Dials, Gateway, MeasuredLink, ThreeRouters, TimeLimit};

/// Long enough for a sample each second, and for what follows a change of the host's network.
const SOON: Duration = Duration::from_secs(15);

/// How the reasons begin for which a daemon may have no probes here; with any other the probes are broken.
const EXCUSES: [&str; 2] =
    ["this program was built without the probes", "not permitted to load the probes: "];

fn started() -> ThreeRouters {
    let mut routers =
        ThreeRouters::prepare(TimeLimit::within(Duration::from_secs(90)), Dials::Edges).unwrap();
    routers.start().unwrap();
    routers.wait_for_routes().unwrap();
    routers
}

fn wait_for_link(routers: &ThreeRouters, at: &Gateway, what: &str, holds: impl Fn(&MeasuredLink) -> bool) {
    let found = || Ok(at.links()?.links.into_iter().find(|link| holds(link)));
    routers.limit().at_most(SOON).wait_for(what, found).unwrap();
}

fn is_counted_by(link: &MeasuredLink, source: &str) -> bool {
    link.sent.as_ref().is_some_and(|sent| sent.source == source && sent.bytes_per_second > 0)
}

/// The kernel's numbers of what a daemon holds open: `link_id` of attachments, `prog_id` of programs. (`bpftool net` of Debian
/// 12 knows no TCX.)
fn held(gateway: &Gateway, kind: &str) -> BTreeSet<String> {
    let folder = format!("/proc/{}/fdinfo", gateway.process_id().unwrap());
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let texts = files.map(|file| fs::read_to_string(file).unwrap_or_default());
    let number = |text: String| {
        text.lines().find_map(|line| Some(line.strip_prefix(kind)?.strip_prefix(':')?.trim().to_owned()))
    };
    texts.filter_map(number).collect()
}

#[test]
fn probes_follow_the_links_and_go_with_the_daemon() {
    let mut routers = started();
    let _traffic =
        Ping::start(routers.a.node(), ThreeRouters::B_ADDRESS.parse().unwrap(), Duration::from_millis(20))
            .unwrap();
    if let Some(reason) = routers.a.links().unwrap().probes.reason {
        assert!(EXCUSES.iter().any(|excuse| reason.starts_with(excuse)), "no probes: {reason}");
        println!("no probes: {reason}");
        let counted = |link: &MeasuredLink| is_counted_by(link, "socket") && link.probes == "none";
        return wait_for_link(&routers, &routers.a, "figures without probes", counted);
    }
    let on = |device: &'static str| {
        move |link: &MeasuredLink| {
            link.interface.as_deref() == Some(device)
                && link.probes == "attached"
                && is_counted_by(link, "kernel")
        }
    };
    wait_for_link(&routers, &routers.a, "figures of A's probes", on("to-r"));
    wait_for_link(&routers, &routers.b, "figures of B's probes", |link| link.probes == "attached");
    let first = held(&routers.a, "link_id");
    assert_eq!(first.len(), 2, "one each way: {first:?}");

    // The route of the link moves to another interface, and what is below the link stays the same.
    let node = routers.a.node();
    for step in [
        "link add name bridge0 type bridge",
        "link set to-r master bridge0",
        "address flush dev to-r",
        "address add 192.0.2.1/24 dev bridge0",
        "link set bridge0 up",
    ] {
        node.ip(&step.split(' ').collect::<Vec<_>>()).unwrap();
    }
    wait_for_link(&routers, &routers.a, "figures from the other interface", on("bridge0"));
    let second = held(&routers.a, "link_id");
    assert!(second.len() == 2 && second.is_disjoint(&first), "the first was left: {first:?}, {second:?}");

    let (programs, node) = (held(&routers.a, "prog_id"), routers.a.node().clone());
    assert_eq!(programs.len(), 4);
    routers.a.kill().unwrap();
    let is_there = |id: &String| node.run("bpftool", &["prog", "show", "id", id], node.limit()).is_ok();
    let gone = || !programs.iter().any(is_there);
    routers.limit().at_most(SOON).wait_until("the kernel to take the probes away", gone).unwrap();
}
