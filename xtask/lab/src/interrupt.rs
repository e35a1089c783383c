// SPDX-License-Identifier: AGPL-3.0-or-later
//! Ctrl-C as a flag that every wait of the lab looks at, so that `Drop` tidies up as after any other error.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Turns SIGINT, SIGTERM and SIGHUP into the flag that [`interrupted`] reads.
///
/// They are caught and not blocked: programs that are started would have them blocked, too, and not hear of them.
pub fn catch_signals() -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let caught = signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED));
        caught.with_context(|| format!("catching signal {signal}"))?;
    }
    Ok(())
}

/// Whether somebody asked this program to end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
