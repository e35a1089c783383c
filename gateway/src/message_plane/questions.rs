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

/// Where it is told who answered, and after how long; or why it is not asked.
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
        (namespace, asker, time): (Namespace, Address, Duration),
        reply: Answers,
        (members, streams): (&Members, &mut Streams),
        now: Now,
    ) {
        let key = members.key_shown_by(&namespace, &asker);
        let asked = key.map_err(WhoError::from).and_then(|key| Ok(streams.ask_who(&key, asker, time, now)?));
        match asked {
            Ok(question) => _ = self.open.insert(question, reply),
            Err(error) => _ = reply.send(Err(error)),
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
    for member in here.into_iter().take(MOST_ANSWERS) {
        streams.answer_question(question, *member, now);
    }
}

impl Clients {
    /// Asks who takes part in a namespace, for an address that is up and has shown its key, and collects answers for so long: who, and
    /// after how long, the first to answer first.
    ///
    /// # Errors
    /// [`Ending`]; and within, why it is not asked.
    pub async fn who(
        &self,
        namespace: Namespace,
        asker: Address,
        time: Duration,
    ) -> Result<Result<Vec<(Address, Duration)>, WhoError>, Ending> {
        let (reply, answers) = oneshot::channel();
        self.inlet().ask(Ask::Who { namespace, asker, time, reply });
        answers.await.map_err(|_| Ending)
    }
}
