// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-echo`: see [`irdest_tools::echo`].

fn main() -> std::process::ExitCode {
    irdest_tools::echo::main()
}
