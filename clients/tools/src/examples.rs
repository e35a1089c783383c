// SPDX-License-Identifier: AGPL-3.0-or-later
//! The examples of `--help`: the same text that tests run.

use crate::Exit;

/// Something that users type, and what that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// What they type.
    pub line: &'static str,
    /// What that does, in some words.
    pub does: &'static str,
}

const fn example(line: &'static str, does: &'static str) -> Example {
    Example { line, does }
}

/// Of `ratcat`.
pub const RATCAT: &[Example] = &[
    example("ratctl address create", "once: who you are"),
    example("ratcat id", "your address, to give to others"),
    example("ratcat send -a ADDRESS film.mkv", "send a file"),
    example("ratcat recv -d .", "receive it on the other side"),
    example("echo hello | ratcat send -a ADDRESS", "send what a pipe has"),
    example("ratcat recv", "receive one to standard output"),
];

/// Of `ratcat send`.
pub const RATCAT_SEND: &[Example] = &[
    example("ratcat send -a ADDRESS film.mkv", "wait until it is delivered, or stored on the way"),
    example("ratcat send -a ADDRESS --resume film.mkv", "go on where it broke off"),
    example("ratcat send -a ADDRESS,ADDRESS2 news.txt", "the same to two"),
    example("ratcat send -a ann news.txt", "to a contact of the operator's"),
    example("ratcat send -s NAMESPACE news.txt", "to everybody in a namespace"),
    example("echo hello | ratcat send -a ADDRESS --wait delivered --timeout 10s", "or exit code 5"),
    example("echo hello | ratcat send -a ADDRESS --wait accepted -q", "leave the rest to the router"),
];

/// Of `ratcat recv`.
pub const RATCAT_RECV: &[Example] = &[
    example("ratcat recv", "the oldest that is here, or the next, to standard output"),
    example("ratcat recv -O film.mkv", "to a file"),
    example("ratcat recv -c 0 -d inbox", "all that come, for ever, each to a file"),
    example("ratcat recv ADDRESS -c 3", "three of this sender"),
    example("ratcat recv --no-wait", "exit code 5 if none is here"),
    example("ratcat recv -s NAMESPACE --timeout 1m", "of a namespace, or exit code 5"),
];

/// Of `ratctl`.
pub const RATCTL: &[Example] = &[
    example("ratctl address create", "once: who you are, kept in ~/.config/irdest/identity"),
    example("ratctl status", "what the router is and how it does"),
    example("ratctl link list", "its links, and what is measured of them"),
    example("ratctl route show ADDRESS", "the way to an address, and why that one"),
    example("ratctl stream list", "streams from and to you that are not over"),
    example("ratctl space create --file team.key", "a namespace: who has the file is a member"),
    example("ratctl filter add deny --from strangers", "take streams of contacts alone"),
    example("ratctl contact add ann ADDRESS", "a name for an address (operators)"),
    example("ratctl peers list --json", "every command answers programs as well"),
];

/// Of `ratctl address`.
pub const RATCTL_ADDRESS: &[Example] = &[
    example("ratctl address create", "make one, write it to your identity file, and bring it up"),
    example("ratctl address create -i work.id", "another one: use it with -i work.id"),
    example("ratctl address create --print", "show it with its token, and write nothing"),
    example("ratctl address show", "all of this router, and which are up"),
    example("ratctl address destroy --force", "forget it for good, and the identity file"),
];

/// Of `ratctl space`.
pub const RATCTL_SPACE: &[Example] = &[
    example("ratctl space create --file team.key", "make a namespace, and enter it"),
    example("ratctl space up --file team.key", "enter one whose key somebody gave you"),
    example("ratctl space anycast NAMESPACE -t 2s", "who of it is there"),
    example("ratctl space list", "those whose keys the router knows"),
];

/// Of `ratctl stream`.
pub const RATCTL_STREAM: &[Example] = &[
    example("ratctl stream list", "those that are not over, and how far each is"),
    example("ratctl stream status 3fa1", "what becomes of one; so many digits as make it clear"),
    example("ratctl stream cancel 3fa1", "give up, or deny, one"),
    example("ratctl stream sub", "have the router keep what comes, and print the number of that"),
];

/// Of `ratctl filter`.
pub const RATCTL_FILTER: &[Example] = &[
    example("ratctl filter add accept --from ADDRESS", "take everything of this sender"),
    example("ratctl filter add deny --at-least 100000000", "and of others nothing above 100 MB"),
    example("ratctl filter list", "in their order: the first that fits decides"),
    example("ratctl filter remove 2", "take one away"),
];

/// Examples and exit codes, as they stand under `--help`.
pub fn help(examples: &[Example]) -> String {
    let widest = examples.iter().map(|example| example.line.len()).filter(|length| *length < 60).max();
    let width = widest.unwrap_or_default();
    let mut text = "Examples:\n".to_owned();
    for Example { line, does } in examples {
        text.push_str(&format!("  {line:width$}  {does}\n"));
    }
    text.push('\n');
    text.push_str(Exit::HELP);
    text
}
