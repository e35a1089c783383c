// SPDX-License-Identifier: AGPL-3.0-or-later

use super::*;
use crate::host::Plan;
use crate::host::plan::Routing;

/// A tree that looks like `/proc/sys`.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new(values: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (name, value) in values {
            let path = tree.0.path().join("sys").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        }
        tree
    }

    fn sysctls(&self) -> Sysctls {
        Sysctls { root: self.0.path().join("sys") }
    }

    fn value(&self, name: &str) -> String {
        self.sysctls().read(name).unwrap()
    }

    fn record(&self) -> Record {
        let mut record = Record::load(self.0.path()).unwrap();
        record.begin(&plan()).unwrap();
        record
    }
}

fn plan() -> Plan {
    let routing = Routing {
        table: 7,
        priority: 7,
        mark: 7,
        prefixes: Vec::new(),
        except: Vec::new(),
        close_other_family: true,
    };
    Plan {
        device: "mesh0".into(),
        mtu: 1420,
        addresses: Vec::new(),
        routing,
        forward: Forward::default(),
        peers: Vec::new(),
    }
}

fn lan() -> Forward {
    Forward { interfaces: vec!["lan0".into()], ..Forward::default() }
}

const OLD_KERNEL: &[(&str, &str)] = &[
    ("net/ipv4/conf/lan0/forwarding", "0"),
    ("net/ipv4/conf/mesh0/forwarding", "0"),
    ("net/ipv6/conf/all/forwarding", "0"),
    ("net/ipv6/conf/eth0/accept_ra", "1"),
    ("net/ipv6/conf/lan0/accept_ra", "0"),
];

#[test]
fn an_old_kernel_forwards_all_of_ipv6_and_still_listens_to_routers() {
    let tree = Tree::new(OLD_KERNEL);
    let (sysctls, mut record) = (tree.sysctls(), tree.record());
    let closed = sysctls.closed(&lan(), &record);
    assert_eq!(closed, Closed { v4: vec!["lan0".into()], v6: Vec::new(), v6_all: true });
    let wanted = sysctls.wanted("mesh0", &lan(), &record);
    assert!(sysctls.set(wanted, &mut record).unwrap().is_empty());
    assert_eq!(tree.value("net/ipv6/conf/all/forwarding"), "1");
    assert_eq!(tree.value("net/ipv6/conf/eth0/accept_ra"), "2");
    assert_eq!(tree.value("net/ipv6/conf/lan0/accept_ra"), "0");
    assert_eq!(sysctls.closed(&lan(), &record), closed, "as it was before, not as it is");
    let again = sysctls.wanted("mesh0", &lan(), &record);
    assert!(again.iter().any(|setting| setting.name.ends_with("eth0/accept_ra")), "still wanted: {again:?}");
    // A killed daemon's record is enough to put everything back.
    let mut record = Record::load(tree.0.path()).unwrap();
    sysctls.put_back(&[], &mut record);
    for (name, value) in OLD_KERNEL {
        assert_eq!(tree.value(name), *value, "{name}");
    }
}

#[test]
fn a_new_kernel_forwards_the_named_interfaces_alone() {
    let mut values = OLD_KERNEL.to_vec();
    values.extend(["lan0", "mesh0", "default"].map(|_| ("net/ipv6/conf/default/force_forwarding", "0")));
    values.push(("net/ipv6/conf/lan0/force_forwarding", "0"));
    values.push(("net/ipv6/conf/mesh0/force_forwarding", "0"));
    let tree = Tree::new(&values);
    let (sysctls, mut record) = (tree.sysctls(), tree.record());
    sysctls.set(sysctls.wanted("mesh0", &lan(), &record), &mut record).unwrap();
    assert_eq!(tree.value("net/ipv6/conf/lan0/force_forwarding"), "1");
    assert_eq!(tree.value("net/ipv6/conf/all/forwarding"), "0");
    assert_eq!(tree.value("net/ipv6/conf/eth0/accept_ra"), "1");
    assert_eq!(sysctls.closed(&lan(), &record).v6, ["lan0"]);
}

#[test]
fn what_somebody_changed_since_is_left_alone_and_what_is_kept_too() {
    let tree = Tree::new(OLD_KERNEL);
    let (sysctls, mut record) = (tree.sysctls(), tree.record());
    sysctls.set(sysctls.wanted("mesh0", &lan(), &record), &mut record).unwrap();
    let keep = [Setting { name: v4("mesh0"), value: "1" }];
    fs::write(tree.0.path().join("sys/net/ipv6/conf/eth0/accept_ra"), "0").unwrap();
    sysctls.put_back(&keep, &mut record);
    assert_eq!(tree.value("net/ipv6/conf/eth0/accept_ra"), "0");
    assert_eq!((tree.value(&v4("lan0")), tree.value(&v4("mesh0"))), ("0".into(), "1".into()));
    assert_eq!(record.sysctls().len(), 1);
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let tree = Tree::new(&OLD_KERNEL[1..]);
    let mut record = tree.record();
    let wanted = tree.sysctls().wanted("mesh0", &lan(), &record);
    let words = tree.sysctls().set(wanted, &mut record).unwrap();
    assert!(words.len() == 1 && words[0].starts_with("net/ipv4/conf/lan0/forwarding: no such"), "{words:?}");
}

#[test]
fn where_nothing_can_be_written_the_command_is_told() {
    assert_eq!(
        by_hand(ALL_V6, "1", &io::Error::from(io::ErrorKind::ReadOnlyFilesystem)),
        "cannot set a sysctl (read-only filesystem or storage medium), please do: sysctl -w net/ipv6/conf/all/forwarding=1"
    );
}

#[test]
fn a_record_cannot_make_us_write_elsewhere() {
    for name in ["kernel/core_pattern", "net/ipv4/conf/../forwarding", "net/ipv4/ip_forward", ""] {
        assert!(!is_ours(name), "{name}");
    }
    assert!(is_ours("net/ipv4/conf/eth0.7/forwarding"));
}
