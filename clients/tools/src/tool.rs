// SPDX-License-Identifier: AGPL-3.0-or-later
//! From the command line to the exit code.

use std::process::ExitCode;

use tokio::runtime::Builder;

use crate::output::complain;
use crate::{Exit, Failure, Interrupt, Result};

/// Runs a tool: what it does, until it is done, and says why if it is not. What a user interrupts is ended in order by the tool itself,
/// with the [`Interrupt`] that it is given.
pub fn run(name: &str, work: impl AsyncFnOnce(Interrupt) -> Result<Exit>) -> ExitCode {
    let done = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let done = runtime.block_on(async { Box::pin(work(Interrupt::listen()?)).await });
            // A thread may read standard input, and nobody waits for what it reads.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(error.into()),
    };
    let exit = done.unwrap_or_else(|Failure { exit, message }| {
        if !message.is_empty() {
            complain(format_args!("{name}: {message}"));
        }
        exit
    });
    exit.into()
}

/// Does it, unless the user interrupts; for what leaves nothing behind in the middle.
///
/// # Errors
/// Those of `work`, and [`Exit::Interrupted`].
pub async fn unless_interrupted<T>(
    mut interrupt: Interrupt,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = interrupt.came() => Err(Failure::interrupted("")),
    }
}
