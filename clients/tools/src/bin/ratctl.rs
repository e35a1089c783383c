// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratctl`: see [`irdest_tools::ratctl`].

fn main() -> std::process::ExitCode {
    irdest_tools::ratctl::main()
}
