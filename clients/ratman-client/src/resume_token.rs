// SPDX-License-Identifier: AGPL-3.0-or-later
//! What a program keeps to go on with a stream later.

use std::fmt;
use std::str::FromStr;

use ratman_wire::api::{Address, MAX_RECIPIENTS, OpenedStream, Recipient, ResumedStream, StreamId};

use crate::HexText;

/// The first word of the text.
const FORM: &str = "irdest-resume-1";

/// What a program keeps to go on with a stream whose connection broke before all content was with the router. No secret: it is of use
/// only with the token of the address.
///
/// As a text, some words on one line: its form, the sender, and recipient and name of each stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeToken {
    from: Address,
    streams: Vec<OpenedStream>,
}

impl ResumeToken {
    pub(crate) const fn new(from: Address, streams: Vec<OpenedStream>) -> Self {
        Self { from, streams }
    }

    /// The address that the streams are from.
    pub const fn from(&self) -> Address {
        self.from
    }

    /// The streams, one for each recipient.
    pub fn streams(&self) -> &[OpenedStream] {
        &self.streams
    }

    pub(crate) fn to_request(&self, progress: bool) -> ResumedStream {
        ResumedStream { from: self.from, streams: self.streams.iter().cloned().collect(), progress }
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM} {}", self.from)?;
        self.streams
            .iter()
            .try_for_each(|OpenedStream { to, stream }| write!(f, " {to} {}", *stream.to_hex()))
    }
}

/// Why a text is no [`ResumeToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {FORM}, an address, and recipient and name of 1 to {MAX_RECIPIENTS} streams")]
pub struct ParseResumeTokenError;

impl FromStr for ResumeToken {
    type Err = ParseResumeTokenError;

    fn from_str(text: &str) -> Result<Self, ParseResumeTokenError> {
        let mut words = text.split_ascii_whitespace();
        let mut word = || words.next().ok_or(ParseResumeTokenError);
        if word()? != FORM {
            return Err(ParseResumeTokenError);
        }
        let from = word()?.parse().map_err(|_| ParseResumeTokenError)?;
        let mut streams = Vec::new();
        while let Ok(to) = word() {
            let to: Recipient = to.parse().map_err(|_| ParseResumeTokenError)?;
            let stream = StreamId::from_hex(word()?).map_err(|_| ParseResumeTokenError)?;
            if streams.len() == MAX_RECIPIENTS {
                return Err(ParseResumeTokenError);
            }
            streams.push(OpenedStream { to, stream });
        }
        if streams.is_empty() { Err(ParseResumeTokenError) } else { Ok(Self { from, streams }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratman_wire::api::Namespace;

    fn token(streams: u8) -> ResumeToken {
        let stream = |byte: u8| OpenedStream {
            to: if byte.is_multiple_of(2) {
                Recipient::Address(Address::from_bytes([byte; 32]))
            } else {
                Recipient::Namespace(Namespace::from_bytes([byte; 32]))
            },
            stream: StreamId::from_bytes([byte; 32]),
        };
        ResumeToken::new(Address::from_bytes([9; 32]), (0..streams).map(stream).collect())
    }

    #[test]
    fn texts_come_back() {
        for streams in 1..5 {
            let text = token(streams).to_string();
            assert_eq!(text.parse(), Ok(token(streams)), "{text}");
            let words: Vec<_> = text.split(' ').collect();
            for cut in 0..words.len() {
                let less = words[..cut].join(" ");
                let is_whole = cut >= 4 && cut % 2 == 0;
                assert_eq!(less.parse::<ResumeToken>().is_ok(), is_whole, "{less}");
            }
        }
        assert!(token(0).to_string().parse::<ResumeToken>().is_err());
    }

    #[test]
    fn a_text_has_no_more_streams_than_a_request() {
        let pair = format!(" {} {}", Address::from_bytes([1; 32]), "00".repeat(32));
        let text = |number: usize| format!("{FORM} {}{}", Address::from_bytes([9; 32]), pair.repeat(number));
        assert!(text(MAX_RECIPIENTS).parse::<ResumeToken>().is_ok());
        assert!(text(MAX_RECIPIENTS + 1).parse::<ResumeToken>().is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text: String) {
            let _ = text.parse::<ResumeToken>();
        }
    }
}
