// SPDX-License-Identifier: AGPL-3.0-or-later
//! Changes of a contact that is there already, named by its address or by what it is called.

use ratman_types::Address;

use super::{Book, ContactError, Contacts, Record, is_contact_name};

/// Which contact is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That with this address.
    Address(Address),
    /// That with this name, the configuration's before the database's.
    Name(String),
}

impl Whose {
    /// As people say it: no name is as long as an address.
    pub(crate) fn said(text: String) -> Self {
        text.parse().map_or(Self::Name(text), Self::Address)
    }
}

/// What is to become of something that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit<T> {
    /// It stays.
    Keep,
    /// It becomes this.
    Set(T),
    /// There is none.
    Unset,
}

impl<T> Edit<T> {
    fn of(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Set(value) => Some(value),
            Self::Unset => None,
        }
    }
}

impl Book {
    /// The address of a contact, of which something is said somewhere.
    fn address_of(&self, whose: Whose) -> Result<Address, ContactError> {
        match whose {
            Whose::Name(name) => {
                let found = self.configured.get(&name).copied().or_else(|| self.kept_name(&name));
                found.ok_or(ContactError::Unknown(name))
            }
            Whose::Address(address) if self.kept.contains_key(&address) => Ok(address),
            Whose::Address(address) if self.configured_name(&address).is_some() => Ok(address),
            Whose::Address(address) => Err(ContactError::Stranger(address)),
        }
    }

    /// What the configuration calls an address.
    fn configured_name(&self, address: &Address) -> Option<&String> {
        self.configured.iter().find(|(_, other)| *other == address).map(|(name, _)| name)
    }

    /// That an address may have this name, whatever it is called now.
    fn check_name(&self, name: &str, of: Address) -> Result<(), ContactError> {
        if !is_contact_name(name) {
            return Err(ContactError::Name(name.to_owned()));
        }
        let name = name.to_owned();
        if let Some(address) = self.configured.get(&name).copied() {
            return Err(ContactError::Configured { name, address });
        }
        match self.kept_name(&name).filter(|other| *other != of) {
            Some(address) => Err(ContactError::Taken { name, address }),
            None => Ok(()),
        }
    }
}

impl Contacts {
    /// Changes what is said of an address, all of it or nothing.
    ///
    /// # Errors
    /// Every variant of [`ContactError`] but [`ContactError::NoKey`] and [`ContactError::Named`]; [`ContactError::Configured`] also
    /// where a name is to go that only the configuration gives.
    pub fn change(&self, whose: Whose, name: Edit<String>, trust: Edit<u32>) -> Result<(), ContactError> {
        let mut book = self.book();
        let address = book.address_of(whose)?;
        let Record { name: named, trust: trusted } =
            book.kept.get(&address).cloned().unwrap_or(Record { name: None, trust: None });
        match &name {
            Edit::Set(name) if Some(name) != named.as_ref() => book.check_name(name, address)?,
            Edit::Unset if named.is_none() => {
                if let Some(name) = book.configured_name(&address).cloned() {
                    return Err(ContactError::Configured { name, address });
                }
            }
            Edit::Keep | Edit::Set(_) | Edit::Unset => {}
        }
        self.put(&mut book, address, Record { name: name.of(named), trust: trust.of(trusted) })
    }

    /// Forgets all that the database says of an address: its name, and its trust.
    ///
    /// # Errors
    /// [`ContactError::Stranger`], [`ContactError::Configured`] where nothing but the configuration says anything of it,
    /// [`ContactError::Store`].
    pub fn forget(&self, address: Address) -> Result<(), ContactError> {
        let mut book = self.book();
        if !book.kept.contains_key(&address) {
            let address = book.address_of(Whose::Address(address))?;
            let name = book.configured_name(&address).cloned();
            let name = name.expect("invariant: who is not in the database is in the configuration");
            return Err(ContactError::Configured { name, address });
        }
        self.put(&mut book, address, Record { name: None, trust: None })
    }
}
