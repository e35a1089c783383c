// SPDX-License-Identifier: AGPL-3.0-or-later

use std::path::Path;
use std::sync::LazyLock;

use ratman_types::{SecretKey, Signer};

use super::*;
use crate::store::StoreConfig;

/// In the order of their addresses.
static PEOPLE: LazyLock<[Address; 3]> = LazyLock::new(|| {
    let mut people = [1, 2, 3].map(|byte| SecretKey::from_seed([byte; 32]).address());
    people.sort_unstable();
    people
});

fn open(dir: &Path, configured: &[(&str, Address)]) -> Contacts {
    let store = Arc::new(Store::open(dir, &StoreConfig::default()).unwrap());
    Contacts::open(store, names(configured)).unwrap()
}

fn names(configured: &[(&str, Address)]) -> BTreeMap<String, Address> {
    configured.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect()
}

fn contact(address: Address, name: Option<&str>, configured: bool, trust: Option<u32>) -> Contact {
    Contact { address, name: name.map(str::to_owned), configured, trust }
}

#[test]
fn names_and_trust_are_there_after_a_restart() {
    let [ann, bob, eve] = *PEOPLE;
    let dir = tempfile::tempdir().unwrap();
    let contacts = open(dir.path(), &[]);
    contacts.add("ann", ann, Some(7)).unwrap();
    contacts.add("bob", bob, None).unwrap();
    contacts.set_trust(eve, Some(0)).unwrap();
    let expected = [
        contact(ann, Some("ann"), false, Some(7)),
        contact(bob, Some("bob"), false, None),
        contact(eve, None, false, Some(0)),
    ];
    assert_eq!(contacts.list(), expected);
    drop(contacts);
    let contacts = open(dir.path(), &[]);
    assert_eq!(contacts.list(), expected);
    assert_eq!(contacts.regard().trust, [(ann, 7), (eve, 0)].into(), "who has no score is absent");
    assert_eq!((contacts.find("bob"), contacts.find("eve")), (Some(bob), None));
}

#[test]
fn what_is_taken_back_is_gone() {
    let [ann, bob, _] = *PEOPLE;
    let dir = tempfile::tempdir().unwrap();
    let contacts = open(dir.path(), &[]);
    contacts.add("ann", ann, Some(7)).unwrap();
    contacts.set_trust(ann, None).unwrap();
    assert_eq!(contacts.list(), [contact(ann, Some("ann"), false, None)]);
    contacts.set_trust(ann, Some(2)).unwrap();
    contacts.add("ann", ann, None).unwrap();
    assert_eq!(contacts.regard().trust, [(ann, 2)].into(), "said once more without trust");
    contacts.remove("ann").unwrap();
    assert!(matches!(contacts.remove("ann"), Err(ContactError::Unknown(_))));
    contacts.set_trust(bob, Some(1)).unwrap();
    contacts.set_trust(bob, None).unwrap();
    contacts.set_trust(bob, None).unwrap();
    assert!(contacts.list().is_empty());
    assert_eq!(contacts.store.scan(Table::Contacts, Key::EMPTY).count(), 0);
}

#[test]
fn no_name_has_two_addresses_and_no_address_two_names() {
    let [ann, bob, eve] = *PEOPLE;
    let dir = tempfile::tempdir().unwrap();
    let contacts = open(dir.path(), &[("bob", bob)]);
    contacts.add("ann", ann, None).unwrap();
    let error = |name: &str, address| contacts.add(name, address, None).unwrap_err().to_string();
    assert_eq!(error("ann", eve), format!("ann is {ann} already; remove that first"));
    assert_eq!(error("anna", ann), format!("{ann} is ann already; remove that first"));
    let configured = format!("bob is {bob} in [contacts] of the configuration, which is changed there");
    assert_eq!(error("bob", eve), configured);
    assert_eq!(contacts.remove("bob").unwrap_err().to_string(), configured);
    for wrong in ["", "a b", "any", "self", &"x".repeat(64)] {
        assert!(error(wrong, eve).starts_with("expected a name of 1 to 63 letters"), "{wrong}");
    }
    let nobody = Address::from_bytes([0xFF; 32]);
    assert!(error("nobody", nobody).ends_with("which is no public key"));
    assert!(matches!(contacts.set_trust(nobody, Some(1)), Err(ContactError::NoKey(_))));
    contacts.add("robert", bob, Some(1)).unwrap();
    assert_eq!(contacts.find("robert"), contacts.find("bob"));
    let listed = [contact(bob, Some("bob"), true, Some(1)), contact(bob, Some("robert"), false, Some(1))];
    assert_eq!(contacts.list()[1..], listed);
}

