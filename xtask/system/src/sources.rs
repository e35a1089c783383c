// SPDX-License-Identifier: AGPL-3.0-or-later
//! The package sources that this machine is set up with, as far as they serve the suite of the trees.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Debian 12.
pub(crate) const SUITE: &str = "bookworm";

/// Entries of sources.list(5), word for word, so that keys and options are those of the machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// In the form of one line each.
    lines: String,
    /// In the form of paragraphs.
    paragraphs: String,
}

impl Sources {
    /// What apt(8) would read here and serves the suite.
    ///
    /// # Errors
    /// Where nothing does.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let mut sources = Self::default();
        let folder = Path::new("/etc/apt/sources.list.d");
        let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
        files.extend(fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()));
        files.retain(|file| file.extension().is_some_and(|kind| kind == "list" || kind == "sources"));
        files.sort();
        for file in files.iter().filter(|file| file.is_file()) {
            let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            sources.add(&text, file.extension().is_some_and(|extension| extension == "sources"));
        }
        ensure!(
            sources != Self::default(),
            "none of the package sources of this machine, /etc/apt/sources.list and beside it, has Debian's {SUITE}"
        );
        Ok(sources)
    }

    fn add(&mut self, text: &str, in_paragraphs: bool) {
        if in_paragraphs {
            for paragraph in text.split("\n\n").filter(|paragraph| paragraph_serves(paragraph)) {
                self.paragraphs += &format!("{}\n\n", paragraph.trim());
            }
        } else {
            for line in text.lines().filter(|line| line_serves(line)) {
                self.lines += &format!("{line}\n");
            }
        }
    }

    /// Writes them into a folder, and returns the files.
    pub(crate) fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for (name, text) in [("machine.list", &self.lines), ("machine.sources", &self.paragraphs)] {
            if !text.is_empty() {
                let file = folder.join(name);
                fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
                files.push(file);
            }
        }
        Ok(files)
    }
}

/// `bookworm` and what comes with it, such as `bookworm-updates`; not somebody's suite that only sounds like it.
fn is_of_suite(word: &str) -> bool {
    word.strip_prefix(SUITE).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn line_serves(line: &str) -> bool {
    let without_options = match (line.find('['), line.find(']')) {
        (Some(begin), Some(end)) if begin < end => format!("{} {}", &line[..begin], &line[end + 1..]),
        _ => line.to_owned(),
    };
    let mut words = without_options.split_whitespace();
    words.next() == Some("deb") && words.nth(1).is_some_and(is_of_suite) && words.any(|word| word == "main")
}

fn paragraph_serves(paragraph: &str) -> bool {
    let field = |name: &str| {
        let mut fields = paragraph.lines().filter_map(|line| line.split_once(':'));
        let value = fields.find(|(key, _)| key.eq_ignore_ascii_case(name))?.1;
        Some(value.split_whitespace().collect::<Vec<_>>())
    };
    let has = |name: &str, word: &str| field(name).is_some_and(|words| words.contains(&word));
    has("Types", "deb")
        && has("Components", "main")
        && field("Suites").is_some_and(|suites| suites.iter().all(|suite| is_of_suite(suite)))
        && !has("Enabled", "no")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_serves_the_suite_and_leaves_the_rest() {
        for good in [
            "deb http://mirror.example/debian bookworm main",
            "deb [arch=amd64 signed-by=/etc/keys/x.gpg] http://mirror.example/debian bookworm-updates main contrib",
        ] {
            assert!(line_serves(good), "{good}");
        }
        for bad in [
            "# deb http://mirror.example/debian bookworm main",
            "deb-src http://mirror.example/debian bookworm main",
            "deb http://mirror.example/debian trixie main",
            "deb http://tools.example/apt tools-bookworm main",
            "deb http://tools.example/apt bookwormish main",
            "deb http://mirror.example/debian bookworm contrib",
            "deb",
            "",
        ] {
            assert!(!line_serves(bad), "{bad}");
        }
    }

    #[test]
    fn reads_paragraphs() {
        let debian = "# by hand\nTypes: deb deb-src\nURIs: http://mirror.example/debian\n\
                      Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/x.gpg";
        assert!(paragraph_serves(debian));
        assert!(!paragraph_serves(&format!("{debian}\nEnabled: no")));
        assert!(!paragraph_serves(&debian.replace("bookworm-updates", "trixie")));
        assert!(!paragraph_serves(&debian.replace("deb deb-src", "deb-src")));
        assert!(!paragraph_serves(""));

        let mut sources = Sources::default();
        sources.add(&format!("{debian}\n\nTypes: deb\nSuites: other\nComponents: main\n"), true);
        assert_eq!(sources.paragraphs, format!("{debian}\n\n"));
    }

    #[test]
    fn entries_are_kept_word_for_word() {
        let mut sources = Sources::default();
        let line = "deb [trusted=yes] file:/srv/mirror bookworm main";
        sources.add(&format!("{line}\ndeb http://x.example trixie main\n"), false);
        assert_eq!(sources.lines, format!("{line}\n"));
    }
}
