// SPDX-License-Identifier: AGPL-3.0-or-later
//! The examples of `--help`: the same text that tests run.

use crate::Exit;

/// Something that users type, and what that does. ADDRESS, ADDRESS2 and NAMESPACE stand for what they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// What they type.
    pub line: &'static str,
    /// What that does, in some words.
    pub does: &'static str,
    /// What they see. YOURS stands for their address, ~ for their home, … for what differs each time.
    pub shows: &'static str,
}

impl Example {
    /// Whether what was shown is what it says.
    pub fn is_shown_by(&self, text: &str) -> bool {
        is_like(self.shows, text)
    }
}

/// Whether a text is as it should be, where … stands for anything on a line.
pub fn is_like(pattern: &str, text: &str) -> bool {
    let (patterns, lines) = (pattern.lines(), text.lines());
    patterns.clone().count() == lines.clone().count() && patterns.zip(lines).all(|(a, b)| is_like_line(a, b))
}

fn is_like_line(pattern: &str, line: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('…') else { return pattern == line };
    let Some(line) = line.strip_prefix(first) else { return false };
    line.char_indices().map(|(at, _)| at).chain([line.len()]).any(|at| is_like_line(rest, &line[at..]))
}

const fn example(line: &'static str, does: &'static str, shows: &'static str) -> Example {
    Example { line, does, shows }
}

const DELIVERED: &str = "ADDRESS: delivered";
const CREATED: &str = "\
YOURS
kept in ~/.config/irdest/identity: who has that file is you, and without it the address is lost";

/// Of `ratcat`.
pub const RATCAT: &[Example] = &[
    example("ratctl address create", "once: who you are", CREATED),
    example("ratcat id", "your address, to give to others", "YOURS"),
    example("ratcat send -a ADDRESS film.mkv", "send a file", DELIVERED),
    example(
        "ratcat recv -d .",
        "receive it on the other side",
        "from ADDRESS: 6 bytes as hello.txt, sent … UTC, in ./hello.txt",
    ),
    example("echo hello | ratcat send -a ADDRESS", "send what a pipe has", DELIVERED),
    example(
        "ratcat recv",
        "receive one to standard output",
        "hello\nfrom ADDRESS: 6 bytes as hello.txt, sent … UTC",
    ),
];

/// Of `ratcat send`.
pub const RATCAT_SEND: &[Example] = &[
    example("ratcat send -a ADDRESS film.mkv", "wait until it is delivered, or stored on the way", DELIVERED),
    example("ratcat send -a ADDRESS --resume film.mkv", "go on where it broke off", DELIVERED),
    example(
        "ratcat send -a ADDRESS,ADDRESS2 news.txt",
        "the same to two",
        "ADDRESS: delivered\nADDRESS2: delivered",
    ),
    example("ratcat send -a ann news.txt", "to a contact of the operator's", DELIVERED),
    example(
        "ratcat send -s NAMESPACE news.txt",
        "to everybody in a namespace",
        "namespace:NAMESPACE: published to whoever is in it",
    ),
    example(
        "echo hello | ratcat send -a ADDRESS --wait delivered --timeout 10s",
        "or exit code 5",
        DELIVERED,
    ),
    example("echo hello | ratcat send -a ADDRESS --wait accepted -q", "leave the rest to the router", ""),
];

/// Of `ratcat recv`.
pub const RATCAT_RECV: &[Example] = &[
    example(
        "ratcat recv",
        "the oldest that is here, or the next, to standard output",
        "hello\nfrom ADDRESS: 6 bytes as hello.txt, sent … UTC",
    ),
    example(
        "ratcat recv -O copy.mkv",
        "to a file",
        "from ADDRESS: 6 bytes as hello.txt, sent … UTC, in copy.mkv",
    ),
    example(
        "ratcat recv -c 2 -d inbox",
        "two, each to a file; with -c 0 all that come, for ever",
        "from ADDRESS: 6 bytes as hello.txt, sent … UTC, in inbox/hello.txt\n\
         from ADDRESS: 6 bytes as hello.txt, sent … UTC, in inbox/hello (1).txt",
    ),
    example(
        "ratcat recv ADDRESS --json -d inbox",
        "of one sender, and tell it to a program",
        "{\"from\":\"ADDRESS\",\"to\":\"YOURS\",\"stream\":\"…\",\"size\":6,\"created\":\"…\",\"name\":\"hello.txt\",\"file\":\"inbox/hello.txt\"}",
    ),
    example("ratcat recv -q --no-wait", "exit code 5 if none is here", "hello"),
    example(
        "ratcat recv -s NAMESPACE --timeout 1m",
        "of a namespace, or exit code 5",
        "hello\nfrom ADDRESS: 6 bytes as hello.txt, sent … UTC",
    ),
    example("ratcat recv -q --space-key team.key", "of the namespace whose key somebody gave you", "hello"),
];

