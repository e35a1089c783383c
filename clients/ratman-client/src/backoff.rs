// SPDX-License-Identifier: AGPL-3.0-or-later
//! How a lost router is looked for.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, Result};

/// How a router is looked for that cannot be reached any more: at once, then after [`first`](Self::first), then after twice as long
/// each time up to [`longest`](Self::longest), until [`give_up_after`](Self::give_up_after).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The first pause. Default 100 ms.
    pub first: Duration,
    /// The longest pause. Default 10 s.
    pub longest: Duration,
    /// For how long the router may be away, counted from when it was lost. Default 10 min: an upgrade of its host.
    pub give_up_after: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
            give_up_after: Duration::from_secs(600),
        }
    }
}

impl Reconnect {
    /// Does it again and again until it works, or fails for another reason than that the router is not there.
    ///
    /// # Errors
    /// Those of `attempt`; of the last one when the time is over.
    pub(crate) async fn until<T, F>(self, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let lost = Instant::now();
        // A pause of nothing would spin.
        let mut pause = self.first.max(Duration::from_millis(1));
        loop {
            match attempt().await {
                Err(error) if is_passing(&error) && lost.elapsed() + pause < self.give_up_after => {
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(self.longest.max(self.first));
                }
                result => return result,
            }
        }
    }
}

/// Whether a router that starts or ends may be why.
fn is_passing(error: &Error) -> bool {
    use ratman_wire::api::RefusalReason::{Busy, Ending};
    let is_starting = matches!(error, Error::Refused(refusal) if matches!(refusal.reason, Busy | Ending));
    is_starting || error.is_unreachable()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_the_longest_and_end() {
        let reconnect = Reconnect {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(4),
            give_up_after: Duration::from_secs(20),
        };
        let (begin, times) = (Instant::now(), Cell::new(Vec::new()));
        let result: Result<()> = reconnect
            .until(|| {
                let mut seen = times.take();
                seen.push(begin.elapsed().as_secs());
                times.set(seen);
                std::future::ready(Err(Error::Lost(None)))
            })
            .await;
        assert!(matches!(result, Err(Error::Lost(None))), "{result:?}");
        assert_eq!(times.take(), [0, 1, 3, 7, 11, 15, 19]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_token_is_not_tried_twice() {
        let tried = Cell::new(0);
        let result: Result<()> = Reconnect::default()
            .until(|| {
                tried.set(tried.get() + 1);
                std::future::ready(Err(Error::InvalidAuth))
            })
            .await;
        assert!(matches!(result, Err(Error::InvalidAuth)), "{result:?}");
        assert_eq!(tried.get(), 1);
    }
}
