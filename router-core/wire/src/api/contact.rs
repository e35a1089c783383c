// SPDX-License-Identifier: AGPL-3.0-or-later
//! Names and trust: what the operator says of addresses of others. Version 1 of ours.

use ratman_types::Address;

use super::field::{Optional, choice, record};
use super::text::Text;

/// The name of a contact: 1 to 63 letters, digits, `-` and `_`; the router checks that.
pub type ContactName = Text<63>;

record! {
    /// An address to be given a name, or a trust score, or both.
    pub struct NewContact {
        /// The address.
        pub address: Address,
        /// Its name.
        pub name: Option<ContactName>,
        /// How much it is trusted, compared with others.
        pub trust: Option<u32>,
    }

    /// What is to become of a contact.
    pub struct ContactChange {
        /// Which.
        pub contact: ContactKey,
        /// Its name.
        pub name: NameChange,
        /// How much it is trusted.
        pub trust: TrustChange,
    }

    /// A contact.
    pub struct Contact {
        /// Its address.
        pub address: Address,
        /// Its name.
        pub name: Option<ContactName>,
        /// Whether the name is the configuration's, which only an editor changes.
        pub configured: bool,
        /// How much it is trusted; nothing where nobody said so, which is not zero (source: manual, Appendix C).
        pub trust: Option<u32>,
    }
}

choice! {
    /// Which contact is meant.
    pub enum ContactKey {
        /// That with this address; also the id of a neighbour, where it is about trust.
        Address(Address) = 1,
        /// That with this name.
        Name(ContactName) = 2,
    }

    /// What is to become of a name.
    pub enum NameChange {
        /// It stays.
        Keep = 0,
        /// It becomes this.
        Set(ContactName) = 1,
        /// There is none.
        Unset = 2,
    }

    /// What is to become of a trust score.
    pub enum TrustChange {
        /// It stays.
        Keep = 0,
        /// It becomes this.
        Set(u32) = 1,
        /// There is none, which is not zero.
        Unset = 2,
    }
}

impl Optional for ContactKey {}
