// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is done with each stream that comes.

use std::cell::Cell;
use std::ffi::CStr;
use std::time::Duration;

use ratman_client::types::{
    Address, AuthToken, AuxiliaryData, ByteCount, FilterAction, FilterEntry, FilterRule, Lifetime, Recipient,
    Senders, StreamKey,
};
use ratman_client::{Error, Incoming, IncomingStream, Outgoing, RatmanIpc, ReceiveOptions, Reconnect};
use tokio::time::{Instant, sleep};

use super::count::Count;
use super::rate::Rate;
use crate::Session;

/// The key in the auxiliary data of every echo. What has it is never echoed, or two echoes would keep each other busy for ever.
const MARK: &CStr = c"irdest-echo";

/// How often it is tried to answer one stream.
const ATTEMPTS: u32 = 3;

/// How long a router that does not take an answer is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// What bounds an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// The most bytes of a stream that is echoed.
    pub(super) size: u64,
    /// The most streams a second of one sender.
    pub(super) rate: u32,
    /// How long an answer is wanted.
    pub(super) lifetime: Lifetime,
}

/// Answers all that comes to an address.
pub(super) struct Answering<'a> {
    session: Session,
    incoming: Incoming,
    limits: Limits,
    rate: Rate,
    begin: Instant,
    count: &'a Cell<Count>,
    /// The stream that could not be answered, and how often that was tried.
    trouble: Option<(StreamKey, u32)>,
}

/// What is to be done with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Echo,
    /// It is an echo: it is taken, and that is all.
    Ignore,
    TooLong,
    TooMany,
}

impl<'a> Answering<'a> {
    /// For an address that is up. What it does is counted there. A router that is lost is looked for, however long that takes.
    pub(super) fn new(session: Session, limits: Limits, count: &'a Cell<Count>) -> Self {
        let reconnect = Reconnect { give_up_after: Duration::MAX, ..Reconnect::default() };
        let options = ReceiveOptions::new().to(Recipient::Address(session.address)).reconnect(reconnect);
        let incoming = session.ipc.receive(&session.auth, session.address, options);
        let (rate, begin) = (Rate::new(limits.rate), Instant::now());
        Self { session, incoming, limits, rate, begin, count, trouble: None }
    }

    /// Answers for ever. It may be given up at any time: what was not answered comes again, and what was answered and not yet taken is
    /// answered twice.
    ///
    /// # Errors
    /// What no waiting helps against, such as a token that is not that of the address.
    pub(super) async fn run(&mut self) -> Error {
        loop {
            match self.answer_one().await {
                // Its time passed while it was read, or its sender gave it up.
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => return error,
            }
        }
    }

    fn add(&self, add: impl FnOnce(&mut Count)) {
        let mut count = self.count.get();
        add(&mut count);
        self.count.set(count);
    }

    async fn answer_one(&mut self) -> Result<(), Error> {
        let Some(mut stream) = self.incoming.next().await? else { return Err(Error::Ended) };
        let (key, size) = (stream.key(), stream.letterhead().stream_size.0);
        let again = self.trouble.take().filter(|(of, _)| *of == key).map(|(_, times)| times);
        // One that comes again was admitted before.
        let mut is_admitted = || again.is_some() || self.rate.admit(key.from, self.begin.elapsed());
        let verdict = judge(&stream, &self.session, self.limits);
        let verdict = if verdict == Verdict::Echo && !is_admitted() { Verdict::TooMany } else { verdict };
        let mut count: fn(&mut Count) = match verdict {
            Verdict::Ignore => |count| count.echoes += 1,
            Verdict::TooLong => |count| count.too_long += 1,
            Verdict::TooMany => |count| count.too_many += 1,
            Verdict::Echo => |count| count.echoed += 1,
        };
        if verdict == Verdict::Echo {
            match Box::pin(echo(&mut stream, &self.session, self.limits.lifetime)).await {
                Ok(()) => {
                    stream.taken().await?;
                    self.add(|count| count.bytes += size);
                    self.add(count);
                    return Ok(());
                }
                Err(Error::InvalidAuth) => return Err(Error::InvalidAuth),
                Err(_) if again.is_none_or(|times| times + 1 < ATTEMPTS) => {
                    self.trouble = Some((key, again.unwrap_or_default() + 1));
                    // It comes again.
                    sleep(PAUSE).await;
                    return Ok(());
                }
                Err(_) => count = |count| count.failed += 1,
            }
        }
        // Its sender heard already that it is delivered, so it cannot be denied any more; it is taken, for which it has to be read.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        stream.taken().await?;
        self.add(count);
        Ok(())
    }
}

/// Has the router deny what is too long before it is sent. Where it does not know how, it is passed over when it is here.
pub(super) async fn filter(session: &Session, limits: Limits) -> Result<(), Error> {
    let Session { ipc, address, auth } = session;
    let least = limits.size.checked_add(1).map(ByteCount);
    let is_set = set_filter(ipc, auth, *address, least).await;
    if matches!(is_set, Err(Error::NotSupported)) { Ok(()) } else { is_set }
}

async fn set_filter(
    ipc: &RatmanIpc,
    auth: &AuthToken,
    address: Address,
    least: Option<ByteCount>,
) -> Result<(), Error> {
    let of_length = |at_least| FilterRule { from: Senders::Anybody, at_least, action: FilterAction::Deny };
    let mut is_there = least.is_none();
    for FilterEntry { filter, rule } in ipc.filter_list(auth, address).await? {
        if rule == of_length(least) {
            is_there = true;
        } else if rule.at_least.is_some() && rule == of_length(rule.at_least) {
            // That of an earlier run, with another limit.
            ipc.filter_delete(auth, address, filter).await?;
        }
    }
    if !is_there {
        ipc.filter_add(auth, address, of_length(least)).await?;
    }
    Ok(())
}

fn judge(stream: &IncomingStream<'_>, session: &Session, limits: Limits) -> Verdict {
    let letterhead = stream.letterhead();
    let is_echo = letterhead.auxiliary_data.iter().any(|(key, _)| key == MARK);
    if is_echo || letterhead.from == session.address {
        Verdict::Ignore
    } else if letterhead.stream_size.0 > limits.size {
        Verdict::TooLong
    } else {
        Verdict::Echo
    }
}

/// Sends a stream back, as it comes, and waits until the router answers for it.
async fn echo(stream: &mut IncomingStream<'_>, session: &Session, lifetime: Lifetime) -> Result<(), Error> {
    let Session { ipc, address, auth } = session;
    let mark = AuxiliaryData::new([(MARK, c"1")]).expect("invariant: a short text");
    let outgoing = Outgoing::new(*address, [Recipient::Address(stream.letterhead().from)])
        .size(stream.letterhead().stream_size.0)
        .lifetime(lifetime)
        .auxiliary_data(mark);
    ipc.send_all(auth, outgoing, stream).await.map(drop)
}
