// SPDX-License-Identifier: AGPL-3.0-or-later
//! Ctrl-C as a flag that every wait of the lab looks at, so that `Drop` tidies up as after any other error.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Turns SIGINT, SIGTERM and SIGHUP into the flag that [`interrupted`] reads.
///
/// To be called first in `main`: threads inherit the blocked signals of the one that starts them. Programs
/// that are started do not, as the standard library resets their mask.
pub fn catch_signals() -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    signals.thread_block().context("blocking SIGINT, SIGTERM and SIGHUP")?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while signals.wait().is_ok() {
                INTERRUPTED.store(true, Ordering::Relaxed);
            }
        })
        .context("starting the thread that waits for signals")?;
    Ok(())
}

/// Whether somebody asked this program to end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
