// SPDX-License-Identifier: AGPL-3.0-or-later
//! What becomes of one content for its recipients.

use std::fmt;

use clap::ValueEnum;
use ratman_client::HexText;
use ratman_client::types::{ByteCount, News, OpenedStream, Progress, Recipient};
use serde::Serialize;

use crate::Exit;

/// What `ratcat send` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Wait {
    /// Durable at your router: it will be sent whatever happens to this host
    Accepted,
    /// Delivered, or stored by another router for a recipient that is not to be reached
    Stored,
    /// The recipient has all of it
    Delivered,
}

impl Wait {
    /// Whether that is what was waited for. Of what goes to a namespace nobody says more than that it went.
    const fn is_met_by(self, news: &News) -> bool {
        match news {
            News::Delivered | News::Published => true,
            News::Stored => !matches!(self, Self::Delivered),
            News::Accepted => matches!(self, Self::Accepted),
            News::Progress(_) | News::Refused | News::Denied | News::Expired => false,
            News::Failed | News::Cancelled => false,
        }
    }
}

/// One recipient, and what became of its stream so far.
#[derive(Debug)]
pub(super) struct Fate {
    pub(super) stream: OpenedStream,
    pub(super) is_met: bool,
    pub(super) last: Option<News>,
    progress: Option<Progress>,
}

/// Those of all recipients.
#[derive(Debug)]
pub(super) struct Fates {
    wait: Wait,
    pub(super) each: Vec<Fate>,
}

/// What is told of one, to programs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Told {
    to: Recipient,
    stream: String,
    /// The last that is known: accepted, stored, delivered, published, refused, denied, expired, failed, cancelled; unknown if nothing.
    news: &'static str,
    /// Whether that is what was waited for.
    ok: bool,
}

impl Fates {
    pub(super) fn new(streams: &[OpenedStream], wait: Wait) -> Self {
        let fate = |stream: &OpenedStream| Fate {
            stream: stream.clone(),
            is_met: false,
            last: None,
            progress: None,
        };
        Self { wait, each: streams.iter().map(fate).collect() }
    }

    /// Hears of one.
    pub(super) fn hear(&mut self, to: &Recipient, news: News) {
        let Some(fate) = self.each.iter_mut().find(|fate| fate.stream.to == *to) else { return };
        fate.is_met |= self.wait.is_met_by(&news);
        if let News::Progress(progress) = news {
            fate.progress = Some(progress);
        } else {
            fate.last = Some(news);
        }
    }

    /// Whether nothing more is waited for of any.
    pub(super) fn is_over(&self) -> bool {
        self.each.iter().all(|fate| fate.is_met || fate.is_at_end())
    }

    /// Whether the router answers for it, or it is over, for each.
    pub(super) fn is_accepted(&self) -> bool {
        self.each.iter().all(|fate| fate.last.is_some())
    }

    /// What arrived of all, and how much that is in all, where that is known.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        let sum = |arrived: u64, fate: &Fate| arrived.saturating_add(fate.arrived().0);
        let in_all = |sum: u64, fate: &Fate| Some(sum.saturating_add(fate.progress.as_ref()?.in_all?.0));
        (self.each.iter().fold(0, sum), self.each.iter().try_fold(0, in_all))
    }

    pub(super) fn told(&self) -> Vec<Told> {
        self.each.iter().map(Fate::told).collect()
    }

    /// How it ended for scripts: one reason if there is one, else that it failed.
    pub(super) fn exit(&self) -> Exit {
        let mut exits = self.each.iter().filter(|fate| !fate.is_met).map(Fate::exit);
        let Some(first) = exits.next() else { return Exit::Done };
        if exits.all(|exit| exit == first) { first } else { Exit::Failed }
    }
}

impl Fate {
    fn is_at_end(&self) -> bool {
        self.last.as_ref().is_some_and(News::is_last)
    }

    fn arrived(&self) -> ByteCount {
        let in_all = self.progress.as_ref().and_then(|progress| progress.in_all);
        match &self.progress {
            Some(progress) if !self.is_at_end() => progress.arrived,
            _ => in_all.unwrap_or_default(),
        }
    }

    fn told(&self) -> Told {
        let Self { stream: OpenedStream { to, stream }, is_met, last, .. } = self;
        let news = last.as_ref().map_or("unknown", word);
        Told { to: *to, stream: stream.to_hex().to_string(), news, ok: *is_met }
    }

