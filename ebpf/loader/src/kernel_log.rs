// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the programs in the kernel say, in the daemon's log.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Level, Log, Metadata, Record};
use tracing::level_filters::LevelFilter;

/// Hands on to [`tracing`], at the level that the program gave it.
struct ToTracing;

impl Log for ToTracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let said = record.args();
        match record.level() {
            Level::Error => tracing::error!("kernel: {said}"),
            Level::Warn => tracing::warn!("kernel: {said}"),
            Level::Info => tracing::info!("kernel: {said}"),
            Level::Debug => tracing::debug!("kernel: {said}"),
            Level::Trace => tracing::trace!("kernel: {said}"),
        }
    }

    fn flush(&self) {}
}

/// What was said and not yet read; the kernel keeps 128 KiB of it and drops what comes then.
pub(crate) struct KernelLog(EbpfLogger<ToTracing>);

impl KernelLog {
    /// Takes over what these programs will say. To be called before they are loaded.
    ///
    /// # Errors
    /// Where the object has no place for it.
    pub(crate) fn of(object: &mut Ebpf) -> Result<Self, aya_log::Error> {
        Ok(Self(EbpfLogger::init_with_logger(object, ToTracing)?))
    }

    /// The level up to which programs need say anything. What is above it is not even in what the kernel runs.
    pub(crate) fn level() -> u8 {
        match LevelFilter::current() {
            LevelFilter::OFF => 0,
            LevelFilter::ERROR => 1,
            LevelFilter::WARN => 2,
            LevelFilter::INFO => 3,
            LevelFilter::DEBUG => 4,
            LevelFilter::TRACE => 5,
        }
    }

    /// Logs what was said since the last call.
    ///
    /// It ends because the programs speak of followed conversations alone, at most once per round trip, and only at
    /// TRACE: what a stranger sends says nothing, so that no flood can keep this reading.
    pub(crate) fn pass_on(&mut self) {
        self.0.flush();
    }
}