#[test]
fn what_is_said_is_changed_by_address_and_by_name() {
    let [ann, bob, eve] = *PEOPLE;
    let dir = tempfile::tempdir().unwrap();
    let contacts = open(dir.path(), &[("bob", bob)]);
    let by = |name: &str| Whose::Name(name.to_owned());
    let set = |name: &str| Edit::Set(name.to_owned());
    contacts.add("ann", ann, Some(7)).unwrap();
    contacts.change(by("ann"), Edit::Keep, Edit::Set(0)).unwrap();
    contacts.change(Whose::Address(ann), set("anna"), Edit::Keep).unwrap();
    contacts.change(by("anna"), set("anna"), Edit::Keep).unwrap();
    let configured = contact(bob, Some("bob"), true, None);
    assert_eq!(contacts.list(), [contact(ann, Some("anna"), false, Some(0)), configured.clone()]);
    contacts.change(by("anna"), Edit::Unset, Edit::Keep).unwrap();
    assert_eq!(contacts.list(), [contact(ann, None, false, Some(0)), configured.clone()]);

    contacts.change(by("bob"), Edit::Keep, Edit::Set(5)).unwrap();
    contacts.change(Whose::Address(bob), set("bobby"), Edit::Unset).unwrap();
    let mut both = vec![contact(ann, None, false, Some(0)), configured.clone()];
    both.push(contact(bob, Some("bobby"), false, None));
    assert_eq!(contacts.list(), both);

    let keep = |whose, name| contacts.change(whose, name, Edit::Set(9)).unwrap_err();
    let (unknown, stranger) = (keep(by("eve"), Edit::Keep), keep(Whose::Address(eve), Edit::Keep));
    assert!(matches!((&unknown, &stranger), (ContactError::Unknown(_), ContactError::Stranger(_))));
    assert!(matches!(keep(Whose::Address(ann), set("bobby")), ContactError::Taken { .. }));
    assert!(matches!(keep(Whose::Address(ann), set("bob")), ContactError::Configured { .. }));
    assert!(matches!(keep(Whose::Address(ann), set("no name")), ContactError::Name(_)));
    assert_eq!(contacts.list(), both, "what is refused changes nothing");

    contacts.change(by("bobby"), Edit::Unset, Edit::Keep).unwrap();
    assert!(matches!(keep(Whose::Address(bob), Edit::Unset), ContactError::Configured { .. }));
    contacts.change(Whose::Address(ann), Edit::Keep, Edit::Unset).unwrap();
    assert_eq!(contacts.list(), [configured], "who has neither name nor trust is no contact");
}

#[test]
fn an_address_is_forgotten_with_all_that_was_said_of_it() {
    let [ann, bob, eve] = *PEOPLE;
    let dir = tempfile::tempdir().unwrap();
    let contacts = open(dir.path(), &[("bob", bob)]);
    contacts.add("ann", ann, Some(7)).unwrap();
    contacts.set_trust(bob, Some(1)).unwrap();
    for address in [ann, bob] {
        contacts.forget(address).unwrap();
    }
    assert_eq!(contacts.list(), [contact(bob, Some("bob"), true, None)]);
    assert!(matches!(contacts.forget(ann), Err(ContactError::Stranger(_))));
    assert!(matches!(contacts.forget(eve), Err(ContactError::Stranger(_))));
    assert!(matches!(contacts.forget(bob), Err(ContactError::Configured { .. })));
}

#[test]
fn the_configuration_hides_a_name_and_a_later_one_gives_it_back() {
    let [ann, _, eve] = *PEOPLE;
    let dir = tempfile::tempdir().unwrap();
    let contacts = open(dir.path(), &[]);
    contacts.add("ann", ann, Some(7)).unwrap();
    contacts.set_configured(names(&[("ann", eve)]));
    assert_eq!(contacts.find("ann"), Some(eve));
    assert_eq!(contacts.regard().trust, [(ann, 7)].into(), "trust is said of addresses, not of names");
    let listed = [contact(ann, Some("ann"), false, Some(7)), contact(eve, Some("ann"), true, None)];
    assert_eq!(contacts.list(), listed, "nothing is hidden from the operator");
    contacts.remove("ann").unwrap();
    assert_eq!(contacts.list(), [contact(eve, Some("ann"), true, None)]);
    contacts.set_configured(BTreeMap::new());
    contacts.add("ann", ann, None).unwrap();
    assert_eq!(contacts.find("ann"), Some(ann));
}

#[test]
fn there_are_so_many_and_no_more() {
    let [ann, bob, _] = *PEOPLE;
    let dir = tempfile::tempdir().unwrap();
    let contacts = open(dir.path(), &[]);
    let address = |number: usize| {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        Address::from_bytes(bytes)
    };
    let put = |number| {
        let value = Record { name: None, trust: Some(1) }.to_bytes();
        Change::Put { table: Table::Contacts, key: Key::address(address(number).as_bytes()), value }
    };
    contacts.store.commit(&(1..MAX_CONTACTS).map(put).collect::<Vec<_>>()).unwrap();
    drop(contacts);
    let contacts = open(dir.path(), &[]);
    contacts.add("ann", ann, None).unwrap();
    assert!(matches!(contacts.set_trust(bob, Some(1)), Err(ContactError::Full)));
    assert!(matches!(contacts.add("bob", bob, None), Err(ContactError::Full)));
    contacts.set_trust(bob, None).unwrap();
    contacts.set_trust(ann, Some(2)).unwrap();
    contacts.remove("ann").unwrap();
    contacts.add("bob", bob, None).unwrap();
}

#[test]
fn a_damaged_record_is_left_out_and_stays() {
    let [ann, bob, _] = *PEOPLE;
    let dir = tempfile::tempdir().unwrap();
    let contacts = open(dir.path(), &[]);
    contacts.add("ann", ann, Some(7)).unwrap();
    let key = Key::address(bob.as_bytes());
    let later = Change::Put { table: Table::Contacts, key, value: vec![2, 0, 0] };
    contacts.store.commit(&[later]).unwrap();
    drop(contacts);
    let contacts = open(dir.path(), &[]);
    assert_eq!(contacts.list(), [contact(ann, Some("ann"), false, Some(7))]);
    assert_eq!(contacts.store.get(Table::Contacts, &key).unwrap(), Some(vec![2, 0, 0]));
}
