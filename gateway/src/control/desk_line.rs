// SPDX-License-Identifier: AGPL-3.0-or-later
//! What client and daemon say to each other about addresses, contacts and trust: a line of JSON each way.

use std::fmt;

use ratman_types::{Address, WallTime};
use serde::{Deserialize, Serialize};

use super::RequestLine;
use crate::addresses::{Asker, AuthToken, Life};
use crate::contacts::{Contact, Whose};
use crate::desk::{Desk, DeskError, Standing};

/// An address of a client, and the proof that it is the client's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owned {
    /// Which.
    pub address: Address,
    /// Its token.
    pub token: AuthToken,
}

/// What can be asked about addresses of clients, `{"address":"create"}` and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum AddressRequest {
    /// To make one; answered by [`DeskAnswer::Created`].
    Create,
    /// To show all; answered by [`DeskAnswer::Addresses`].
    List,
    /// To announce one, and take streams for it.
    Up(Owned),
    /// Not to announce it any more.
    Down(Owned),
    /// To forget it and its key for good, with what was sent to it and by it.
    Destroy(Doomed),
}

/// An address that is to be destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doomed {
    /// Which.
    pub address: Address,
    /// Its token; root, and the daemon's user, may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<AuthToken>,
}

/// What can be asked about contacts, `{"contact":"list"}` and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum ContactRequest {
    /// To show all; answered by [`DeskAnswer::Contacts`].
    List,
    /// To give an address a name.
    Add {
        /// The name.
        name: String,
        /// The address.
        address: Address,
        /// How much it is trusted; as before if left out.
        trust: Option<u32>,
    },
    /// To forget one, and how much it is trusted.
    Remove {
        /// Its name.
        name: String,
    },
}

/// What can be asked about trust, `{"trust":{"set":…}}` or `{"trust":{"unset":…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum TrustRequest {
    /// To say how much somebody is trusted.
    Set {
        /// An address, the id of a neighbour, or the name of a contact.
        whose: String,
        /// How much, compared with others.
        score: u32,
    },
    /// To take that back: not the same as a score of 0.
    Unset {
        /// As in [`TrustRequest::Set`].
        whose: String,
    },
}

/// Anything that can be asked of the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeskRequest {
    /// About addresses of clients.
    Address(AddressRequest),
    /// About contacts.
    Contact(ContactRequest),
    /// About trust.
    Trust(TrustRequest),
}

impl From<DeskRequest> for RequestLine {
    fn from(request: DeskRequest) -> Self {
        match request {
            DeskRequest::Address(request) => Self::Address(request),
            DeskRequest::Contact(request) => Self::Contact(request),
            DeskRequest::Trust(request) => Self::Trust(request),
        }
    }
}

/// What is answered, `{"desk":…}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeskAnswer {
    /// An address was made.
    Created {
        /// Which.
        address: Address,
        /// Its token, told once.
        token: AuthToken,
    },
    /// The addresses of clients.
    Addresses(Vec<AddressLine>),
    /// The contacts.
    Contacts(Vec<ContactLine>),
    /// It was done.
    Done,
}

/// An address of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressLine {
    /// The address.
    pub address: Address,
    /// Whether it is announced.
    pub up: bool,
    /// When it was made, in microseconds since 1970, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub made_us: Option<u64>,
    /// When its token was shown last, in microseconds since 1970, give or take an hour; left out where it was not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub used_us: Option<u64>,
    /// The id of the user who made it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uid: Option<u32>,
    /// Why it cannot be used any more, where that is so.
    pub damage: Option<String>,
}

/// A contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactLine {
    /// Its address.
    pub address: Address,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Whether the name is the configuration's.
    pub configured: bool,
    /// How much it is trusted, where somebody said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trust: Option<u32>,
}

