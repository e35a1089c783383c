// SPDX-License-Identifier: AGPL-3.0-or-later
//! A post that was sent or has come, with what is known about it.

use ratman_client::HexText;
use ratman_client::types::{Address, StreamId, WallTime};
use serde::{Deserialize, Serialize};

use crate::{NotAPost, Post, Topic};

/// A post that was sent or has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "Line")]
pub struct KeptPost {
    /// Who sent it; that much is proven.
    pub from: Address,
    /// The stream that it was.
    pub id: StreamId,
    /// When it was made, by its author's clock.
    pub created: WallTime,
    /// When it came here.
    pub received: WallTime,
    /// What it says.
    pub post: Post,
}

/// As it is in a file, and told to programs.
#[derive(Clone, Serialize, Deserialize)]
struct Line {
    id: String,
    from: Address,
    created_us: u64,
    received_us: u64,
    topic: Topic,
    nick: String,
    text: String,
}

impl KeptPost {
    /// When it was made, as far as that can be: nothing is made after it has come.
    pub fn when(&self) -> WallTime {
        self.created.min(self.received)
    }

    /// What no other post has.
    pub const fn key(&self) -> (Address, StreamId) {
        (self.from, self.id)
    }

    /// From a line of a file.
    ///
    /// # Errors
    /// [`NotAPost`].
    pub(crate) fn from_line(line: &[u8]) -> Result<Self, NotAPost> {
        let wrong = |reason: &dyn ToString| NotAPost::Bytes(reason.to_string());
        let line: Line = serde_json::from_slice(line).map_err(|error| wrong(&error))?;
        Ok(Self {
            from: line.from,
            id: StreamId::from_hex(&line.id).map_err(|error| wrong(&error))?,
            created: WallTime::from_micros(line.created_us),
            received: WallTime::from_micros(line.received_us),
            post: Post::new(line.topic, &line.nick, &line.text)?,
        })
    }

    /// A line for a file, with its end.
    pub(crate) fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("invariant: only texts and numbers");
        line.push(b'\n');
        line
    }
}

impl From<KeptPost> for Line {
    fn from(kept: KeptPost) -> Self {
        Self {
            id: kept.id.to_hex().to_string(),
            from: kept.from,
            created_us: kept.created.as_micros(),
            received_us: kept.received.as_micros(),
            topic: kept.post.topic().clone(),
            nick: kept.post.nick().to_owned(),
            text: kept.post.text().to_owned(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(number: u64) -> KeptPost {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let text = format!("post {number}");
        KeptPost {
            from: Address::from_bytes([1; 32]),
            id: StreamId::from_bytes(id),
            created: WallTime::from_micros(1000 + number),
            received: WallTime::from_micros(2000 + number),
            post: Post::new("/a/b/c".parse().unwrap(), "ann", &text).unwrap(),
        }
    }

    #[test]
    fn a_line_comes_back() {
        let line = sample(7).to_line();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(KeptPost::from_line(&line), Ok(sample(7)));
        for wrong in [&b""[..], b"{}", &line[..line.len() / 2]] {
            assert!(KeptPost::from_line(wrong).is_err());
        }
    }

    #[test]
    fn nothing_is_made_after_it_has_come() {
        let early = KeptPost { created: WallTime::from_micros(u64::MAX), ..sample(0) };
        assert_eq!(early.when(), early.received);
        assert_eq!(sample(0).when(), sample(0).created);
    }
}
