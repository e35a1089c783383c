// SPDX-License-Identifier: AGPL-3.0-or-later
use std::path::Path;

use super::*;

/// A folder with scripts that stand in for files of tests, and the lab tests' runner for them.
struct Scene {
    folder: PathBuf,
    lab: InLab,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let logs = folder.join("logs");
        let limit = Duration::from_secs(60);
        let lab = InLab { environment: Vec::new(), logs, once: false, limit, inside: read_by_a_shell };
        Self { folder, lab }
    }

    /// A file of tests that does what the script `first` says, and when it is run again what `second` says.
    fn file(&self, package: &str, name: &str, first: &str, second: &str) -> Binary {
        let folder = self.folder.join(package);
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join(name);
        fs::write(&program, format!("[ -e {name}.ran ] && {{ {second}\n}}\n:>{name}.ran\n{first}\n"))
            .unwrap();
        Binary { package: package.to_owned(), name: name.to_owned(), program, folder }
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.lab.logs.join(name)).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// A shell reads the script: nothing is executed that other threads may have open for writing still, and nothing needs a lab.
fn read_by_a_shell(script: Command) -> Result<Command> {
    let mut shell = Command::new("sh");
    shell.arg(script.get_program()).args(script.get_args());
    shell.current_dir(script.get_current_dir().context("tests run in the folder of their package")?);
    Ok(shell)
}

/// What a file prints of which `b` fails.
const B_FAILS: &str = "\nrunning 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\nfailures:\n    b\n\n\
    test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\n";

/// What it prints when `b` is all that it runs.
fn b_fails_alone() -> String {
    let alone = B_FAILS.replace("running 2 tests\ntest a ... ok\n", "running 1 test\n");
    alone.replace("1 passed; 1 failed", "0 passed; 1 failed")
}

/// What a file prints of which so many tests run, and pass.
fn passing(tests: usize) -> String {
    let counts = "0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
    let ending = if tests == 1 { "" } else { "s" };
    format!("\nrunning {tests} test{ending}\n\ntest result: ok. {tests} passed; {counts}\n\n")
}

/// The script that prints this, and does that.
fn printing(text: &str, and: &str) -> String {
    format!("printf '{text}'; {and}")
}

/// What comes before a script that is to be run with these arguments only.
fn given(arguments: &str) -> String {
    format!("[ \"$*\" = '{arguments}' ] || exit 3; ")
}

const ALL: &str = "--test-threads=1 --nocapture";
const B: &str = "--test-threads=1 --nocapture --exact b";

/// A file of which `b` fails, and which does what `second` says when that test alone is tried again.
fn flaky(scene: &Scene, second: &str) -> Vec<Binary> {
    vec![scene.file("scripts", "flaky", &printing(B_FAILS, "exit 101"), &(given(B) + second))]
}

/// A file that does what `first` says, and passes when all of it is run again.
fn passes_as_a_whole(scene: &Scene, first: &str) -> Vec<Binary> {
    vec![scene.file("scripts", "flaky", first, &(given(ALL) + &printing(&passing(2), "exit 0")))]
}

#[test]
fn what_failed_is_tried_again_alone() {
    let scene = Scene::new("again");
    scene.lab.run(flaky(&scene, &printing(&passing(1), "exit 0"))).unwrap();
}

#[test]
fn the_log_of_what_failed_is_kept() {
    let scene = Scene::new("kept");
    scene.lab.run(flaky(&scene, &printing(&passing(1), "exit 0"))).unwrap();
    assert_eq!(scene.log("scripts.flaky.log"), B_FAILS);
    assert_eq!(scene.log("scripts.flaky.again.log"), passing(1));
}

#[test]
fn what_fails_twice_fails() {
    let scene = Scene::new("twice");
    let error = scene.lab.run(flaky(&scene, &printing(&b_fails_alone(), "exit 101"))).unwrap_err();
    assert!(error.to_string().starts_with("failed twice: scripts::flaky"), "{error}");
}

#[test]
fn once_is_once() {
    let mut scene = Scene::new("once");
    scene.lab.once = true;
    let error = scene.lab.run(flaky(&scene, &printing(&passing(1), "exit 0"))).unwrap_err();
    assert_eq!(error.to_string(), "failed: scripts::flaky b");
}

