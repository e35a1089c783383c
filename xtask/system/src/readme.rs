// SPDX-License-Identifier: AGPL-3.0-or-later
//! The commands that README tells people to type on two machines, so that text and test cannot part.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The section whose blocks without a language are commands: the first for both machines, the second for the one that is to
/// be reached, the third for the one that dials.
const SECTION: &str = "## Two real machines";

/// What to type, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commands {
    /// On each of the two.
    pub on_both: Vec<String>,
    /// On the machine that is to be reached.
    pub on_reached: Vec<String>,
    /// On the machine that dials.
    pub on_dialling: Vec<String>,
}

impl Commands {
    /// Those that README has.
    ///
    /// # Errors
    /// Where its section is gone or has not three blocks.
    pub fn of_readme() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Self::of(&text)
    }

    fn of(text: &str) -> Result<Self> {
        let mut blocks = blocks(text).into_iter();
        match (blocks.next(), blocks.next(), blocks.next(), blocks.next()) {
            (Some(on_both), Some(on_reached), Some(on_dialling), None) => {
                Ok(Self { on_both, on_reached, on_dialling })
            }
            _ => bail!("README.md does not have three blocks of commands in `{SECTION}`"),
        }
    }

    /// How many there are to type for both machines together.
    pub fn count(&self) -> usize {
        2 * self.on_both.len() + self.on_reached.len() + self.on_dialling.len()
    }
}

/// The blocks of the section that have no language, line by line.
fn blocks(text: &str) -> Vec<Vec<String>> {
    let section = text.lines().skip_while(|line| *line != SECTION).skip(1);
    let mut blocks = Vec::new();
    let mut open = None;
    for line in section.take_while(|line| !line.starts_with("## ")) {
        match (open.take(), line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.is_empty(), Vec::new())),
            (Some((true, block)), Some(_)) => blocks.push(block),
            (Some((commands, mut block)), None) => {
                block.push(line.to_owned());
                open = Some((commands, block));
            }
            (Some((false, _)), Some(_)) | (None, None) => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_blocks_of_commands_of_the_section_only() {
        let text = "```\nbefore\n```\n## Two real machines\nOn both:\n\n```\none\ntwo # why\n```\n\
                    ```\nthree\n```\n```toml\nno = 1\n```\n```\nfour\n```\n## More\n```\nafter\n```\n";
        let commands = Commands::of(text).unwrap();
        assert_eq!(commands.on_both, ["one", "two # why"]);
        assert_eq!(
            (&commands.on_reached[..], &commands.on_dialling[..]),
            (&["three".to_owned()][..], &["four".to_owned()][..])
        );
        assert_eq!(commands.count(), 6);
        assert!(Commands::of("## Two real machines\n```\none\n```\n").is_err());
    }
}