/// Of `ratctl`.
pub const RATCTL: &[Example] = &[
    example("ratctl address create", "once: who you are, kept in ~/.config/irdest/identity", CREATED),
    example(
        "ratctl status system",
        "is it there, and what does it know",
        "known peers: 1, local addrs: 2, active auths: 3, collector workers: 4",
    ),
    example(
        "ratctl link list",
        "its links, and what is measured of them",
        "link  state  to … neighbour … up for\n\
         1     live   192.0.2.1:5860  … 1.500 ms    ≥ 800 kbit/s  0.12 %  1300 B  1m 1s",
    ),
    example(
        "ratctl route show ADDRESS",
        "the way to an address, and why that one",
        "address    ADDRESS\nhops       2\nlink       1\nlive       yes\nmtu        1300\nneighbour  …\n\
         overlay    fd00::1\nping us    1500\nreason     the only route\nstate      live",
    ),
    example(
        "ratctl stream list --json",
        "streams from and to you that are not over",
        "[{…\"stage\":\"sending\"…}]",
    ),
    example("ratctl space create --file our.key", "a namespace: who has the file is a member", "…"),
    example("ratctl filter add deny --from strangers", "take streams of contacts alone", "3"),
    example("ratctl contact add ann ADDRESS", "a name for an address (operators)", "ok"),
    example(
        "ratctl peers list --json",
        "every command answers programs as well",
        "[{\"active\":true,\"address\":\"ADDRESS\",\"first\":\"…\",\"last\":\"…\"}]",
    ),
];

/// Of `ratctl address`.
pub const RATCTL_ADDRESS: &[Example] = &[
    example("ratctl address create", "make one, write it to your identity file, and bring it up", CREATED),
    example("ratctl address create -q -i work.id", "another one: use it with -i work.id", "YOURS"),
    example(
        "ratctl address create --print",
        "show it with its token, and write nothing",
        "addr=YOURS\nauth=…",
    ),
    example(
        "ratctl address show",
        "all of this router, and which are up",
        "address … state\nYOURS  up     yours, in ~/.config/irdest/identity\nADDRESS2  down",
    ),
    example("ratctl address destroy --force", "forget it for good, and the identity file", "ok"),
];

/// Of `ratctl space`.
pub const RATCTL_SPACE: &[Example] = &[
    example("ratctl space create --file our.key", "make a namespace, and enter it", "…"),
    example("ratctl space up --file team.key", "enter one whose key somebody gave you", "ok"),
    example("ratctl space anycast NAMESPACE -t 2s", "who of it is there", "address … after\nADDRESS  12 ms"),
    example("ratctl space list", "those whose keys the router knows", "namespace … you\nNAMESPACE  in it"),
];

/// Of `ratctl stream`.
pub const RATCTL_STREAM: &[Example] = &[
    example(
        "ratctl stream list",
        "those that are not over, and how far each is",
        "stream … until\n3fa13fa13fa13fa1  sending  to  ADDRESS  20 kB  50 %     2023-11-14 22:13:20 UTC",
    ),
    example(
        "ratctl stream status 3fa1",
        "what becomes of one; so many digits as make it clear",
        "arrived bytes  5\nfrom           YOURS\nin all bytes   10\nnews           stored\nsize           20000\n\
         stage          sending\nstream         …\nto             ADDRESS\nuntil          2023-11-14T22:13:20.000000000+00:00",
    ),
    example("ratctl stream cancel 3fa1", "give up, or deny, one", "ok"),
    example("ratctl stream subs", "your subscriptions: what comes for them is kept", "…"),
];

/// Of `ratctl filter`.
pub const RATCTL_FILTER: &[Example] = &[
    example("ratctl filter add accept --from ADDRESS", "take everything of this sender", "3"),
    example("ratctl filter add deny --at-least 100000000", "and of others nothing above 100 MB", "3"),
    example(
        "ratctl filter list",
        "in their order: the first that fits decides",
        "filter  action  from     at least\n2       deny    anybody  100 MB",
    ),
    example("ratctl filter remove 2", "take one away", "ok"),
];

