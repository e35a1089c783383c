// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a tool says: answers on standard output, notes on standard error.

use std::fmt;
use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::{Failure, Result};

/// In which form a tool answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people
    #[default]
    Lines,
    /// For programs: one JSON value
    Json,
}

/// Where a tool says what it has to say.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// In which form it answers.
    pub form: Form,
    /// Whether it keeps its notes to itself.
    pub quiet: bool,
}

impl Output {
    /// Answers, in the form that was asked for.
    ///
    /// # Errors
    /// [`Failure::output`].
    pub fn answer(self, lines: impl fmt::Display, json: &impl Serialize) -> Result<()> {
        match self.form {
            Form::Lines => print(lines),
            Form::Json => {
                let json = serde_json::to_string(json).map_err(|error| Failure::output(&error.into()))?;
                print(json)
            }
        }
    }

    /// Answers with lines that end with a line feed each; none where there are none.
    ///
    /// # Errors
    /// [`Failure::output`].
    pub fn answer_lines(self, lines: &str, json: &impl Serialize) -> Result<()> {
        match (self.form, lines) {
            (Form::Lines, "") => Ok(()),
            (Form::Lines | Form::Json, _) => self.answer(lines.trim_end_matches('\n'), json),
        }
    }

    /// Answers that something was done, in the words of deployed tools: `ok`, or `{"ok":true}`. Nothing if it is to be quiet.
    ///
    /// # Errors
    /// [`Failure::output`].
    pub fn done(self) -> Result<()> {
        if self.quiet { Ok(()) } else { self.answer("ok", &serde_json::json!({ "ok": true })) }
    }

    /// Says something beside the answer, to people, unless it is to be quiet.
    pub fn note(self, text: impl fmt::Display) {
        if !self.quiet {
            complain(text);
        }
    }
}

/// Writes a line to standard output, and sees that it is there.
///
/// # Errors
/// [`Failure::output`].
pub fn print(line: impl fmt::Display) -> Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).map_err(|error| Failure::output(&error))
}

/// Writes a line to standard error; if nobody reads it, so be it.
pub fn complain(line: impl fmt::Display) {
    let _closed = writeln!(io::stderr(), "{line}");
}

/// What a stranger wrote, without what a terminal would obey.
pub fn harmless(text: &str) -> String {
    let show = |character: char| match character.is_control() || is_turning(character) {
        true => character.escape_unicode().to_string(),
        false => character.to_string(),
    };
    text.chars().map(show).collect()
}

/// Whether it changes the direction in which a text is shown (source: Unicode, bidirectional formatting characters).
fn is_turning(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_commands_no_terminal() {
        assert_eq!(harmless("a\x1b[2Jß\n"), "a\\u{1b}[2Jß\\u{a}");
        assert_eq!(harmless("exe.\u{202e}gpj"), "exe.\\u{202e}gpj");
    }
}
