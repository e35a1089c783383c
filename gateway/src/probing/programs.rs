// SPDX-License-Identifier: AGPL-3.0-or-later
//! The programs as probing needs them, and what it takes to let them follow the links: system calls that block.

use std::collections::BTreeSet;

use ebpf_loader::{AttachError, Conversation, Interface, Probes};
use netmod_api::Underlay;
use ratman_types::{Hop, LinkSample, Timestamp};

use super::Crossings;

/// Where the programs are after they were to follow the links.
#[derive(Debug)]
pub struct Attached {
    /// The interfaces that have them.
    pub interfaces: BTreeSet<Interface>,
    /// Why others have not, or links are not followed.
    pub refused: Vec<String>,
}

/// What [`Probes`] does; tests have others.
pub trait Programs: Sized + Send + 'static {
    /// How they are attached.
    fn hook(&self) -> String;

    /// Makes exactly these interfaces have the programs. Blocks; what comes back are the names of those that do not, with the reason.
    fn watch(&mut self, interfaces: &[Interface]) -> Vec<(String, String)>;

    /// Counts exactly these conversations; what comes back is why not all of them.
    fn follow(&mut self, conversations: &[(Hop, Conversation)]) -> Option<String>;

    /// What was measured since the last time.
    fn samples(&mut self, now: Timestamp) -> Vec<(Hop, LinkSample)>;

    /// Lets the programs follow links over the interfaces that they cross: first there, then by conversation. Blocks.
    fn attach(mut self, crossings: &Crossings) -> (Self, Attached) {
        let wanted: BTreeSet<Interface> =
            crossings.iter().map(|(_, _, interface)| interface.clone()).collect();
        let left_out = self.watch(&wanted.iter().cloned().collect::<Vec<_>>());
        let has_none = |interface: &Interface| left_out.iter().any(|(name, _)| *name == interface.name);
        let interfaces = wanted.into_iter().filter(|interface| !has_none(interface)).collect();
        let conversations: Vec<_> = crossings
            .iter()
            .map(|(hop, underlay, interface)| (*hop, conversation(underlay, interface)))
            .collect();
        let not_followed = self.follow(&conversations);
        let refused = left_out.into_iter().map(|(_, reason)| reason).chain(not_followed).collect();
        (self, Attached { interfaces, refused })
    }
}

impl Programs for Probes {
    fn hook(&self) -> String {
        Self::hook(self).to_string()
    }

    fn watch(&mut self, interfaces: &[Interface]) -> Vec<(String, String)> {
        let told = |error: AttachError| (error.interface().to_owned(), error.to_string());
        Self::watch(self, interfaces).into_iter().map(told).collect()
    }

    fn follow(&mut self, conversations: &[(Hop, Conversation)]) -> Option<String> {
        Self::follow(self, conversations).err().map(|error| error.to_string())
    }

    fn samples(&mut self, now: Timestamp) -> Vec<(Hop, LinkSample)> {
        Self::samples(self, now)
    }
}

fn conversation(underlay: &Underlay, interface: &Interface) -> Conversation {
    let Underlay { local, remote, protocol } = *underlay;
    Conversation { interface: interface.index, local, remote, protocol: protocol.0 }
}
