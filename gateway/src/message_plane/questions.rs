// SPDX-License-Identifier: AGPL-3.0-or-later
//! Who of a namespace is there: clients ask the mesh, and addresses here that take part answer.

use std::collections::BTreeMap;
use std::time::Duration;

use ratman_types::{Address, Namespace, Now};
use router_core::streams::{AskError, Question, QuestionId, Streams};
use tokio::sync::oneshot;

use super::clients::{Clients, Ending};
use super::members::{Members, NamespaceError};
use super::registry::Ask;

/// Addresses of this router that answer one question: each is a frame with two signatures.
const MOST_ANSWERS: usize = 64;

/// Why it is not asked who of a namespace is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WhoError {
    /// The address may not ask.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The message plane does not ask.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Where it is told who answered, and how far away they are; or why it is not asked.
pub(super) type Answers = oneshot::Sender<Result<Vec<(Address, Duration)>, WhoError>>;

/// The questions of clients that are open; the message plane says when they are not.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: BTreeMap<QuestionId, Answers>,
}

impl Questions {
    /// A client asks.
    pub(super) fn ask(
        &mut self,
        (namespace, asker, window): (Namespace, Address, Duration),
        reply: Answers,
        (members, streams): (&Members, &mut Streams),
        now: Now,
    ) {
        self.forget_who_left(streams);
        let key = members.key_shown_by(&namespace, &asker);
        let asked =
            key.map_err(WhoError::from).and_then(|key| Ok(streams.ask_who(&key, asker, window, now)?));
        match asked {
            Ok(question) => _ = self.open.insert(question, reply),
            Err(error) => _ = reply.send(Err(error)),
        }
    }

    /// Who does not wait any more keeps no place.
    fn forget_who_left(&mut self, streams: &mut Streams) {
        for (question, _) in self.open.extract_if(.., |_, reply| reply.is_closed()) {
            streams.give_up_question(&question);
        }
    }

    /// The time of a question is over.
    pub(super) fn answered(&mut self, question: &QuestionId, members: Vec<(Address, Duration)>) {
        if let Some(reply) = self.open.remove(question) {
            let _ = reply.send(Ok(members));
        }
    }
}

/// Somebody asks: those who take part here, and are up, answer.
pub(super) fn answer(question: &Question, members: &Members, streams: &mut Streams, now: Now) {
    let here: Vec<_> = members.who(&question.namespace).filter(|member| streams.is_local(member)).collect();
    let first = question.place_among(here.len());
    for member in here.iter().cycle().skip(first).take(MOST_ANSWERS.min(here.len())) {
        streams.answer_question(question, **member, now);
    }
}

impl Clients {
    /// Asks who takes part in a namespace, for an address that is up and has shown its key, and collects answers for so long: who, and
    /// how long the way there and back took, the nearest first.
    ///
    /// # Errors
    /// [`Ending`]; and within, why it is not asked.
    pub async fn who(
        &self,
        namespace: Namespace,
        asker: Address,
        window: Duration,
    ) -> Result<Result<Vec<(Address, Duration)>, WhoError>, Ending> {
        let (reply, answers) = oneshot::channel();
        self.inlet().ask(Ask::Who { namespace, asker, window, reply });
        answers.await.map_err(|_| Ending)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ratman_types::{Ed25519Verifier, SecretKey, Signer, Timestamp, WallTime};

    use super::*;

    #[test]
    fn who_does_not_wait_any_more_keeps_no_place() {
        let (space, alice) = (SecretKey::from_seed([1; 32]), Arc::new(SecretKey::from_seed([2; 32])));
        let mut streams = Streams::new(Default::default(), Arc::new(Ed25519Verifier), [3; 32]);
        streams.add_local(Arc::clone(&alice), 60);
        let mut members = Members::new(alice.address());
        let namespace = members.know(Arc::new(space), alice.address()).unwrap();
        let mut questions = Questions::default();
        let mut second = 0;
        let mut ask = || {
            second += 1;
            let now = Now { at: Timestamp::from_micros(second * 1_000_000), wall: WallTime::from_micros(1) };
            let (reply, mut answers) = oneshot::channel();
            let asked = (namespace, alice.address(), Duration::from_secs(600));
            questions.ask(asked, reply, (&members, &mut streams), now);
            match answers.try_recv() {
                Ok(told) => Err(told.unwrap_err()),
                Err(_) => Ok(answers),
            }
        };
        let mut waiting: Vec<_> = core::iter::from_fn(|| ask().ok()).collect();
        assert_eq!(waiting.len(), 16);
        assert_eq!(ask().unwrap_err(), WhoError::Ask(AskError::TooMany));
        waiting.truncate(14);
        let [one, other] = [ask(), ask()];
        assert!(one.is_ok() && other.is_ok(), "two left");
        assert_eq!(ask().unwrap_err(), WhoError::Ask(AskError::TooMany));
    }
}
