// SPDX-License-Identifier: AGPL-3.0-or-later
//! Whom something is for, as users write it: an address, a namespace, or the name of a contact.

use std::fmt;
use std::str::FromStr;

use ratman_client::types::{Address, ContactKey, ContactName, Recipient};
use ratman_client::{Error, RatmanIpc};

use crate::{Exit, Failure, Result};

/// Whom something is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// An address, or a namespace as `namespace:KEY`.
    Recipient(Recipient),
    /// A contact.
    Name(ContactName),
}

/// What a text should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address (16 groups of 4 hexadecimal digits), namespace:KEY, or the name of a contact")]
pub struct Nobody;

impl FromStr for Whom {
    type Err = Nobody;

    fn from_str(text: &str) -> Result<Self, Nobody> {
        if let Ok(recipient) = text.parse() {
            return Ok(Self::Recipient(recipient));
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        // An address that was cut is no name.
        let groups = text.split('-').filter(|group| group.len() == 4 && is_hexadecimal(group)).count();
        if text.is_empty() || !text.chars().all(is_name) || groups > 3 {
            return Err(Nobody);
        }
        ContactName::new(text).map(Self::Name).ok_or(Nobody)
    }
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recipient(recipient) => recipient.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl Whom {
    /// Who that is. Names of contacts are the operator's, who alone may ask for them.
    ///
    /// # Errors
    /// There is no such contact, or this user may not ask.
    pub async fn find(&self, ipc: &RatmanIpc) -> Result<Recipient> {
        let name = match self {
            Self::Recipient(recipient) => return Ok(*recipient),
            Self::Name(name) => name,
        };
        match ipc.contact_query(ContactKey::Name(name.clone())).await {
            Ok(Some(contact)) => Ok(Recipient::Address(contact.address)),
            Ok(None) => Err(Failure::failed(format!("no contact is called {name}"))),
            Err(Error::NotPermitted(_)) => Err(Failure::new(
                Exit::NotAuthorised,
                format!("{name}: the names of contacts are for the operator alone: give the address"),
            )),
            Err(Error::NotSupported) => {
                Err(Failure::failed(format!("{name}: this router knows no contacts: give the address")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The address that it is.
    ///
    /// # Errors
    /// As [`Whom::find`], and where it is a namespace.
    pub async fn find_address(&self, ipc: &RatmanIpc) -> Result<Address> {
        match self.find(ipc).await? {
            Recipient::Address(address) => Ok(address),
            Recipient::Namespace(_) => Err(Failure::usage(format!("{self}: expected an address"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "ECB4-30B9-4416-C403-716F-601F-FC56-9AD3-BD2E-3892-227A-84AD-E6FC-A1CE-0A92-03F6";

    #[test]
    fn addresses_namespaces_and_names_are_told_apart() {
        let address: Address = ADDRESS.parse().unwrap();
        assert_eq!(ADDRESS.parse(), Ok(Whom::Recipient(Recipient::Address(address))));
        let namespace: Whom = format!("namespace:{ADDRESS}").parse().unwrap();
        assert!(matches!(namespace, Whom::Recipient(Recipient::Namespace(_))));
        assert_eq!("ann_b-2".parse(), Ok(Whom::Name(ContactName::of("ann_b-2"))));
        assert_eq!("cafe-beef".parse(), Ok(Whom::Name(ContactName::of("cafe-beef"))));
        for wrong in ["", "a b", "ä", &ADDRESS[..74], &ADDRESS[..24], &"a".repeat(64), "namespace:x"] {
            assert_eq!(wrong.parse::<Whom>(), Err(Nobody), "{wrong}");
        }
    }
}
