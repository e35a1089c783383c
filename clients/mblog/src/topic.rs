// SPDX-License-Identifier: AGPL-3.0-or-later
//! Under what a post is: `/category/namespace/topic`, as deployed programs have it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many parts a topic has.
const PARTS: usize = 3;

/// The most bytes of a part.
const MAX_PART: usize = 64;

/// A topic: three parts of letters, digits, `-`, `_` and `.`, each of 1 to 64 bytes and not beginning with a point. Large and small
/// letters differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Topic(String);

/// Which topics are wanted: those that begin with these parts; all, with none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicFilter(String);

/// What a text should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected /category/namespace/topic of letters, digits, '-', '_' and '.', at most {MAX_PART} bytes each"
)]
pub struct NoTopic;

/// How many parts a text has, if all of them are some.
fn count(text: &str) -> Option<usize> {
    let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let is_part = |part: &str| {
        (1..=MAX_PART).contains(&part.len()) && !part.starts_with('.') && part.chars().all(is_letter)
    };
    let parts = text.strip_prefix('/')?.split('/').take(PARTS + 1);
    parts.map(is_part).try_fold(0, |count, is_part| is_part.then_some(count + 1))
}

impl Topic {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TopicFilter {
    /// Whether a topic is wanted.
    pub fn matches(&self, topic: &Topic) -> bool {
        let rest = topic.0.strip_prefix(&self.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for Topic {
    type Err = NoTopic;

    fn from_str(text: &str) -> Result<Self, NoTopic> {
        if count(text) == Some(PARTS) { Ok(Self(text.to_owned())) } else { Err(NoTopic) }
    }
}

impl FromStr for TopicFilter {
    type Err = NoTopic;

    fn from_str(text: &str) -> Result<Self, NoTopic> {
        // As people end names of folders.
        let text = text.strip_suffix('/').unwrap_or(text);
        let is_some = text.is_empty() || count(text).is_some_and(|count| count <= PARTS);
        if is_some { Ok(Self(text.to_owned())) } else { Err(NoTopic) }
    }
}

impl TryFrom<String> for Topic {
    type Error = NoTopic;

    fn try_from(text: String) -> Result<Self, NoTopic> {
        text.parse()
    }
}

impl From<Topic> for String {
    fn from(topic: Topic) -> Self {
        topic.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_has_three_parts() {
        let long = "x".repeat(MAX_PART);
        for text in ["/net/irdest/gateway", "/a/b/c", "/Straße/2.0/ä_b-c", &format!("/{long}/{long}/{long}")]
        {
            assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
        }
        let too_long = format!("/a/b/{long}x");
        for wrong in [
            "", "/", "a/b/c", "/a/b", "/a/b/c/d", "/a/b/c/", "/a//c", "/a/b/ c", "/a/../c", "/a/b/c\n",
            &too_long,
        ] {
            assert_eq!(wrong.parse::<Topic>(), Err(NoTopic), "{wrong:?}");
        }
    }

    #[test]
    fn a_filter_is_the_beginning_of_topics() {
        let topic: Topic = "/net/irdest/gateway".parse().unwrap();
        let matches = |filter: &str| filter.parse::<TopicFilter>().map(|filter| filter.matches(&topic));
        for yes in ["", "/", "/net", "/net/", "/net/irdest", "/net/irdest/gateway"] {
            assert_eq!(matches(yes), Ok(true), "{yes}");
        }
        for no in ["/ne", "/net/irdest/gate", "/net/other", "/Net"] {
            assert_eq!(matches(no), Ok(false), "{no}");
        }
        for wrong in ["net", "//", "/a/b/c/d", "/net/ "] {
            assert_eq!(matches(wrong), Err(NoTopic), "{wrong}");
        }
        assert!(TopicFilter::default().matches(&topic));
    }
}
