// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-gateway doctor`: what usually goes wrong between a gateway and its host, and what to do about it.
//!
//! `look` gathers facts and changes nothing; `judge` is a function from facts to a [`Report`]. Both do what they can
//! without a running gateway and without privileges, and the report says what could not be looked at.

use std::time::Duration;

use anyhow::Context;

use crate::config::{Config, ConfigError, Sources};

mod judge;
mod look;
mod report;

pub use report::{Check, Finding, Report, Severity, Unseen};

/// Everything ends by then, whatever hangs: what was not answered is not waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// Looks at the host and at the gateway that runs there, if one does. Takes as long as the slowest path to a peer, at most
/// some 10 s.
///
/// # Errors
/// No runtime to look with. A configuration with mistakes is the first finding, and then the only one: what to look at
/// stands there.
pub fn examine(sources: &Sources) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let config = match load(sources, &mut report) {
        Ok(config) => config,
        Err(error) => {
            report.error(
                Check::Configuration,
                error.to_string(),
                "mend it; `irdest-gateway check-config` tells whether it is good",
            );
            return Ok(report);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start a runtime")?;
    let facts = runtime.block_on(look::look(&config, LIMIT));
    // Whatever still hangs in a thread of its own ends with the program.
    runtime.shutdown_background();
    judge::judge(&config, &facts, &mut report);
    report.complete();
    Ok(report)
}

/// The configuration as the daemon reads it; who may not read the layer in the state directory does without.
fn load(sources: &Sources, report: &mut Report) -> Result<Config, ConfigError> {
    match Config::load(sources) {
        Err(ConfigError::Read { path, error }) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let config = Config::load_for_client(sources)?;
            report.unseen(Check::Configuration, format!("{}: only root may read it", path.display()));
            Ok(config)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
