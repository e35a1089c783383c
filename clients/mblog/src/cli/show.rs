// SPDX-License-Identifier: AGPL-3.0-or-later
//! Posts as people read them.

use irdest_tools::output::harmless;
use ratman_client::types::{DateTime, WallTime};

use crate::KeptPost;

/// How much of an address is shown beside a nick: its first two groups.
const SHORT: usize = 9;

/// A line about a post, and its text, each line of it moved in.
pub(super) fn post(kept: &KeptPost) -> String {
    let address = kept.from.to_string();
    let (address, nick) = (&address[..SHORT], harmless(kept.post.nick()));
    let who = if nick.is_empty() { address.to_owned() } else { format!("{nick} ({address})") };
    let mut text = format!("{}  {}  {who}", time(kept.when()), kept.post.topic());
    for line in kept.post.text().split('\n') {
        // A tabulator is the only one of these that does nothing but move.
        let line: Vec<String> = line.split('\t').map(harmless).collect();
        text.push_str("\n    ");
        text.push_str(&line.join("\t"));
    }
    text
}

/// The minute, in UTC.
pub(super) fn time(time: WallTime) -> String {
    let time = DateTime::from(time).to_string();
    format!("{} {}Z", &time[..10], &time[11..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Post;
    use crate::kept_post::tests::sample;

    #[test]
    fn a_post_says_who_and_when_and_commands_no_terminal() {
        let text = "one\n\ttwo \u{202e}txet";
        let created = WallTime::from_micros(1_795_473_147_178_827);
        let post_of = |nick: &str| KeptPost {
            created,
            received: created,
            post: Post::new("/a/b/c".parse().unwrap(), nick, text).unwrap(),
            ..sample(1)
        };
        assert_eq!(
            post(&post_of("ann")),
            "2026-11-23 22:32Z  /a/b/c  ann (0101-0101)\n    one\n    \ttwo \\u{202e}txet"
        );
        assert!(post(&post_of("")).starts_with("2026-11-23 22:32Z  /a/b/c  0101-0101\n"));
    }
}
