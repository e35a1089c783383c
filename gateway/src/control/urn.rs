// SPDX-License-Identifier: AGPL-3.0-or-later
//! The name of shared content: its read capability as a URN.

use std::fmt;
use std::str::FromStr;

use ratman_eris::{CapabilityError, ReadCapability};
use ratman_wire::stream::StreamId;
use serde::{Deserialize, Serialize};

/// `urn:eris:…`. Who has it, and reaches the sender, can read the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Urn(ReadCapability);

impl Urn {
    /// What the content is called in frames.
    pub fn stream(&self) -> StreamId {
        StreamId::of_shared(&self.0)
    }
}

impl From<ReadCapability> for Urn {
    fn from(capability: ReadCapability) -> Self {
        Self(capability)
    }
}

impl FromStr for Urn {
    type Err = CapabilityError;

    fn from_str(text: &str) -> Result<Self, CapabilityError> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for Urn {
    type Error = CapabilityError;

    fn try_from(text: String) -> Result<Self, CapabilityError> {
        text.parse()
    }
}

impl From<Urn> for String {
    fn from(urn: Urn) -> Self {
        urn.to_string()
    }
}

impl fmt::Display for Urn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_urn())
    }
}
