// SPDX-License-Identifier: AGPL-3.0-or-later
//! Streams that a client sends on this connection: content in, news out, until nothing follows.

use std::collections::BTreeSet;
use std::time::Duration;

use ratman_wire::api::{
    ApiMode, List, Microframe, NewStream, News, Opened, Progress, RefusalReason, Reply, Request,
    ResumedStream, StreamNews,
};
use router_core::stream::Routing;
use router_core::streams::SendError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::going::{Going, Happening};
use super::parked::{NotTaken, Presence, Taken};
use super::refused;
use crate::client_api::connection::{IDLE, Left};
use crate::client_api::failure::Failure;
use crate::client_api::session::Session;
use crate::message_plane::{self, Outgoing};

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// How a client and its streams part.
enum Parting {
    /// Nothing follows about any of them.
    Over,
    /// It gave them up.
    GivenUp,
    /// It goes on with them over another connection.
    TakenOver,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    /// Begins streams, and stays with them.
    pub(in crate::client_api) async fn create_streams(
        &mut self,
        new: NewStream,
        frame: &Microframe,
    ) -> Result<Option<Reply>, Failure> {
        let NewStream { from, to, size, lifetime, progress, auxiliary_data } = new;
        self.authorise(&from, frame)?;
        let to = to.into_vec();
        let different: BTreeSet<_> = to.iter().collect();
        if to.is_empty() || different.len() < to.len() {
            let expected = "expected at least one recipient, and none twice";
            return Err(Failure::refused(RefusalReason::Invalid, expected));
        }
        let places = self.places(to.len()).await?;
        let mut sendings = Vec::with_capacity(to.len());
        for recipient in to {
            let auxiliary_data = auxiliary_data.clone();
            let outgoing = Outgoing { recipient, size, lifetime, routing: Routing::Push, auxiliary_data };
            sendings.push(self.doors.streams.send_as(from, outgoing).await?.map_err(refused)?);
        }
        let going = Going::new(from, sendings, places);
        let presence = self.doors.parked.enter(&going);
        self.send_on(Taken { going, presence }, progress, frame).await
    }

    /// Goes on with streams that another connection began.
    pub(in crate::client_api) async fn resume_streams(
        &mut self,
        resumed: ResumedStream,
        frame: &Microframe,
    ) -> Result<Option<Reply>, Failure> {
        let ResumedStream { from, streams, progress } = resumed;
        self.authorise(&from, frame)?;
        let taken = tokio::select! {
            biased;
            taken = self.doors.parked.take(&from, &streams) => taken,
            left = self.connection.left() => return Err(left.into()),
        };
        self.send_on(taken.map_err(not_taken)?, progress, frame).await
    }

    async fn send_on(
        &mut self,
        Taken { mut going, presence }: Taken,
        progress: bool,
        frame: &Microframe,
    ) -> Result<Option<Reply>, Failure> {
        let parting = match self.open(&going, frame).await {
            Ok(()) => self.stay_with(&mut going, progress, &presence).await,
            Err(failure) => Err(failure),
        };
        // What of it was on its way when it ended is passed over.
        self.is_told = !going.is_complete;
        match parting {
            Ok(Parting::Over) => Ok(None),
            Ok(Parting::GivenUp) => Ok(Some(Reply::Ok)),
            Ok(Parting::TakenOver) => {
                presence.let_go(going);
                Err(not_taken(NotTaken::InUse))
            }
            Err(failure) => {
                // Content that was cut off may go on over another connection; that of one who said goodbye does not.
                if matches!(failure, Failure::Left(Left::Lost(_) | Left::Closed)) && !going.is_complete {
                    presence.let_go(going);
                }
                Err(failure)
            }
        }
    }

    async fn open(&mut self, going: &Going, frame: &Microframe) -> Result<(), Failure> {
        let streams = List::new(going.names().collect()).expect("invariant: no more than were asked for");
        let opened = Reply::Opened(Opened { streams, offset: going.offset });
        Ok(self.connection.reply(&opened, frame.auth.as_ref()).await?)
    }

    /// Takes the content and tells what becomes of the streams, until nothing follows.
    async fn stay_with(
        &mut self,
        going: &mut Going,
        progress: bool,
        presence: &Presence,
    ) -> Result<Parting, Failure> {
        let mut ticks = interval_at(Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        while !going.are_over() {
            if going.is_complete {
                // Nothing of it is left to be handed over by anybody.
                presence.end();
            }
            // More is read only once the last piece was taken.
            let is_taking = going.is_taking();
            tokio::select! {
                happening = going.happening() => match happening {
                    Happening::Taken => {}
                    Happening::NotTaken(place, error) => self.failed(going, vec![(place, error)]).await?,
                    Happening::News(place, news) => {
                        if !self.tell(going.key(place), &news).await? {
                            going.is_over(place);
                        }
                    }
                },
                _ = ticks.tick(), if progress => self.tell_progress(going).await?,
                // What comes by a pipe may take any time, and needs no place meanwhile.
                () = sleep_until(heard + IDLE), if going.places.is_some() => going.places = None,
                () = presence.is_to_end(), if !going.is_complete => return Ok(Parting::TakenOver),
                frame = self.connection.heard(is_taking) => {
                    let Some(frame) = frame? else { return Ok(Parting::GivenUp) };
                    heard = Instant::now();
                    if frame.mode == ApiMode::CONTENT && going.places.is_none() && !going.is_complete {
                        let number = going.names().len();
                        going.places = Some(self.places(number).await?);
                    }
                    if let Some(parting) = self.go_on(going, &frame).await? {
                        return Ok(parting);
                    }
                }
            }
        }
        Ok(Parting::Over)
    }

    /// What the client says of the content.
    async fn go_on(&mut self, going: &mut Going, frame: &Microframe) -> Result<Option<Parting>, Failure> {
        match Request::decode(frame) {
            Ok(Request::Content(piece)) if !going.is_complete => going.write(piece.as_bytes()),
            Ok(Request::End(_)) if !going.is_complete => {
                let wrong = going.finish().await;
                self.failed(going, wrong).await?;
            }
            Ok(Request::Cancel(_)) => return Ok(Some(Parting::GivenUp)),
            Ok(Request::Disconnect(_)) => return Err(Left::Goodbye.into()),
            Ok(_) => self.out_of_turn().await?,
            Err(error) => self.connection.reply(&error.reply(), None).await?,
        }
        Ok(None)
    }

    /// Some cannot be sent any further. Where that is all there were the client is told why; else the others go on.
    async fn failed(&mut self, going: &mut Going, wrong: Vec<(usize, SendError)>) -> Result<(), Failure> {
        for (place, error) in wrong {
            going.is_over(place);
            if going.are_over() {
                return Err(refused(error));
            }
            self.tell(going.key(place), &message_plane::News::Failed).await?;
        }
        Ok(())
    }

    async fn tell_progress(&mut self, going: &mut Going) -> Result<(), Failure> {
        for (stream, message_plane::Progress { arrived, in_all }) in going.progress() {
            let news = News::Progress(Progress { arrived, in_all });
            self.connection.reply(&Reply::News(StreamNews { stream, news }), None).await?;
        }
        Ok(())
    }
}

/// Why a client does not go on with streams.
fn not_taken(why: NotTaken) -> Failure {
    let (reason, words) = match why {
        NotTaken::Nowhere => {
            (RefusalReason::NotFound, "no such streams wait for the rest of their content: begin anew")
        }
        NotTaken::InUse => (RefusalReason::InUse, "another connection goes on with these streams"),
    };
    Failure::refused(reason, words)
}