    fn exit(&self) -> Exit {
        match &self.last {
            Some(News::Refused | News::Denied) => Exit::Refused,
            Some(News::Failed | News::Cancelled) => Exit::Failed,
            Some(News::Expired | News::Accepted | News::Stored | News::Progress(_)) | None => {
                Exit::NotDelivered
            }
            Some(News::Delivered | News::Published) => Exit::Done,
        }
    }
}

const fn word(news: &News) -> &'static str {
    match news {
        News::Progress(_) => "progress",
        News::Accepted => "accepted",
        News::Stored => "stored",
        News::Delivered => "delivered",
        News::Refused => "refused",
        News::Denied => "denied",
        News::Expired => "expired",
        News::Published => "published",
        News::Failed => "failed",
        News::Cancelled => "cancelled",
    }
}

/// What became of it, for people.
impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = &self.stream.to;
        match &self.last {
            None | Some(News::Progress(_)) => write!(f, "{to}: nothing is known of it"),
            Some(News::Accepted) => write!(f, "{to}: accepted: your router sends it when it can"),
            Some(News::Stored) => write!(f, "{to}: stored by another router until it can be reached"),
            Some(News::Delivered) => write!(f, "{to}: delivered"),
            Some(News::Published) => write!(f, "{to}: published to whoever is in it"),
            Some(News::Refused) => write!(f, "{to}: refused: the recipient does not take it"),
            Some(News::Denied) => write!(f, "{to}: denied: the recipient does not want it"),
            Some(News::Expired) => write!(f, "{to}: expired: its time passed before it arrived"),
            Some(News::Failed) => write!(f, "{to}: failed: the journal of your router did not take it"),
            Some(News::Cancelled) => write!(f, "{to}: cancelled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratman_client::types::{Address, StreamId};

    fn to(byte: u8) -> Recipient {
        Recipient::Address(Address::from_bytes([byte; 32]))
    }

    fn fates(wait: Wait) -> Fates {
        let stream = |byte| OpenedStream { to: to(byte), stream: StreamId::from_bytes([byte; 32]) };
        Fates::new(&[stream(1), stream(2)], wait)
    }

    #[test]
    fn what_is_more_than_waited_for_will_do() {
        let all = [News::Accepted, News::Stored, News::Delivered, News::Published, News::Denied];
        let met = |wait: Wait| all.iter().filter(|news| wait.is_met_by(news)).count();
        assert_eq!([Wait::Accepted, Wait::Stored, Wait::Delivered].map(met), [4, 3, 2]);
    }

    #[test]
    fn each_recipient_has_a_fate_of_its_own() {
        let mut fates = fates(Wait::Stored);
        fates.hear(&to(1), News::Accepted);
        assert!(!fates.is_accepted() && !fates.is_over());
        fates.hear(&to(2), News::Denied);
        fates.hear(&to(9), News::Denied);
        assert!(fates.is_accepted() && !fates.is_over());
        fates.hear(&to(1), News::Stored);
        assert!(fates.is_over());
        assert_eq!(fates.exit(), Exit::Refused);
        let told: Vec<_> = fates.told().iter().map(|told| (told.news, told.ok)).collect();
        assert_eq!(told, [("stored", true), ("denied", false)]);
        assert!(fates.each[1].to_string().ends_with("denied: the recipient does not want it"));
    }

    #[test]
    fn different_reasons_are_a_failure() {
        let mut fates = fates(Wait::Delivered);
        fates.hear(&to(1), News::Expired);
        assert_eq!(fates.exit(), Exit::NotDelivered);
        fates.hear(&to(2), News::Refused);
        assert_eq!(fates.exit(), Exit::Failed);
    }

    #[test]
    fn progress_is_that_of_all() {
        let mut fates = fates(Wait::Delivered);
        let progress = |arrived, in_all: Option<u64>| {
            News::Progress(Progress { arrived: ByteCount(arrived), in_all: in_all.map(ByteCount) })
        };
        fates.hear(&to(1), progress(5, Some(10)));
        assert_eq!(fates.progress(), (5, None));
        fates.hear(&to(2), progress(6, Some(10)));
        assert_eq!(fates.progress(), (11, Some(20)));
        fates.hear(&to(1), News::Delivered);
        assert_eq!(fates.progress(), (16, Some(20)));
    }
}
