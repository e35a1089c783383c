// SPDX-License-Identifier: AGPL-3.0-or-later
//! The window of posts: its lints and its test, apart from the others since it needs GTK and a screen.

use anyhow::Result;
use irdest_lab::isolated;

use crate::build::{Profile, all};
use crate::cargo::{cargo, metadata, run};
use crate::demonstration::headline;
use crate::programs::{TO_TEST_THE_WINDOW, require};

/// The feature of its test.
pub(super) const WINDOW_TESTS: &str = "window-tests";

/// Runs them; what was seen is kept in the folder `window` of the target directory.
pub(super) fn run_tests() -> Result<()> {
    require(TO_TEST_THE_WINDOW)?;
    let with_it = ["--package=irdest-mblog", "--features=mblog-gtk"];
    headline("lints of the window");
    run(cargo(&["clippy", "--all-targets"]).args(with_it).args(["--", "--deny", "warnings"]))?;
    let (daemon, _) = all(Profile::Dev)?;
    // Beside it.
    run(cargo(&["build", "--bin=irdest-mblog-gtk"]).args(with_it))?;
    let test = ["test", "--package=irdest-lab", "--test=window", "--features", WINDOW_TESTS];
    run(cargo(&test).arg("--no-run"))?;
    headline("what is to be seen");
    let shots = metadata()?.target_directory.into_std_path_buf().join("window");
    let mut test = cargo(&test);
    test.args(["--offline", "--", "--nocapture"]).env("IRDEST_GATEWAY", daemon).env("IRDEST_SHOTS", &shots);
    run(&mut isolated(test)?)?;
    println!("{}", shots.join("window.png").display());
    Ok(())
}