impl From<Standing> for AddressLine {
    fn from(Standing { address, up, life: Life { made, used, uid }, damage }: Standing) -> Self {
        let [made_us, used_us] = [made, used].map(|time| time.map(WallTime::as_micros));
        Self { address, up, made_us, used_us, uid, damage: damage.map(|damage| damage.to_string()) }
    }
}

impl From<Contact> for ContactLine {
    fn from(Contact { address, name, configured, trust }: Contact) -> Self {
        Self { address, name, configured, trust }
    }
}

impl DeskRequest {
    /// Does what is asked.
    pub(super) async fn serve(self, desk: &Desk, asker: Asker) -> Result<DeskAnswer, DeskError> {
        match self {
            Self::Address(request) => request.serve(desk, asker).await,
            Self::Contact(request) => request.serve(desk).await,
            Self::Trust(request) => request.serve(desk).await,
        }
    }
}

impl AddressRequest {
    async fn serve(self, desk: &Desk, asker: Asker) -> Result<DeskAnswer, DeskError> {
        match self {
            Self::Create => {
                let (address, token) = desk.create(asker).await?;
                return Ok(DeskAnswer::Created { address, token });
            }
            Self::List => {
                let lines = desk.addresses().await?.into_iter().map(AddressLine::from);
                return Ok(DeskAnswer::Addresses(lines.collect()));
            }
            Self::Up(Owned { address, token }) => desk.up(address, token, asker).await?,
            Self::Down(Owned { address, token }) => desk.down(address, token).await?,
            Self::Destroy(Doomed { address, token }) => desk.destroy(address, token, asker).await?,
        }
        Ok(DeskAnswer::Done)
    }
}

impl ContactRequest {
    async fn serve(self, desk: &Desk) -> Result<DeskAnswer, DeskError> {
        match self {
            Self::List => {
                let lines = desk.list_contacts().await?.into_iter().map(ContactLine::from);
                return Ok(DeskAnswer::Contacts(lines.collect()));
            }
            Self::Add { name, address, trust } => desk.add_contact(name, address, trust).await?,
            Self::Remove { name } => desk.forget_contact(Whose::Name(name)).await?,
        }
        Ok(DeskAnswer::Done)
    }
}

impl TrustRequest {
    async fn serve(self, desk: &Desk) -> Result<DeskAnswer, DeskError> {
        match self {
            Self::Set { whose, score } => desk.set_trust(Whose::said(whose), Some(score)).await?,
            Self::Unset { whose } => desk.set_trust(Whose::said(whose), None).await?,
        }
        Ok(DeskAnswer::Done)
    }
}

/// As people read it; nothing where there is nothing to say.
impl fmt::Display for DeskAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { address, token } => {
                write!(f, "address  {address}\ntoken    {}", *token.reveal())
            }
            Self::Addresses(lines) => lines.iter().try_for_each(|line| writeln!(f, "{line}")),
            Self::Contacts(lines) => lines.iter().try_for_each(|line| writeln!(f, "{line}")),
            Self::Done => Ok(()),
        }
    }
}

impl fmt::Display for AddressLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, up, made_us, used_us, uid, damage } = self;
        let date = |micros| WallTime::from_micros(micros).date();
        write!(f, "{address}  {}", if *up { "up" } else { "down" })?;
        made_us.map_or(Ok(()), |made| write!(f, "  made {}", date(made)))?;
        used_us.map_or(Ok(()), |used| write!(f, "  used {}", date(used)))?;
        uid.map_or(Ok(()), |uid| write!(f, "  user {uid}"))?;
        damage.as_ref().map_or(Ok(()), |damage| write!(f, "  damaged: {damage}"))
    }
}

