// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the operator should look at while the gateway runs: `status` shows all of it, the service manager's status line the first.

use super::Driver;

impl Driver {
    /// One sentence each, the most pressing first.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        let stored = self.parts.state.trouble().map(str::to_owned);
        let missing = self.parts.missing.iter().cloned();
        let journal = self.parts.streams.as_ref().and_then(|streams| streams.report().store.trouble);
        let refused = self.refused.as_ref().map(|why| format!("reload refused: {why}"));
        let behind = self.parts.router.clock_behind().map(|behind| {
            format!(
                "clock set back: it is {} s behind the times that we announced, which go on from the last one",
                behind.as_secs()
            )
        });
        stored.into_iter().chain(missing).chain(journal).chain(refused).chain(behind)
    }
}
