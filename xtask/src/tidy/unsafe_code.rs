// SPDX-License-Identifier: AGPL-3.0-or-later
//! Unsafe code has three rooms.

use super::code::{code, words};
use super::{Finding, Source};

/// Where the kernel's own interfaces leave no other way.
const ROOMS: [&str; 3] = ["gateway/tun/", "ebpf/", "netmods/datalink/"];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    if ROOMS.iter().any(|room| source.path.starts_with(room)) {
        return Vec::new();
    }
    let message = || format!("unsafe code belongs in {}", ROOMS.join(", "));
    let lines = source.lines().filter(|(_, line)| is_unsafe(&code(line)));
    lines.map(|(number, _)| Finding::at(source, number, message())).collect()
}

/// The keyword itself, or permission for it; the names of lints that forbid it are no breach.
fn is_unsafe(code: &str) -> bool {
    let permits = code.contains("allow(") || code.contains("expect(");
    words(code).any(|word| word == "unsafe" || (word == "unsafe_code" && permits))
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn finds_the_keyword_and_the_permission() {
        for bad in ["let x = unsafe { f() };", "unsafe impl Send for A {}", "#![allow(unsafe_code)]"] {
            assert_eq!(check(&source("router-core/src/a.rs", bad)).len(), 1, "{bad}");
            assert_eq!(check(&source("gateway/tun/src/a.rs", bad)), [], "{bad}");
        }
        for good in ["#![forbid(unsafe_code)]", "// nothing unsafe here", "let unsafely = \"unsafe\";"] {
            assert_eq!(check(&source("router-core/src/a.rs", good)), [], "{good}");
        }
    }
}
