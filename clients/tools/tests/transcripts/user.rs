// SPDX-License-Identifier: AGPL-3.0-or-later
//! Somebody with a home of their own who types commands.

use std::fs;
use std::io::{Read, pipe};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ratman_wire::api::Address;
use tempfile::TempDir;

use crate::router::{OTHERS, OURS, SPACE, THEIRS, TOKEN};

/// A command that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct User {
    home: TempDir,
    router: SocketAddr,
}

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    shown: std::io::PipeReader,
    home: String,
}

impl User {
    pub(crate) fn new(router: SocketAddr) -> Self {
        let home = tempfile::tempdir().unwrap();
        for file in ["film.mkv", "news.txt"] {
            fs::write(home.path().join(file), "content").unwrap();
        }
        fs::create_dir(home.path().join("inbox")).unwrap();
        let user = Self { home, router };
        user.write_private("team.key", &"07".repeat(32));
        user
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Has an identity.
    pub(crate) fn settle(&mut self, address: Address) {
        fs::create_dir_all(self.home().join(".config/irdest")).unwrap();
        let token: String = TOKEN.iter().map(|byte| format!("{byte:02x}")).collect();
        self.write_private(".config/irdest/identity", &format!("addr={address}\nauth={token}\n"));
    }

    pub(crate) fn goes_to(&mut self, router: SocketAddr) {
        self.router = router;
    }

    pub(crate) fn write_private(&self, name: &str, content: &str) {
        let path = self.home().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Types a line, and sees what is shown and how it ends.
    pub(crate) fn run(&self, line: &str) -> (Option<i32>, String) {
        let mut running = self.begin(line);
        drop(running.child.stdin.take());
        running.end()
    }

    /// Types a line whose input stays open.
    pub(crate) fn begin(&self, line: &str) -> Running {
        let named = line
            .replace("ADDRESS2", &OTHERS.to_string())
            .replace("ADDRESS", &THEIRS.to_string())
            .replace("NAMESPACE", &SPACE.to_string());
        let tools = Path::new(env!("CARGO_BIN_EXE_ratcat")).parent().unwrap();
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        let (shown, output) = pipe().unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", &named])
            .current_dir(self.home())
            .env_clear()
            .envs([("PATH", path), ("HOME", self.home().display().to_string())])
            .env("IRDEST_SOCKET", self.router.to_string())
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let child = command.spawn().unwrap();
        Running { child, shown, home: self.home().display().to_string() }
    }

    /// Waits for something that another process does.
    pub(crate) fn wait_until(&self, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < LIMIT, "it does not happen");
            sleep(Duration::from_millis(5));
        }
    }
}

impl Running {
    /// Presses Ctrl-C.
    pub(crate) fn interrupt(self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.end()
    }

    fn end(mut self) -> (Option<i32>, String) {
        let mut shown = String::new();
        self.shown.read_to_string(&mut shown).unwrap();
        let code = self.child.wait().unwrap().code();
        let names = [
            (self.home, "~".to_owned()),
            (OURS.to_string(), "YOURS".to_owned()),
            (THEIRS.to_string(), "ADDRESS".to_owned()),
            (OTHERS.to_string(), "ADDRESS2".to_owned()),
            (SPACE.to_string(), "NAMESPACE".to_owned()),
        ];
        (code, names.into_iter().fold(shown, |shown, (value, name)| shown.replace(&value, &name)))
    }
}
