// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratctl contact` and `ratctl trust`.

use clap::Subcommand;
use ratman_client::types::{
    Address, Contact, ContactChange, ContactKey, ContactName, NameChange, NewContact, Recipient, TrustChange,
};
use serde_json::{Value, json};

use crate::{Failure, GlobalArgs, Result, Table, Whom};

#[derive(Debug, Subcommand)]
pub(super) enum ContactCommand {
    /// Give an address a name
    Add {
        /// The name: 1 to 63 letters, digits, - and _
        #[arg(value_parser = name)]
        name: ContactName,
        /// The address
        address: Address,
        /// How much it is trusted, compared with others
        #[arg(long, value_name = "N")]
        trust: Option<u32>,
    },
    /// Forget a contact, and how much it is trusted
    Remove {
        /// Its name or address
        contact: Whom,
    },
    /// Show all of them, those of the configuration too
    List,
    /// Give a contact another name
    Rename {
        /// Its name or address
        contact: Whom,
        /// Its new name
        #[arg(value_parser = name)]
        name: ContactName,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TrustCommand {
    /// Say how much somebody is trusted: among routers that could carry a message to who is away, more trust goes first
    Set {
        /// An address, the id of a neighbouring router, or the name of a contact
        whom: Whom,
        /// How much, compared with others
        trust: u32,
    },
    /// Say nothing about it any more, which is not zero
    Unset {
        /// An address, the id of a neighbouring router, or the name of a contact
        whom: Whom,
    },
    /// Show who is trusted
    List,
}

fn name(text: &str) -> Result<ContactName, String> {
    match text.parse() {
        Ok(Whom::Name(name)) => Ok(name),
        Ok(Whom::Recipient(_)) | Err(_) => Err("expected 1 to 63 letters, digits, - and _".to_owned()),
    }
}

fn key(whom: Whom) -> Result<ContactKey> {
    match whom {
        Whom::Recipient(Recipient::Address(address)) => Ok(ContactKey::Address(address)),
        Whom::Name(name) => Ok(ContactKey::Name(name)),
        Whom::Recipient(Recipient::Namespace(_)) => Err(Failure::usage("a namespace is no contact")),
    }
}

impl ContactCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let output = global.output();
        let ipc = global.connect().await?;
        match self {
            Self::Add { name, address, trust } => {
                ipc.contact_add(NewContact { address, name: Some(name), trust }).await?;
            }
            Self::Remove { contact } => ipc.contact_delete(key(contact)?).await?,
            Self::Rename { contact, name } => {
                let name = NameChange::Set(name);
                let change = ContactChange { contact: key(contact)?, name, trust: TrustChange::Keep };
                ipc.contact_modify(change).await?;
            }
            Self::List => {
                let contacts = ipc.contact_list().await?;
                let row = |contact: &Contact| {
                    let configured = if contact.configured { "configuration" } else { "" };
                    [
                        shown_name(contact),
                        contact.address.to_string(),
                        shown_trust(contact),
                        configured.to_owned(),
                    ]
                };
                let rows = contacts.iter().map(row).collect();
                let table = Table::new(["name", "address", "trust", "from"], rows, "no contacts");
                return output.answer(table, &to_json(&contacts));
            }
        }
        output.done()
    }
}

impl TrustCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let output = global.output();
        let ipc = global.connect().await?;
        match self {
            // Who is no contact becomes one.
            Self::Set { whom: Whom::Recipient(Recipient::Address(address)), trust } => {
                ipc.contact_add(NewContact { address, name: None, trust: Some(trust) }).await?;
            }
            Self::Set { whom, trust } => {
                let change = ContactChange {
                    contact: key(whom)?,
                    name: NameChange::Keep,
                    trust: TrustChange::Set(trust),
                };
                ipc.contact_modify(change).await?;
            }
            Self::Unset { whom } => {
                let trust = TrustChange::Unset;
                ipc.contact_modify(ContactChange { contact: key(whom)?, name: NameChange::Keep, trust })
                    .await?;
            }
            Self::List => {
                let mut contacts = ipc.contact_list().await?;
                contacts.retain(|contact| contact.trust.is_some());
                let row = |contact: &Contact| {
                    [shown_trust(contact), contact.address.to_string(), shown_name(contact)]
                };
                let table = Table::new(
                    ["trust", "address", "name"],
                    contacts.iter().map(row).collect(),
                    "nobody is trusted more than others",
                );
                return output.answer(table, &to_json(&contacts));
            }
        }
        output.done()
    }
}

fn shown_name(contact: &Contact) -> String {
    contact.name.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn shown_trust(contact: &Contact) -> String {
    contact.trust.map(|trust| trust.to_string()).unwrap_or_default()
}

fn to_json(contacts: &[Contact]) -> Vec<Value> {
    let json = |contact: &Contact| {
        json!({
            "address": contact.address,
            "name": contact.name.as_ref().map(ContactName::as_str),
            "trust": contact.trust,
            "configured": contact.configured,
        })
    };
    contacts.iter().map(json).collect()
}
