// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-mblog-gtk`: see [`irdest_mblog::window`].

fn main() -> std::process::ExitCode {
    irdest_mblog::window::main()
}