#[test]
fn what_passes_when_tried_again_is_told_beside_what_does_not() {
    let scene = Scene::new("both");
    let failing = |name: &str, second: &str| {
        let tests = Tests::Named(["a", "b"].map(str::to_owned).into());
        Failed { binary: scene.file("scripts", name, second, "exit 3"), tests }
    };
    let b_fails = printing(B_FAILS, "exit 101");
    let failed = vec![failing("flaky", &printing(&passing(2), "exit 0")), failing("partly", &b_fails)];
    fs::create_dir_all(&scene.lab.logs).unwrap();
    let retried = scene.lab.once_more(failed).unwrap();
    assert_eq!(listed(&retried.failed), "scripts::partly b");
    assert_eq!(listed(&retried.flaky), "scripts::flaky a b, scripts::partly a");
}

#[test]
fn a_retry_that_runs_another_number_of_tests_fails() {
    for tests in [0, 2] {
        let scene = Scene::new(&format!("retry-of-{tests}"));
        let error = scene.lab.run(flaky(&scene, &printing(&passing(tests), "exit 0"))).unwrap_err();
        assert_eq!(error.to_string(), "failed twice: scripts::flaky b");
    }
}

#[test]
fn a_file_that_does_not_name_all_that_failed_is_run_again() {
    let scene = Scene::new("unnamed");
    let two = B_FAILS.replace("1 passed; 1 failed", "0 passed; 2 failed");
    scene.lab.run(passes_as_a_whole(&scene, &printing(&two, "exit 101"))).unwrap();
}

#[test]
fn a_file_that_is_killed_is_run_again() {
    let scene = Scene::new("killed");
    scene.lab.run(passes_as_a_whole(&scene, &printing(B_FAILS, "kill -9 $$"))).unwrap();
}

#[test]
fn a_file_without_a_result_is_run_again_whatever_its_exit_code() {
    let mut scene = Scene::new("no-result");
    let cut_off = printing("\nrunning 2 tests\ntest a ... ok\n", "exit 0");
    scene.lab.run(passes_as_a_whole(&scene, &cut_off)).unwrap();
    assert!(scene.log("scripts.flaky.again.log").contains("test result: ok"));

    scene.lab.once = true;
    let file = scene.file("scripts", "silent", "exit 0", "exit 0");
    assert_eq!(scene.lab.run(vec![file]).unwrap_err().to_string(), "failed: scripts::silent");
}

#[test]
fn a_file_that_does_not_end_is_killed_and_fails() {
    let mut scene = Scene::new("hangs");
    scene.lab.limit = Duration::from_millis(200);
    let hangs = printing(&passing(1), "echo $$ >> processes; exec sleep 5");
    let file = scene.file("scripts", "endless", &hangs, &hangs);
    let processes = file.folder.join("processes");
    let error = scene.lab.run(vec![file]).unwrap_err();
    assert_eq!(error.to_string(), "failed twice: scripts::endless");
    let processes = fs::read_to_string(processes).unwrap();
    assert_eq!(processes.lines().count(), 2);
    for process in processes.lines() {
        assert!(!Path::new("/proc").join(process).exists(), "{process} runs");
    }
}

#[test]
fn files_of_one_name_have_a_log_each() {
    let scene = Scene::new("names");
    let packages = ["one", "other"];
    let printed = |package: &str| format!("of {package}\n{}", passing(1));
    let file = |package| scene.file(package, "host", &printing(&printed(package), "exit 0"), "exit 3");
    scene.lab.run(packages.map(file).into()).unwrap();
    for package in packages {
        assert_eq!(scene.log(&format!("{package}.host.log")), printed(package));
    }
}

#[test]
fn no_two_files_have_the_same_log() {
    let scene = Scene::new("equal");
    let file = scene.file("one", "host", "exit 0", "exit 0");
    let error = scene.lab.run(vec![file.clone(), file]).unwrap_err();
    assert_eq!(error.to_string(), "the log of one::host would be that of another file, too");
}
