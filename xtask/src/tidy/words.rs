// SPDX-License-Identifier: AGPL-3.0-or-later
//! Public names use the words of ARCHITECTURE.md, one word for each thing.

use super::code::{code, words};
use super::{Finding, Source};

/// Words that stand for something that has another name here. Words with a second, proper meaning in Rust or
/// in networks (channel, connection, cost, host, server) are left to the reader.
const NOT_OURS: [(&str, &str); 6] = [
    ("advert", "announcement"),
    ("beacon", "announcement"),
    ("bundle", "stream"),
    ("endpoint", "link or hop"),
    ("pubkey", "address"),
    ("weight", "score"),
];

/// What introduces a public name.
const ITEMS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod"];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.lines() {
        let line = code(line);
        let Some(name) = public_name(&line) else { continue };
        for (word, ours) in NOT_OURS {
            if parts(name).any(|part| part == word) {
                findings.push(Finding::at(
                    source,
                    number,
                    format!("`{name}`: the word for `{word}` here is {ours}"),
                ));
            }
        }
    }
    findings
}

/// The name that a line of code makes public: of an item or of a field.
fn public_name(code: &str) -> Option<&str> {
    let code = code.trim_start().strip_prefix("pub")?;
    let code = match code.strip_prefix('(') {
        Some(restricted) => restricted.split_once(')')?.1,
        None => code,
    };
    words(code).find(|word| !ITEMS.contains(word) && !["async", "unsafe", "extern", "use"].contains(word))
}

/// `HopAddress` and `hop_address` are both made of `hop` and `address`.
fn parts(name: &str) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    for character in name.chars() {
        if character == '_' || character.is_uppercase() {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| character != '_') {
            part.extend(character.to_lowercase());
        }
    }
    parts.into_iter().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn finds_the_names_of_public_things() {
        assert_eq!(public_name("    pub(crate) const fn hop_count(self)"), Some("hop_count"));
        assert_eq!(public_name("pub struct Hop {"), Some("Hop"));
        assert_eq!(public_name("    pub neighbour: Address,"), Some("neighbour"));
        assert_eq!(public_name("fn private() {}"), None);
    }

    #[test]
    fn takes_names_apart() {
        assert_eq!(parts("HopAddress").collect::<Vec<_>>(), ["hop", "address"]);
        assert_eq!(parts("hop_address").collect::<Vec<_>>(), ["hop", "address"]);
    }

    #[test]
    fn wants_our_words() {
        for bad in
            ["pub struct PubkeyTable;", "pub fn next_advert()", "pub endpoint: u8,", "pub type Beacon = u8;"]
        {
            assert_eq!(check(&source("a.rs", bad)).len(), 1, "{bad}");
        }
        for good in ["pub fn advertise()", "fn endpoint() {}", "/// pub endpoint", "pub struct Announcement;"]
        {
            assert_eq!(check(&source("a.rs", good)), [], "{good}");
        }
    }
}