/// Of `irdest-ping`.
pub const PING: &[Example] = &[
    example(
        "irdest-ping ADDRESS",
        "until Ctrl-C, a probe each second",
        "PING ADDRESS: 64 bytes each, from YOURS (a temporary address)\n\
         64 bytes from ADDRESS: seq=1 hops=2 time=… ms\n\n\
         --- ADDRESS ping statistics ---\n1 transmitted, 1 received, 0% loss, time … ms\nrtt min/avg/max/mdev = … ms",
    ),
    example(
        "irdest-ping -c 3 ADDRESS",
        "three, and then how it went",
        "PING ADDRESS: 64 bytes each, from YOURS (a temporary address)\n\
         64 bytes from ADDRESS: seq=1 hops=2 time=… ms\n64 bytes from ADDRESS: seq=2 hops=2 time=… ms\n\
         64 bytes from ADDRESS: seq=3 hops=2 time=… ms\n\n\
         --- ADDRESS ping statistics ---\n3 transmitted, 3 received, 0% loss, time … ms\nrtt min/avg/max/mdev = … ms",
    ),
    example(
        "irdest-ping -c 20 -i 0.1 -q ADDRESS",
        "twenty, ten in a second, only how it went",
        "PING ADDRESS: 64 bytes each, from YOURS (a temporary address)\n\n\
         --- ADDRESS ping statistics ---\n20 transmitted, 20 received, 0% loss, time … ms\nrtt min/avg/max/mdev = … ms",
    ),
    example(
        "irdest-ping -c 2 -W 2 ann",
        "a contact of the operator's, who has two seconds to answer",
        "PING ann: 64 bytes each, from YOURS (a temporary address)\n\
         64 bytes from ann: seq=1 hops=2 time=… ms\n64 bytes from ann: seq=2 hops=2 time=… ms\n\n\
         --- ann ping statistics ---\n2 transmitted, 2 received, 0% loss, time … ms\nrtt min/avg/max/mdev = … ms",
    ),
    example(
        "irdest-ping -c 2 -s 10000 ADDRESS",
        "10 kB each",
        "PING ADDRESS: 10000 bytes each, from YOURS (a temporary address)\n\
         10000 bytes from ADDRESS: seq=1 hops=2 time=… ms\n10000 bytes from ADDRESS: seq=2 hops=2 time=… ms\n\n\
         --- ADDRESS ping statistics ---\n2 transmitted, 2 received, 0% loss, time … ms\nrtt min/avg/max/mdev = … ms",
    ),
    example(
        "irdest-ping -c 2 --json ADDRESS",
        "for programs: a JSON object in each line, the last one the summary",
        "{…\"event\":\"begin\"…}\n{…\"event\":\"reply\"…\"seq\":1…}\n{…\"event\":\"reply\"…\"seq\":2…}\n\
         {…\"event\":\"summary\"…\"received\":2…}",
    ),
];

const ECHOED: &str = "\
irdest-echo: made a new address, kept in ~/.config/irdest/echo
YOURS
irdest-echo: answers there until Ctrl-C; see --help for how to ask it
irdest-echo: 0 streams echoed (0 bytes); passed over: 0 too long, 0 too many, 0 echoes, 0 failed";

/// Of `irdest-echo`.
pub const ECHO: &[Example] = &[
    example("irdest-echo", "until Ctrl-C; the first line is the address, which stays the same", ECHOED),
    example(
        "irdest-echo --rate 2 --max-size 10000",
        "for the public: two streams a second of each sender, of 10 kB",
        ECHOED,
    ),
    example(
        "irdest-echo --identity other.id",
        "under another address, which is made if there is none",
        "irdest-echo: made a new address, kept in other.id\nYOURS\n\
         irdest-echo: answers there until Ctrl-C; see --help for how to ask it\n\
         irdest-echo: 0 streams echoed (0 bytes); passed over: 0 too long, 0 too many, 0 echoes, 0 failed",
    ),
    example(
        "irdest-echo --json",
        "for programs: the address, and in the end the figures, as JSON objects",
        "irdest-echo: made a new address, kept in ~/.config/irdest/echo\n{\"address\":\"YOURS\",\"event\":\"up\"}\n\
         irdest-echo: answers there until Ctrl-C; see --help for how to ask it\n\
         {\"event\":\"figures\",\"figures\":{\"bytes\":0,\"echoed\":0,\"echoes\":0,\"failed\":0,\"too_long\":0,\"too_many\":0}}",
    ),
];

/// All of `ratcat` and `ratctl`, by what they are shown with.
pub const ALL: &[&[Example]] =
    &[RATCAT, RATCAT_SEND, RATCAT_RECV, RATCTL, RATCTL_ADDRESS, RATCTL_SPACE, RATCTL_STREAM, RATCTL_FILTER];

/// Examples and exit codes, as they stand under `--help`.
pub fn help(examples: &[Example]) -> String {
    format!("{}\n{}", listed(examples), Exit::HELP)
}

/// Examples, as they stand under `--help`.
pub fn listed(examples: &[Example]) -> String {
    let widest = examples.iter().map(|example| example.line.len()).filter(|length| *length < 60).max();
    let width = widest.unwrap_or_default();
    let mut text = "Examples:\n".to_owned();
    for Example { line, does, .. } in examples {
        text.push_str(&format!("  {line:width$}  {does}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_is_like_an_ellipsis() {
        assert!(is_like("a…c\nd", "abbc\nd") && is_like("a…c…", "ac"));
        assert!(!is_like("a…c", "ab") && !is_like("a", "a\nb") && !is_like("a", "b"));
    }
}
