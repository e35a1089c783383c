// SPDX-License-Identifier: AGPL-3.0-or-later
//! The store and forward scorer: where a frame is carried to while no route to its recipient is live. What can be taken
//! over fastest goes first, since nobody knows how long a meeting lasts (source: manual, store & forward scoring).

use core::cmp::Reverse;

use ratman_types::{Bandwidth, ByteCount};

use super::{Candidate, Choice, NoAvailableRoute, RouteScorer, ScorerConfiguration, Why};

/// Ranks links towards an address that nobody announces at the moment; keeps no state.
///
/// Trust first, where the operator gave any: a neighbour with a [higher score](ScorerConfiguration::trust_in) is preferred, and
/// one without comes last (decisions/trust-in-routers.md). Then the highest bandwidth; among those within 10 % of it the lowest ping.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreForwardScorer;

impl RouteScorer for StoreForwardScorer {
    fn compute(
        &self,
        _stream_size: ByteCount,
        config: &ScorerConfiguration,
        candidates: &[Candidate],
    ) -> Result<Choice, NoAvailableRoute> {
        let trust = |candidate: &Candidate| config.trust_in(&candidate.hop.neighbour);
        let most = candidates.iter().map(trust).max().ok_or(NoAvailableRoute)?;
        let (trusted, others): (Vec<&Candidate>, Vec<_>) =
            candidates.iter().partition(|candidate| trust(candidate) == most);
        let widest = trusted.iter().map(|candidate| candidate.bandwidth).max().ok_or(NoAvailableRoute)?;
        let (mut wide, narrower): (Vec<&Candidate>, Vec<_>) =
            trusted.into_iter().partition(|candidate| is_within_a_tenth(candidate.bandwidth, widest));
        wide.sort_unstable_by_key(|candidate| (candidate.ping.total(), candidate.hop));
        let winner = wide.first().ok_or(NoAvailableRoute)?;
        let next = narrower.into_iter().max_by_key(|candidate| (candidate.bandwidth, Reverse(candidate.hop)));
        let why = match (wide.get(1), next, others.into_iter().map(trust).max()) {
            (Some(second), ..) => {
                Why::PingOfWide { own: winner.ping, next: second.ping, bandwidth: winner.bandwidth }
            }
            (None, Some(next), _) => Why::Widest { own: winner.bandwidth, next: next.bandwidth },
            (None, None, Some(next)) => Why::Trust { own: most.unwrap_or_default(), next },
            (None, None, None) => Why::OnlyRoute,
        };
        Ok(Choice { hop: winner.hop, why })
    }
}

/// Whether `bandwidth` is at most 10 % below the widest (source: manual, store & forward scoring).
fn is_within_a_tenth(bandwidth: Bandwidth, widest: Bandwidth) -> bool {
    let (bandwidth, widest) =
        (u64::from(bandwidth.as_bytes_per_second()), u64::from(widest.as_bytes_per_second()));
    bandwidth * 10 >= widest * 9
}

#[cfg(test)]
mod tests;
