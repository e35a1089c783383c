// SPDX-License-Identifier: AGPL-3.0-or-later
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
        let lab = InLab { environment: Vec::new(), logs, once: false, inside: read_by_a_shell };
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

/// What a file does of which these tests fail.
const B_FAILS: &str =
    "printf 'test b ... FAILED\\n\\nfailures:\\n\\nfailures:\\n    b\\n\\ntest result: FAILED\\n'; exit 101";

/// A file of which `b` fails, and which does what `second` says when that test alone is tried again.
fn flaky(scene: &Scene, second: &str) -> Vec<Binary> {
    let second = format!("[ \"$*\" = '--test-threads=1 --nocapture --exact b' ] || exit 3; {second}");
    vec![scene.file("scripts", "flaky", B_FAILS, &second)]
}

#[test]
fn what_failed_is_tried_again_alone() {
    let scene = Scene::new("again");
    scene.lab.run(flaky(&scene, "exit 0")).unwrap();
}

#[test]
fn the_log_of_what_failed_is_kept() {
    let scene = Scene::new("kept");
    scene.lab.run(flaky(&scene, "echo better; exit 0")).unwrap();
    assert!(scene.log("scripts.flaky.log").contains("FAILED"));
    assert_eq!(scene.log("scripts.flaky.again.log"), "better\n");
}

#[test]
fn what_fails_twice_fails() {
    let scene = Scene::new("twice");
    let error = scene.lab.run(flaky(&scene, "exit 101")).unwrap_err();
    assert!(error.to_string().starts_with("failed twice: scripts::flaky"), "{error}");
}

#[test]
fn once_is_once() {
    let mut scene = Scene::new("once");
    scene.lab.once = true;
    let error = scene.lab.run(flaky(&scene, "exit 0")).unwrap_err();
    assert_eq!(error.to_string(), "failed: scripts::flaky b");
}

#[test]
fn files_of_one_name_have_a_log_each() {
    let scene = Scene::new("names");
    let packages = ["one", "other"];
    let file = |package| scene.file(package, "host", &format!("echo of {package}; exit 0"), "exit 3");
    scene.lab.run(packages.map(file).into()).unwrap();
    for package in packages {
        assert_eq!(scene.log(&format!("{package}.host.log")), format!("of {package}\n"));
    }
}

#[test]
fn no_two_files_have_the_same_log() {
    let scene = Scene::new("equal");
    let file = scene.file("one", "host", "exit 0", "exit 0");
    let error = scene.lab.run(vec![file.clone(), file]).unwrap_err();
    assert_eq!(error.to_string(), "the log of one::host would be that of another file, too");
}

#[test]
fn a_file_that_ends_without_a_list_names_none() {
    assert_eq!(failures("test a ... ok\ntest b ... Killed"), BTreeSet::new());
    let two = "x\nfailures:\n\n---- a ----\n    b\n\nfailures:\n    a\n    c::d\n\ntest result: FAILED";
    assert_eq!(failures(two), ["a", "c::d"].map(str::to_owned).into());
}
