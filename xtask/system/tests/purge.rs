// SPDX-License-Identifier: AGPL-3.0-or-later
//! What becomes of a host that had the package: remove keeps the state, purge leaves nothing.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::collections::BTreeSet;
use std::time::Duration;

use aya::programs::{SchedClassifier, TcAttachType};
use irdest_lab::TimeLimit;
use irdest_system_tests::{Package, TwoTrees};

/// Everything of the host that a package could leave something in, one line for each thing. Left out is what others write
/// whenever a package comes or goes: logs, what dpkg and apt keep of themselves, backups of the lists of users, caches of the
/// linker, and the key of the host, which systemd makes once for all services and of which others may have made use since.
const HOST: &str = r"
find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /var/tmp -o -path /var/log \
    -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /run/log -o -path /run/systemd \
    -o -path /run/credentials -o -path /var/lib/systemd/credential.secret \
    -o -name 'passwd-' -o -name 'group-' -o -name 'shadow-' -o -name 'gshadow-' -o -name '.pwd.lock' \
    -o -name 'ld.so.cache*' \) -prune -o -print
find /run -xdev -name '*irdest*'
getent passwd | sed 's/^/user /'
getent group | sed 's/^/group /'
for family in -4 -6; do
    ip $family rule | sed 's/^/rule /'
    ip $family -o route show table all | sed 's/^/route /; s/ expires .*//'
done
ip -brief link | sed 's/^/device /'
nft list ruleset | sed 's/^/nft /'
tc qdisc | sed 's/^/qdisc /'
find /sys/fs/bpf
sysctl --all --pattern '^net\.' 2>/dev/null | grep -v -e nf_conntrack_count -e random -e cookie | sed 's/^/sysctl /'
systemctl list-unit-files --no-legend --no-pager 'irdest*'
systemctl list-units --all --no-legend --no-pager 'irdest*'
";

fn host(trees: &TwoTrees) -> BTreeSet<String> {
    trees.b.shell(HOST).unwrap().lines().map(str::to_owned).collect()
}

/// How many programs in the kernel see the packets of the link; those that are attached otherwise show as a qdisc.
fn probes(trees: &TwoTrees) -> usize {
    let count = || {
        let hooks = [TcAttachType::Ingress, TcAttachType::Egress];
        hooks.map(|hook| SchedClassifier::query_tcx("eth0", hook).unwrap().1.len()).iter().sum()
    };
    trees.b.node().thread(count).unwrap().join().unwrap()
}

#[test]
fn purge_leaves_nothing() {
    assert_purged(|_| {});
}

#[test]
fn purge_leaves_nothing_of_a_gateway_that_was_killed() {
    let kill = |trees: &TwoTrees| {
        // As after a crash: nothing was put back, and systemd starts nothing anew.
        let folder = "/run/systemd/system/irdest-gateway.service.d";
        trees
            .b
            .shell(&format!(
                "mkdir -p {folder} && printf '[Service]\nRestart=no\n' > {folder}/once.conf && systemctl daemon-reload
                systemctl kill --signal=KILL irdest-gateway && rm -r {folder}"
            ))
            .unwrap();
        let gone = || Ok((trees.b.gateway().property("ActiveState")? == "failed").then_some(()));
        trees.b.limit().wait_for("the daemon to be gone", gone).unwrap();
        assert!(host(trees).iter().any(|line| line.starts_with("nft ")), "it left something");
    };
    assert_purged(kill);
}

fn assert_purged(before_removal: impl Fn(&TwoTrees)) {
    let trees = TwoTrees::boot(TimeLimit::within(Duration::from_secs(300))).unwrap();
    let b = &trees.b;
    let settled = || {
        let own = b.run("ip", &["-6", "address", "show", "dev", "eth0", "scope", "link"])?;
        Ok((own.contains("fe80") && !own.contains("tentative")).then_some(()))
    };
    b.limit().wait_for("the kernel to have made and checked the address of eth0", settled).unwrap();
    let before = host(&trees);
    assert_eq!(probes(&trees), 0);
    trees.join(&Package::under_test().unwrap()).unwrap();
    // What it changes on a host: TUN device, routes, rules, filters, sysctls, probes.
    let more = "tun.addresses = [\"10.77.0.1/24\"]\nforward.interfaces = [\"eth0\"]\nforward.nat = true";
    trees.b.gateway().configure(more).unwrap();
    trees.b.run("systemctl", &["restart", "irdest-gateway"]).unwrap();
    trees.wait_until_joined().unwrap();
    trees.ping().unwrap();
    let during = host(&trees);
    for expected in [
        "rule ",
        "route ",
        "device irdest0",
        "nft ",
        "sysctl ",
        "user irdest-gateway",
        "/var/lib/irdest-gateway/identity",
    ] {
        assert!(during.difference(&before).any(|line| line.starts_with(expected)), "{expected}");
    }
    trees.b.limit().wait_until("the probes on eth0", || probes(&trees) > 0).unwrap();

    before_removal(&trees);
    let state = "find /var/lib/irdest-gateway /etc/irdest-gateway -type f";
    trees.b.shell("DEBIAN_FRONTEND=noninteractive apt-get remove --yes irdest-gateway").unwrap();
    let kept = trees.b.shell(state).unwrap();
    assert!(kept.contains("/identity") && kept.contains("gateway.toml"), "{kept}");

    trees.b.shell("DEBIAN_FRONTEND=noninteractive apt-get purge --yes irdest-gateway").unwrap();
    let after = host(&trees);
    let left: Vec<&String> = after.difference(&before).collect();
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(probes(&trees), 0);
    let missing: Vec<&String> = before.difference(&after).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn a_removed_gateway_is_the_same_when_it_comes_back() {
    let trees = TwoTrees::boot(TimeLimit::within(Duration::from_secs(300))).unwrap();
    trees.join(&Package::under_test().unwrap()).unwrap();
    let address = trees.b.gateway().status().unwrap().address;
    trees.b.shell("DEBIAN_FRONTEND=noninteractive apt-get remove --yes irdest-gateway").unwrap();
    Package::under_test().unwrap().install(&trees.b).unwrap();
    trees.b.gateway().start().unwrap();
    assert_eq!(trees.b.gateway().status().unwrap().address, address);
    trees.wait_until_joined().unwrap();
    trees.ping().unwrap();
}
