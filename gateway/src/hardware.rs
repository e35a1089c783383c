// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the processor can do.

/// Whether AES and carry-less multiplication are in hardware, so that AES-256-GCM is the faster cipher.
#[cfg(target_arch = "x86_64")]
pub fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

/// Whether AES and carry-less multiplication are in hardware, so that AES-256-GCM is the faster cipher.
#[cfg(target_arch = "aarch64")]
pub fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull")
}

/// Whether AES and carry-less multiplication are in hardware; not known on this kind of processor.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn has_aes() -> bool {
    false
}
