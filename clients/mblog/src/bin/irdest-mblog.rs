// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-mblog`: see [`irdest_mblog::cli`].

fn main() -> std::process::ExitCode {
    irdest_mblog::cli::main()
}
