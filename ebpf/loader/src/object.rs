// SPDX-License-Identifier: AGPL-3.0-or-later
//! The object with the programs, as the build found it.

/// The object file, aligned as its parser wants it; nothing where this was built without.
#[must_use]
pub fn object() -> Option<&'static [u8]> {
    #[cfg(bpf_object)]
    {
        Some(aya::include_bytes_aligned!(env!("IRDEST_BPF_OBJECT")))
    }
    #[cfg(not(bpf_object))]
    {
        None
    }
}
