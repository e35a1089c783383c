// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-ping`: see [`irdest_tools::ping`].

fn main() -> std::process::ExitCode {
    irdest_tools::ping::main()
}
