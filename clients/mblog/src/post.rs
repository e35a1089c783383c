// SPDX-License-Identifier: AGPL-3.0-or-later
//! A post, and its bytes (`decisions/posts.md`).

use serde::{Deserialize, Serialize};

use crate::Topic;

/// The version of the bytes.
const VERSION: u32 = 1;

/// A post, as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Post {
    topic: Topic,
    nick: String,
    text: String,
}

/// Why something is no post.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPost {
    /// The name is too long, or has something that is no letter in a line.
    #[error(
        "a nick has at most {} bytes, and neither line feeds nor other control characters",
        Post::MAX_NICK
    )]
    Nick,
    /// The text is empty, too long, or has control characters.
    #[error(
        "a text has 1 to {} bytes, and no control characters but line feed and tabulator",
        Post::MAX_TEXT
    )]
    Text,
    /// It is of a later version.
    #[error("a post of version {0}, of which this program does not know how to read it")]
    Version(u32),
    /// The bytes are something else.
    #[error("no post: {0}")]
    Bytes(String),
}

/// What the bytes say; what a later program adds is passed over.
#[derive(Serialize, Deserialize)]
struct Written {
    v: u32,
    topic: Topic,
    #[serde(default)]
    nick: String,
    text: String,
}

/// Only the version, so that a later one may change the rest.
#[derive(Deserialize)]
struct Version {
    v: u32,
}

impl Post {
    /// The most bytes of a nick.
    pub const MAX_NICK: usize = 64;

    /// The most bytes of a text: some pages.
    pub const MAX_TEXT: usize = 16 * 1024;

    /// The most bytes of a post: a text of nothing but characters that JSON writes with six bytes, and the rest.
    pub const MAX_BYTES: usize = 6 * Self::MAX_TEXT + 4096;

    /// A post under a topic. The nick may be empty. White space at the end of the text is dropped, also what stands before a line feed.
    ///
    /// # Errors
    /// [`NotAPost::Nick`], [`NotAPost::Text`].
    pub fn new(topic: Topic, nick: &str, text: &str) -> Result<Self, NotAPost> {
        let nick = nick.trim();
        if nick.len() > Self::MAX_NICK || nick.chars().any(char::is_control) {
            return Err(NotAPost::Nick);
        }
        let text = text.trim_end();
        let is_letter = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
        if !(1..=Self::MAX_TEXT).contains(&text.len()) || !text.chars().all(is_letter) {
            return Err(NotAPost::Text);
        }
        Ok(Self { topic, nick: nick.to_owned(), text: text.to_owned() })
    }

    /// Under what it is.
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// What its author calls themselves; maybe nothing.
    pub fn nick(&self) -> &str {
        &self.nick
    }

    /// What it says; lines are parted by line feeds.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its bytes: the content of a stream.
    pub fn encode(&self) -> Vec<u8> {
        let Self { topic, nick, text } = self.clone();
        serde_json::to_vec(&Written { v: VERSION, topic, nick, text })
            .expect("invariant: only texts and a number")
    }

    /// From its bytes.
    ///
    /// # Errors
    /// [`NotAPost`].
    pub fn decode(bytes: &[u8]) -> Result<Self, NotAPost> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(NotAPost::Bytes(format!("longer than {} bytes", Self::MAX_BYTES)));
        }
        let wrong = |error: serde_json::Error| NotAPost::Bytes(error.to_string());
        let Version { v } = serde_json::from_slice(bytes).map_err(wrong)?;
        if v != VERSION {
            return Err(NotAPost::Version(v));
        }
        let Written { topic, nick, text, .. } = serde_json::from_slice(bytes).map_err(wrong)?;
        Self::new(topic, &nick, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topic() -> Topic {
        "/a/b/c".parse().unwrap()
    }

    #[test]
    fn the_bytes_stay_as_they_are() {
        let post = Post::new(topic(), "ann", "hello\nworld").unwrap();
        let bytes = br#"{"v":1,"topic":"/a/b/c","nick":"ann","text":"hello\nworld"}"#;
        assert_eq!(String::from_utf8(post.encode()).unwrap(), std::str::from_utf8(bytes).unwrap());
        assert_eq!(Post::decode(bytes), Ok(post));
    }

    #[test]
    fn later_programs_may_add_something_and_change_the_version() {
        let more = br#"{"v":1,"topic":"/a/b/c","text":"x","answers":"something"}"#;
        assert_eq!(Post::decode(more), Post::new(topic(), "", "x"));
        assert_eq!(Post::decode(br#"{"v":2,"body":[1]}"#), Err(NotAPost::Version(2)));
    }

    #[test]
    fn limits_hold_on_both_ways() {
        assert_eq!(Post::new(topic(), &"n".repeat(65), "x"), Err(NotAPost::Nick));
        assert_eq!(Post::new(topic(), "a\x1bb", "x"), Err(NotAPost::Nick));
        for text in ["", " \n ", "\x1b[2J", &"x".repeat(Post::MAX_TEXT + 1)] {
            assert_eq!(Post::new(topic(), "", text), Err(NotAPost::Text), "{text:?}");
        }
        let worst = Post::new(topic(), &"\"".repeat(64), &"\t\"".repeat(Post::MAX_TEXT / 2)).unwrap();
        assert!(worst.encode().len() <= Post::MAX_BYTES);
        assert_eq!(Post::decode(&worst.encode()).map(|post| post.text().len()), Ok(Post::MAX_TEXT));
        assert_eq!(Post::decode(br#"{"v":1,"topic":"/a/b/c","text":"\u001b[2J"}"#), Err(NotAPost::Text));
        for bytes in [&b""[..], b"{}", b"[1]", b"{\"v\":1}", b"\xff", br#"{"v":1,"topic":"/a","text":"x"}"#] {
            assert!(matches!(Post::decode(bytes), Err(NotAPost::Bytes(_))), "{bytes:?}");
        }
        assert!(
            matches!(Post::decode(&vec![b'['; Post::MAX_BYTES]), Err(NotAPost::Bytes(_))),
            "no deep recursion"
        );
    }

    proptest! {
        #[test]
        fn what_can_be_made_comes_back(nick in "\\PC{0,16}", text in "[\\PC\n]{1,200}") {
            if let Ok(post) = Post::new(topic(), &nick, &text) {
                prop_assert_eq!(Post::decode(&post.encode()), Ok(post));
            }
        }

        #[test]
        fn bytes_cannot_hurt(bytes: Vec<u8>) {
            let _ = Post::decode(&bytes);
        }
    }
}
