// SPDX-License-Identifier: AGPL-3.0-or-later
//! The window of posts, on a screen that nobody sees, read as a person reads it: by what is to be seen.
#![allow(clippy::unwrap_used, reason = "helpers of tests end tests, too")]

#[expect(dead_code, reason = "the tests of the tools use the rest")]
#[path = "../tools/user.rs"]
mod user;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use irdest_lab::{ThreeRouters, TimeLimit};
use user::{Staying, User, told};

/// Where what was seen is kept.
const SHOTS: &str = "IRDEST_SHOTS";

/// A screen of its own; it is gone when this is dropped.
struct Screen {
    server: Child,
    /// What programs call it.
    display: String,
    picture: PathBuf,
}

impl Screen {
    fn start(folder: &Path) -> Self {
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-screen", "0", "900x640x24", "-nolisten", "tcp"]);
        let mut server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Self { server, display: format!(":{}", number.trim()), picture: folder.join("window.png") }
    }

    /// The words on it.
    fn words(&self) -> String {
        let mut shot = Command::new("import");
        shot.args(["-display", &self.display, "-window", "root"]).arg(&self.picture);
        let shot = shot.output().unwrap();
        assert!(shot.status.success(), "{}", told(&shot));
        // Letters of a screen are small for who reads print.
        let large = self.picture.with_extension("large.png");
        let mut enlarge = Command::new("convert");
        let enlarged = enlarge.arg(&self.picture).args(["-resize", "300%"]).arg(&large).output().unwrap();
        assert!(enlarged.status.success(), "{}", told(&enlarged));
        let read = Command::new("tesseract").arg(&large).arg("-").output().unwrap();
        assert!(read.status.success(), "{}", told(&read));
        let text = String::from_utf8_lossy(&read.stdout).into_owned();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ended = self.server.kill();
        let _gone = self.server.wait();
    }
}

#[test]
fn a_post_on_a_is_seen_in_the_window_on_b() {
    let limit = TimeLimit::within(Duration::from_secs(120));
    let routers = ThreeRouters::running(limit, "").unwrap();
    let (alice, bob) = (User::new(&routers.a, "alice"), User::new(&routers.b, "bob"));
    let screen = Screen::start(&routers.b.node().directory());
    // Without a session bus, a sound of a bell, or a graphics card.
    let on_screen = [
        ("DISPLAY", screen.display.as_str()),
        ("GDK_BACKEND", "x11"),
        ("GSK_RENDERER", "cairo"),
        ("GTK_A11Y", "none"),
        ("DBUS_SESSION_BUS_ADDRESS", "disabled:"),
    ];
    let _window = Staying::begin_with(&bob, ("irdest-mblog-gtk", &["--nick", "bob"]), &on_screen);
    alice.done(
        "irdest-mblog",
        &["post", "-t", "/net/irdest/lab", "-n", "ann", "this has come from another router"],
    );
    let mut seen = String::new();
    let is_seen = limit.wait_for("the post in the window", || {
        seen = screen.words();
        let all = ["this has come from another router", "ann", "irdest/lab"];
        Ok(all.iter().all(|words| seen.contains(words)).then_some(()))
    });
    if let Some(folder) = env::var_os(SHOTS) {
        fs::create_dir_all(&folder).unwrap();
        fs::copy(&screen.picture, Path::new(&folder).join("window.png")).unwrap();
    }
    assert!(is_seen.is_ok(), "{is_seen:?}; seen: {seen}");
}
