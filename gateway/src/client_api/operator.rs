// SPDX-License-Identifier: AGPL-3.0-or-later
//! What only operators may ask for: contacts, which are theirs. Through the desk, as on the control socket.

use ratman_wire::api::{
    self, ContactChange, ContactKey, ContactName, NameChange, NewContact, PageOf, RefusalReason, Reply,
    TrustChange,
};

use super::Doors;
use super::failure::Failure;
use super::queries::{only, page};
use crate::contacts::{Contact, ContactError, Edit, Whose};
use crate::desk::DeskError;

/// Gives an address a name, or a trust score, or both.
pub(super) async fn add(doors: &Doors, new: NewContact) -> Result<Reply, Failure> {
    let NewContact { address, name, trust } = new;
    let added = match (name, trust) {
        (Some(name), trust) => doors.desk.add_contact(name.as_str().to_owned(), address, trust).await,
        (None, Some(trust)) => doors.desk.set_trust(Whose::Address(address), Some(trust)).await,
        (None, None) => {
            let nothing = "expected a name, or a trust score, or both";
            return Err(Failure::refused(RefusalReason::Invalid, nothing));
        }
    };
    done(added)
}

/// Forgets what was said of an address.
pub(super) async fn delete(doors: &Doors, whose: ContactKey) -> Result<Reply, Failure> {
    done(doors.desk.forget_contact(whose_of(&whose)).await)
}

/// Changes what was said of an address.
pub(super) async fn modify(doors: &Doors, change: ContactChange) -> Result<Reply, Failure> {
    let ContactChange { contact, name, trust } = change;
    let name = match name {
        NameChange::Keep => Edit::Keep,
        NameChange::Set(name) => Edit::Set(name.as_str().to_owned()),
        NameChange::Unset => Edit::Unset,
    };
    let trust = match trust {
        TrustChange::Keep => Edit::Keep,
        TrustChange::Set(score) => Edit::Set(score),
        TrustChange::Unset => Edit::Unset,
    };
    done(doors.desk.change_contact(whose_of(&contact), name, trust).await)
}

/// The contacts, in the order of their addresses; an address with several names is there as often.
pub(super) async fn list(doors: &Doors, wanted: &PageOf) -> Result<Reply, Failure> {
    let contacts = doors.desk.list_contacts().await?;
    Ok(Reply::ContactPage(page(contacts.iter().map(|contact| (key(contact), contact)), wanted, entry)?))
}

/// One contact, if there is one: where the configuration and the database both know it, what the configuration says.
pub(super) async fn query(doors: &Doors, whose: &ContactKey) -> Result<Reply, Failure> {
    let contacts = doors.desk.list_contacts().await?;
    let meant = |contact: &&Contact| match whose {
        ContactKey::Address(address) => contact.address == *address,
        ContactKey::Name(name) => contact.name.as_deref() == Some(name.as_str()),
    };
    let found = contacts.iter().filter(meant).min_by_key(|contact| !contact.configured);
    Ok(Reply::ContactPage(only(found.map(entry))))
}

/// Its address, its name, and whose the name is: the same may be in the configuration and in the database.
fn key(contact: &Contact) -> Vec<u8> {
    let name = contact.name.as_deref().unwrap_or_default();
    [&contact.address.as_bytes()[..], name.as_bytes(), &[0, u8::from(contact.configured)]].concat()
}

fn entry(contact: &Contact) -> api::Contact {
    let name = contact.name.as_deref().map(ContactName::of);
    api::Contact { address: contact.address, name, configured: contact.configured, trust: contact.trust }
}

fn whose_of(key: &ContactKey) -> Whose {
    match key {
        ContactKey::Address(address) => Whose::Address(*address),
        ContactKey::Name(name) => Whose::Name(name.as_str().to_owned()),
    }
}

fn done(outcome: Result<(), DeskError>) -> Result<Reply, Failure> {
    match outcome {
        Ok(()) => Ok(Reply::Ok),
        Err(DeskError::Contact(error)) => Err(Failure::refused(reason(&error), &error.to_string())),
        Err(DeskError::Ending) => {
            Err(Failure::refused(RefusalReason::Ending, &DeskError::Ending.to_string()))
        }
        Err(
            error @ (DeskError::Address(_)
            | DeskError::Subscription(_)
            | DeskError::Filter(_)
            | DeskError::Store(_)
            | DeskError::TooOften { .. }
            | DeskError::NotOperator),
        ) => Err(error.into()),
    }
}

const fn reason(error: &ContactError) -> RefusalReason {
    match error {
        ContactError::Name(_) | ContactError::NoKey(_) => RefusalReason::Invalid,
        ContactError::Configured { .. } => RefusalReason::Configured,
        ContactError::Taken { .. } | ContactError::Named { .. } => RefusalReason::InUse,
        ContactError::Unknown(_) | ContactError::Stranger(_) => RefusalReason::NotFound,
        ContactError::Full => RefusalReason::Full,
        ContactError::Store(_) => RefusalReason::NotStored,
    }
}
