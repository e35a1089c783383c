// SPDX-License-Identifier: AGPL-3.0-or-later
//! Modules of the kernel: which there are and which are loaded, so that nobody loads one by looking.

use std::fs;
use std::path::Path;

/// Whether the kernel that runs has this module in a file.
pub(super) fn has(module: &str) -> bool {
    let folder = Path::new("/lib/modules").join(proc_text("/proc/sys/kernel/osrelease"));
    fs::read_to_string(folder.join("modules.dep")).is_ok_and(|text| has_file(&text, module))
}

/// Whether asking for it would load it: it is a module, and not loaded.
pub(super) fn would_be_loaded(module: &str) -> bool {
    has(module) && !is_loaded(&fs::read_to_string("/proc/modules").unwrap_or_default(), module)
}

/// By `modules.dep` (depmod(8)): a line for each, `kernel/net/x.ko.xz: kernel/net/y.ko.xz`.
fn has_file(text: &str, module: &str) -> bool {
    let files = text.lines().filter_map(|line| line.split(':').next()?.rsplit('/').next());
    files.filter_map(|file| file.split_once(".ko")).any(|(name, _)| name == module)
}

/// By `/proc/modules`: a line for each that begins with its name.
fn is_loaded(text: &str, module: &str) -> bool {
    text.lines().any(|line| line.split(' ').next() == Some(module))
}

/// What a file of `/proc` says, in one line.
pub(super) fn proc_text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_known_by_their_whole_names() {
        let files =
            "kernel/drivers/net/tun.ko.xz:\nkernel/net/netfilter/nf_tables.ko: kernel/lib/libcrc32c.ko\n";
        for (module, expected) in [("tun", true), ("nf_tables", true), ("nf", false), ("libcrc32c", false)] {
            assert_eq!(has_file(files, module), expected, "{module}");
        }
        let loaded = "nf_tables 397312 12 nft_ct,nft_compat, Live 0x0\nipv6 1 1 - Live 0x0\n";
        assert!(is_loaded(loaded, "nf_tables") && !is_loaded(loaded, "nft_ct") && !is_loaded("", "ipv6"));
    }
}
