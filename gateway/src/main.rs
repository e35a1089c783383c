// SPDX-License-Identifier: AGPL-3.0-or-later
//! The program: everything is in the library, so that tests can use it.

use std::process::ExitCode;

fn main() -> ExitCode {
    irdest_gateway::cli::main(std::env::args_os())
}
