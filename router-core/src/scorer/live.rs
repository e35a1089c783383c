// SPDX-License-Identifier: AGPL-3.0-or-later
//! The live scorer: lowest ping first, bandwidth among those whose ping is as good (source: manual, live route
//! scoring; the wire page makes its pairwise rules transitive).

use ratman_types::ByteCount;

use super::{Candidate, Choice, NoAvailableRoute, RouteScorer, ScorerConfiguration, Why, wider};

/// Ranks live routes; keeps no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiveScorer;

impl RouteScorer for LiveScorer {
    fn compute(
        &self,
        _stream_size: ByteCount,
        _config: &ScorerConfiguration,
        candidates: &[Candidate],
    ) -> Result<Choice, NoAvailableRoute> {
        let signed = candidates.iter().any(|candidate| candidate.peer_part);
        let mut ranked: Vec<&Candidate> =
            candidates.iter().filter(|candidate| candidate.peer_part == signed).collect();
        ranked.sort_unstable_by_key(|candidate| (candidate.ping.total(), candidate.hop));
        let Some((lowest, rest)) = ranked.split_first() else {
            return Err(NoAvailableRoute);
        };
        let winner =
            rest.iter().take_while(|candidate| candidate.ping.is_within_a_tenth_of(lowest.ping)).fold(
                *lowest,
                |winner, candidate| {
                    if wider(candidate.bandwidth, winner.bandwidth) { candidate } else { winner }
                },
            );
        let why = match rest.first() {
            Some(_) if winner.hop != lowest.hop => Why::Bandwidth {
                ping: winner.ping,
                lowest_ping: lowest.ping,
                own: winner.bandwidth,
                other: lowest.bandwidth,
            },
            Some(next) => Why::Ping { own: winner.ping, next: next.ping },
            None if candidates.len() > 1 => Why::OnlySigned,
            None => Why::OnlyRoute,
        };
        Ok(Choice { hop: winner.hop, why })
    }
}

#[cfg(test)]
mod tests;
