// SPDX-License-Identifier: AGPL-3.0-or-later
//! `cargo xtask install`: programs, systemd unit and configuration in their places, for a machine that is to run the
//! daemon or, below a folder of its own, for a package.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::build::{Profile, all};
use crate::cargo::workspace;

/// Where the daemon looks for its configuration, whatever the prefix is.
const CONFIGURATION: &str = "/etc/irdest-gateway/gateway.toml";

/// The folders below which systemd looks for units of programs.
const PREFIXES_OF_SYSTEMD: [&str; 2] = ["/usr", "/usr/local"];

/// What stands for the prefix in the files that are installed.
const PREFIX: &str = "@PREFIX@";

/// Builds the daemon and the programs of clients for use, and installs them with the systemd unit and a configuration to begin with.
#[derive(Debug, clap::Args)]
pub(crate) struct Install {
    /// The folder for program, unit and documentation.
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,
    /// Put everything below this folder instead of the root folder, for a package.
    #[arg(long, value_name = "DIR", default_value = "/")]
    destdir: PathBuf,
}

impl Install {
    pub(crate) fn run(self) -> Result<()> {
        self.check()?;
        let (program, tools) = all(Profile::Release)?;
        for line in self.place(&program, &tools)? {
            println!("{line}");
        }
        println!("\n{}", self.next_steps());
        Ok(())
    }

    /// The unit names the prefix, where blanks, quotes, `%` and `$` would mean something else (systemd.service(5)).
    fn check(&self) -> Result<()> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.+".contains(&byte);
        let prefix = self.prefix.to_str().unwrap_or_default();
        ensure!(
            self.prefix.is_absolute() && prefix.bytes().all(plain),
            "--prefix {}: expected an absolute path of letters, digits and / - _ . +",
            self.prefix.display()
        );
        Ok(())
    }

    /// Puts everything in place and says what went where.
    fn place(&self, program: &Path, tools: &[PathBuf]) -> Result<Vec<String>> {
        let binary = self.below(&self.prefix.join("sbin/irdest-gateway"));
        copy(program, &binary)?;
        let router = binary.with_file_name("ratmand");
        link(&router, "irdest-gateway")?;
        let unit = self.below(&self.unit());
        replace(&unit, self.filled("systemd/irdest-gateway.service")?.as_bytes(), 0o644)?;
        let user = self.below(&self.of_systemd("sysusers"));
        replace(&user, self.filled("systemd/irdest-gateway.sysusers")?.as_bytes(), 0o644)?;
        let device = self.below(&self.of_systemd("tmpfiles"));
        replace(&device, self.filled("systemd/irdest-gateway.tmpfiles")?.as_bytes(), 0o644)?;
        let defaults = self.below(&self.prefix.join("share/doc/irdest-gateway/defaults.toml"));
        replace(&defaults, self.filled("gateway/src/config/defaults.toml")?.as_bytes(), 0o644)?;
        let mut placed: Vec<String> = [&binary, &router, &unit, &user, &device, &defaults]
            .map(|path| path.display().to_string())
            .into();
        for tool in tools {
            let name = tool.file_name().expect("invariant: a program is a file");
            let place = self.below(&self.prefix.join("bin").join(name));
            copy(tool, &place)?;
            placed.push(place.display().to_string());
        }
        let configuration = self.below(Path::new(CONFIGURATION));
        if configuration.exists() {
            placed.push(format!("{} (was there, and stays as it is)", configuration.display()));
        } else {
            replace(&configuration, self.filled("config/gateway.toml")?.as_bytes(), 0o644)?;
            placed.push(configuration.display().to_string());
        }
        Ok(placed)
    }

    fn unit(&self) -> PathBuf {
        self.prefix.join("lib/systemd/system/irdest-gateway.service")
    }

    /// Our file for `systemd-sysusers` or `systemd-tmpfiles`.
    fn of_systemd(&self, tool: &str) -> PathBuf {
        self.prefix.join(format!("lib/{tool}.d/irdest-gateway.conf"))
    }

    /// Where an absolute path lies below the folder for a package.
    fn below(&self, path: &Path) -> PathBuf {
        self.destdir.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn filled(&self, path: &str) -> Result<String> {
        filled(path, &self.prefix)
    }

    fn next_steps(&self) -> String {
        let known = PREFIXES_OF_SYSTEMD.iter().any(|prefix| self.prefix == Path::new(prefix));
        let reload = if known {
            "systemctl daemon-reload".to_owned()
        } else {
            format!("systemctl link {}", self.unit().display())
        };
        format!(
            "Next:\n\
             1. systemd-sysusers {user}\n\
             \x20  systemd-tmpfiles --create {device}\n\
             2. {reload}\n\
             3. put a passphrase for the identity where only root can read it:\n\
             \x20  mkdir -p -m 0700 {store} && head -c 32 /dev/urandom | systemd-creds encrypt \\\n\
             \x20    --name=identity-passphrase - {store}/irdest-gateway.identity-passphrase\n\
             4. say in {CONFIGURATION} whom to dial and what to route\n\
             5. systemctl enable --now irdest-gateway\n\
             6. {sbin}/irdest-gateway identity    # shows the address for others to route to",
            user = self.of_systemd("sysusers").display(),
            device = self.of_systemd("tmpfiles").display(),
            store = "/etc/credstore.encrypted",
            sbin = self.prefix.join("sbin").display()
        )
    }
}