impl fmt::Display for ContactLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, name, configured, trust } = self;
        write!(f, "{address}")?;
        name.as_ref().map_or(Ok(()), |name| write!(f, "  {name}"))?;
        trust.map_or(Ok(()), |trust| write!(f, "  trust {trust}"))?;
        f.write_str(if *configured { "  (configuration)" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Address = Address::from_bytes([0xAB; 32]);

    #[test]
    fn requests_are_as_documented() {
        let token = AuthToken::from_bytes([0xCD; 32]);
        let hex = "cd".repeat(32);
        for (request, text) in [
            (RequestLine::Address(AddressRequest::Create), r#"{"address":"create"}"#.to_owned()),
            (
                RequestLine::Address(AddressRequest::Up(Owned { address: ADDRESS, token })),
                format!(r#"{{"address":{{"up":{{"address":"{ADDRESS}","token":"{hex}"}}}}}}"#),
            ),
            (
                RequestLine::Address(AddressRequest::Destroy(Doomed { address: ADDRESS, token: None })),
                format!(r#"{{"address":{{"destroy":{{"address":"{ADDRESS}"}}}}}}"#),
            ),
            (RequestLine::Contact(ContactRequest::List), r#"{"contact":"list"}"#.to_owned()),
            (
                RequestLine::Contact(ContactRequest::Add {
                    name: "ann".to_owned(),
                    address: ADDRESS,
                    trust: Some(3),
                }),
                format!(r#"{{"contact":{{"add":{{"name":"ann","address":"{ADDRESS}","trust":3}}}}}}"#),
            ),
            (
                RequestLine::Trust(TrustRequest::Set { whose: "ann".to_owned(), score: 3 }),
                r#"{"trust":{"set":{"whose":"ann","score":3}}}"#.to_owned(),
            ),
            (
                RequestLine::Trust(TrustRequest::Unset { whose: "ann".to_owned() }),
                r#"{"trust":{"unset":{"whose":"ann"}}}"#.to_owned(),
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
            assert_eq!(RequestLine::parse(text.as_bytes()), Ok(request));
        }
        for wrong in [
            r#"{"address":"up"}"#,
            r#"{"address":{"up":{"address":"x","token":"y"}}}"#,
            r#"{"contact":{"add":{"name":"ann"}}}"#,
            r#"{"trust":{"set":{"whose":"ann","score":-1}}}"#,
            r#"{"trust":{"unset":{"whose":"ann","score":1}}}"#,
        ] {
            assert!(RequestLine::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_shown_with_what_is_known_of_it() {
        let unknown = AddressLine {
            address: ADDRESS,
            up: false,
            made_us: None,
            used_us: None,
            uid: None,
            damage: None,
        };
        assert_eq!(unknown.to_string(), format!("{ADDRESS}  down"));
        let text = serde_json::to_string(&unknown).unwrap();
        assert_eq!(text, format!(r#"{{"address":"{ADDRESS}","up":false,"damage":null}}"#));
        let known = AddressLine {
            made_us: Some(1_709_164_800_000_000),
            used_us: Some(1_798_761_599_999_999),
            uid: Some(7),
            up: true,
            ..unknown
        };
        let text = format!("{ADDRESS}  up  made 2024-02-29  used 2026-12-31  user 7");
        assert_eq!(known.to_string(), text);
    }

    #[test]
    fn who_has_no_trust_has_no_word_of_it() {
        let line =
            |trust| ContactLine { address: ADDRESS, name: Some("ann".to_owned()), configured: false, trust };
        let text = |trust| serde_json::to_string(&DeskAnswer::Contacts(vec![line(trust)])).unwrap();
        let start = format!(r#"{{"contacts":[{{"address":"{ADDRESS}","name":"ann","configured":false"#);
        assert_eq!(text(None), format!("{start}}}]}}"));
        assert_eq!(text(Some(0)), format!(r#"{start},"trust":0}}]}}"#));
        assert_eq!(line(Some(0)).to_string(), format!("{ADDRESS}  ann  trust 0"));
        assert_eq!(
            ContactLine { configured: true, ..line(None) }.to_string(),
            format!("{ADDRESS}  ann  (configuration)")
        );
    }
}
