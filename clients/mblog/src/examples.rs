// SPDX-License-Identifier: AGPL-3.0-or-later
//! The examples of `irdest-mblog --help`: the same text that tests run.

use irdest_tools::examples::Example;

const POSTED: &str = "posted under /net/irdest/hello";
const READ: &str = "\
1970-01-01 00:00Z  /net/irdest/hello  bob (2222-2222)
    Good morning

…Z  /net/irdest/hello  1111-1111
    Hello!

…Z  /net/irdest/hello  ann (1111-1111)
    One line,
    and another.";

// Behind what comes there is always an empty line.
const FOLLOWED: &str = "\
1970-01-01 00:00Z  /net/irdest/hello  bob (2222-2222)
    Good morning

…Z  /net/irdest/hello  1111-1111
    Hello!

…Z  /net/irdest/hello  ann (1111-1111)
    One line,
    and another.

";

/// All of them, as somebody types them one after the other, to whom one post has come.
pub const ALL: &[Example] = &[
    Example { line: "irdest-mblog post -t /net/irdest/hello Hello!", does: "a post", shows: POSTED },
    Example {
        line: "irdest-mblog post -t /net/irdest/hello -n ann - < text.txt",
        does: "a longer one, under a name",
        shows: POSTED,
    },
    Example { line: "irdest-mblog read", does: "what has come, the newest last", shows: READ },
    Example {
        line: "irdest-mblog read /net/irdest --follow",
        does: "a part of it, and what comes, until Ctrl-C",
        shows: FOLLOWED,
    },
    Example {
        line: "irdest-mblog read -c 0 --json",
        does: "all of it, for programs",
        shows: "[…Good morning…Hello!…One line,…]",
    },
    Example {
        line: "irdest-mblog topics",
        does: "under what there is something",
        shows: "topic              posts  newest\n/net/irdest/hello  3      …Z",
    },
];
