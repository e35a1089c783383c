// SPDX-License-Identifier: AGPL-3.0-or-later
//! The program that cargo-fuzz runs: any one target, named by `IRDEST_FUZZ_TARGET`.
#![no_main]

use std::sync::LazyLock;

use irdest_fuzz::{TARGETS, Target};

static CHOSEN: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("IRDEST_FUZZ_TARGET").expect("IRDEST_FUZZ_TARGET names the target");
    TARGETS.iter().find(|target| target.name == name).expect("IRDEST_FUZZ_TARGET is one of TARGETS")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (CHOSEN.run)(data));
