// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratcat`: see [`irdest_tools::ratcat`].

fn main() -> std::process::ExitCode {
    irdest_tools::ratcat::main()
}
