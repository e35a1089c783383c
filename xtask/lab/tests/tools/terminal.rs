// SPDX-License-Identifier: AGPL-3.0-or-later
//! A terminal of which everything is kept that is drawn on it.

use std::fs::File;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use nix::pty::openpty;

/// What a progress bar begins with each time that it is drawn; alone, it takes the bar away.
const DRAWN_ANEW: &str = "\r\u{1b}[K";

/// What a program drew on the terminal that its standard error was.
pub(crate) struct Drawn {
    pub(crate) status: ExitStatus,
    text: String,
}

impl Drawn {
    /// Runs a program to its end.
    pub(crate) fn by(mut command: Command) -> Self {
        let terminal = openpty(None, None).unwrap();
        let mut master = File::from(terminal.master);
        let reading = thread::spawn(move || {
            let mut all = Vec::new();
            // It ends with an error once nobody has the other side open.
            let _end = master.read_to_end(&mut all);
            String::from_utf8(all).unwrap()
        });
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(terminal.slave);
        let status = command.status().unwrap();
        drop(command);
        Self { status, text: reading.join().unwrap() }
    }

    /// The percentages that one of its bars showed.
    pub(crate) fn percentages(&self, bar: &str) -> Vec<u32> {
        let shown =
            self.text.split(DRAWN_ANEW).filter_map(|drawn| drawn.strip_prefix(bar)?.strip_prefix(": "));
        shown.filter_map(|drawn| drawn.split_once(" %")?.0.trim().parse().ok()).collect()
    }

    /// Whether no bar is left.
    pub(crate) fn is_tidy(&self) -> bool {
        self.text.rsplit_once(DRAWN_ANEW).is_some_and(|(_, last)| !last.contains(" % "))
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}