/// A file of the workspace with the prefix filled in.
pub(crate) fn filled(path: &str, prefix: &Path) -> Result<String> {
    let text = fs::read_to_string(workspace().join(path)).with_context(|| path.to_owned())?;
    Ok(text.replace(PREFIX, &prefix.display().to_string()))
}

/// Copies a program to its place.
fn copy(program: &Path, place: &Path) -> Result<()> {
    replace(place, &fs::read(program).with_context(|| program.display().to_string())?, 0o755)
}

/// Writes a file beside its place and moves it there: a program that runs cannot be written to.
fn replace(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let failed = || format!("installing {}", path.display());
    fs::create_dir_all(path.parent().expect("a file lies in a folder")).with_context(failed)?;
    let new = path.with_extension("new");
    fs::write(&new, content).with_context(failed)?;
    fs::set_permissions(&new, Permissions::from_mode(mode)).with_context(failed)?;
    fs::rename(&new, path).with_context(failed)
}

fn link(path: &Path, target: &str) -> Result<()> {
    let new = path.with_extension("new");
    // Nothing is there but what an earlier call left that was killed.
    let _left = fs::remove_file(&new);
    symlink(target, &new)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("installing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use irdest_lab::find_program;

    use super::*;

    /// A folder that goes with the test, and a program in it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-install-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("program"), "#!/bin/sh\n").unwrap();
            Self(folder)
        }

        fn install(&self, prefix: &str) -> (Install, Vec<String>) {
            let install = Install { prefix: prefix.into(), destdir: self.0.join("root") };
            install.check().unwrap();
            let (program, tool) = (self.0.join("program"), self.0.join("tool"));
            fs::copy(&program, &tool).unwrap();
            let placed = install.place(&program, &[tool]).unwrap();
            (install, placed)
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.join("root").join(path)
        }

        fn text(&self, path: &str) -> String {
            fs::read_to_string(self.path(path)).unwrap()
        }

        fn mode(&self, path: &str) -> u32 {
            fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o7777
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn everything_is_in_its_place() {
        let folder = Folder::new("places");
        let (_, placed) = folder.install("/opt/irdest");
        assert_eq!(placed.len(), 8, "{placed:?}");
        let unit = "opt/irdest/lib/systemd/system/irdest-gateway.service";
        let user = "opt/irdest/lib/sysusers.d/irdest-gateway.conf";
        let device = "opt/irdest/lib/tmpfiles.d/irdest-gateway.conf";
        let (defaults, config) =
            ("opt/irdest/share/doc/irdest-gateway/defaults.toml", "etc/irdest-gateway/gateway.toml");
        for path in [unit, user, device, defaults, config] {
            assert_eq!(folder.mode(path), 0o644, "{path}");
            assert!(!folder.text(path).contains(PREFIX), "{path} is filled in");
        }
        for program in ["sbin/irdest-gateway", "bin/tool"] {
            assert_eq!(folder.mode(&format!("opt/irdest/{program}")), 0o755, "{program}");
        }
        let router = fs::read_link(folder.path("opt/irdest/sbin/ratmand")).unwrap();
        assert_eq!(router, Path::new("irdest-gateway"));
        assert!(folder.text(unit).contains("\nExecStart=/opt/irdest/sbin/irdest-gateway\n"));
        assert!(folder.text(config).contains("/opt/irdest/share/doc/irdest-gateway/defaults.toml"));
    }

    #[test]
    fn a_configuration_that_is_there_stays_and_the_rest_is_replaced() {
        let folder = Folder::new("again");
        folder.install("/usr");
        fs::write(folder.path("etc/irdest-gateway/gateway.toml"), "peers = []\n").unwrap();
        fs::write(folder.path("usr/sbin/irdest-gateway"), "old").unwrap();
        let (_, placed) = folder.install("/usr");
        assert!(placed.last().unwrap().contains("stays"), "{placed:?}");
        assert_eq!(folder.text("etc/irdest-gateway/gateway.toml"), "peers = []\n");
        assert_eq!(folder.text("usr/sbin/irdest-gateway"), "#!/bin/sh\n");
        let names = fs::read_dir(folder.path("usr/sbin")).unwrap();
        assert_eq!(names.count(), 2, "nothing is left beside them");
    }

    #[test]
    fn a_prefix_that_a_unit_could_not_name_is_refused() {
        for prefix in ["relative", "/with blank", "/with%n", "/$HOME", ""] {
            let install = Install { prefix: prefix.into(), destdir: "/".into() };
            assert!(install.check().is_err(), "{prefix:?}");
        }
    }

    #[test]
    fn systemd_is_told_of_units_that_it_does_not_look_for() {
        let steps = |prefix: &str| Install { prefix: prefix.into(), destdir: "/".into() }.next_steps();
        assert!(steps("/usr/local").contains("daemon-reload"));
        assert!(steps("/opt/x").contains("systemctl link /opt/x/lib/systemd/system/irdest-gateway.service"));
    }

    /// The unit in a folder with all that it names, for `systemd-analyze`.
    fn analyze(name: &str, arguments: &[&str]) -> Output {
        let analyze = find_program("systemd-analyze");
        let analyze = analyze.expect("systemd-analyze is there: `cargo xtask test` installs it");
        let folder = Folder::new(name);
        // The program that the unit names must be there: the whole prefix lies in the folder.
        let install = Install { prefix: folder.0.join("prefix"), destdir: "/".into() };
        replace(&install.prefix.join("sbin/irdest-gateway"), b"#!/bin/sh\n", 0o755).unwrap();
        let unit = install.unit();
        replace(&unit, install.filled("systemd/irdest-gateway.service").unwrap().as_bytes(), 0o644).unwrap();
        Command::new(analyze).args(arguments).arg(&unit).output().unwrap()
    }

    #[test]
    fn systemd_understands_the_unit() {
        let output = analyze("verify", &["verify", "--man=no"]);
        let said = String::from_utf8_lossy(&output.stderr);
        let about_it: Vec<_> = said.lines().filter(|line| line.contains("irdest-gateway")).collect();
        assert!(about_it.is_empty(), "{said}");
    }

    #[test]
    fn the_unit_exposes_little() {
        // In tenths: 2.0 of 10.
        let arguments = ["security", "--offline=yes", "--threshold=20", "--no-pager"];
        let output = analyze("security", &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
