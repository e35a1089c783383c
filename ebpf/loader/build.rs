// SPDX-License-Identifier: AGPL-3.0-or-later
//! Takes in the object with the probes where there is one: `cargo xtask` builds it, and says where in this variable.

use std::path::Path;

const OBJECT: &str = "IRDEST_BPF_OBJECT";

fn main() {
    println!("cargo::rustc-check-cfg=cfg(bpf_object)");
    println!("cargo::rerun-if-env-changed={OBJECT}");
    let Some(object) = std::env::var_os(OBJECT) else { return };
    let object = Path::new(&object);
    assert!(object.is_absolute(), "{OBJECT}: expected an absolute path");
    println!("cargo::rerun-if-changed={}", object.display());
    println!("cargo::rustc-env={OBJECT}={}", object.display());
    println!("cargo::rustc-cfg=bpf_object");
}
