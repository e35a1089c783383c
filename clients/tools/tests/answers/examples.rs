// SPDX-License-Identifier: AGPL-3.0-or-later
//! The examples that the help of irdest-ping and irdest-echo has, typed.

use std::io::{PipeReader, Read, pipe};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;

use irdest_tools::examples::{ECHO, Example, PING};
use irdest_tools::{echo, ping};
use ratman_wire::api::News;

use crate::press_ctrl_c;
use crate::router::{OURS, Router, THEIRS};

/// Somebody who has typed a line.
struct Typed {
    child: Child,
    output: PipeReader,
    shown: Vec<u8>,
    home: tempfile::TempDir,
}

impl Typed {
    fn begin(line: &str, router: &Router) -> Self {
        let line = line.replace("ADDRESS", &THEIRS.to_string());
        let mut words = line.split(' ');
        let program = Path::new(env!("CARGO_BIN_EXE_irdest-ping")).with_file_name(words.next().unwrap());
        let home = tempfile::tempdir().unwrap();
        let (output, input) = pipe().unwrap();
        let child = Command::new(program)
            .args(words)
            .env_clear()
            .envs([("HOME", home.path().to_str().unwrap()), ("IRDEST_SOCKET", &router.address.to_string())])
            .current_dir(home.path())
            .stdout(input.try_clone().unwrap())
            .stderr(input)
            .spawn()
            .unwrap();
        Self { child, output, shown: Vec::new(), home }
    }

    /// Reads until something was shown.
    fn shows(&mut self, what: &str) {
        while !String::from_utf8_lossy(&self.shown).contains(what) {
            let mut byte = [0];
            let read = self.output.read(&mut byte).unwrap();
            assert!(read > 0, "{what}: {}", String::from_utf8_lossy(&self.shown));
            self.shown.push(byte[0]);
        }
    }

    fn end(mut self) -> (Option<i32>, String) {
        self.output.read_to_end(&mut self.shown).unwrap();
        let code = self.child.wait().unwrap().code();
        let shown = String::from_utf8(self.shown).unwrap();
        let names = [
            (self.home.path().display().to_string(), "~"),
            (OURS.to_string(), "YOURS"),
            (THEIRS.to_string(), "ADDRESS"),
        ];
        (code, names.into_iter().fold(shown, |shown, (value, name)| shown.replace(&value, name)))
    }
}

/// Types all of them at the same time, each with a router of its own; those without an end are ended by Ctrl-C when they have shown this.
fn type_all(examples: &'static [Example], until: fn(&str) -> Option<&'static str>) {
    let typed = examples.iter().map(|example| {
        thread::spawn(move || {
            let router = Router::new(|_, content| vec![content], News::Delivered);
            let mut typed = Typed::begin(example.line, &router);
            if let Some(last) = until(example.line) {
                typed.shows(last);
                press_ctrl_c(&typed.child);
            }
            let (code, shown) = typed.end();
            assert_eq!(code, Some(0), "{}: {shown}", example.line);
            let expected = example.shows;
            assert!(
                example.is_shown_by(&shown),
                "{}\n--- expected\n{expected}\n--- shown\n{shown}",
                example.line
            );
        })
    });
    for example in typed.collect::<Vec<_>>() {
        example.join().unwrap();
    }
}

#[test]
fn every_example_of_ping_does_what_help_says() {
    type_all(PING, |line| (!line.contains("-c ")).then_some("seq=1 hops=2 time"));
}

#[test]
fn every_example_of_echo_does_what_help_says() {
    type_all(ECHO, |line| Some(if line.contains("--json") { "}\n" } else { "\n" }));
}

#[test]
fn help_shows_them() {
    for (mut command, examples) in [(ping::command(), PING), (echo::command(), ECHO)] {
        let help = command.render_long_help().to_string();
        // Where lines are broken is the width of a terminal.
        let unbroken = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for Example { line, does, .. } in examples {
            assert!(unbroken.contains(&format!("{line} {does}")), "{line}: {help}");
        }
    }
}
