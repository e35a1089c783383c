// SPDX-License-Identifier: AGPL-3.0-or-later
//! Contacts, which are the operator's.

use ratman_wire::api::{
    Contact, ContactChange, ContactKey, ContactName, Cursor, NameChange, NewContact, PageOf, Refusal,
    RefusalReason, TrustChange,
};

use super::*;
use crate::config::MAX_CONTACTS;
use crate::contacts::Record;
use crate::store::{Change, Key, Table};

fn person(number: u8) -> Address {
    SecretKey::from_seed([number; 32]).address()
}

fn contact(address: Address, name: Option<&str>, trust: Option<u32>) -> Contact {
    Contact { address, name: name.map(ContactName::of), configured: false, trust }
}

fn add(address: Address, name: Option<&str>, trust: Option<u32>) -> Request {
    Request::ContactAdd(NewContact { address, name: name.map(ContactName::of), trust })
}

fn named(name: &str) -> ContactKey {
    ContactKey::Name(ContactName::of(name))
}

async fn contacts(client: &mut Client<UnixStream>, request: &Request) -> (Vec<Contact>, Cursor) {
    let told = client.ask(request, None).await;
    let Reply::ContactPage(page) = told else { panic!("{told:?}") };
    (page.entries.into_vec(), page.next)
}

async fn refusal(client: &mut Client<UnixStream>, request: &Request) -> RefusalReason {
    let told = client.ask(request, None).await;
    let Reply::Refused(Refusal { reason, detail }) = told else { panic!("{request:?}: {told:?}") };
    assert!(!detail.as_str().is_empty());
    reason
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_tcp_hears_nothing_of_contacts() {
    let api = Api::new();
    let mut client = api.client().await;
    let change = ContactChange { contact: named("ann"), name: NameChange::Keep, trust: TrustChange::Keep };
    for request in [
        add(person(2), Some("ann"), None),
        Request::ContactDelete(named("ann")),
        Request::ContactModify(change),
        Request::ContactList(PageOf::first()),
        Request::ContactQuery(named("ann")),
    ] {
        let told = client.ask(&request, None).await;
        let operator_only =
            matches!(&told, Reply::Refused(refusal) if refusal.reason == RefusalReason::OperatorOnly);
        assert!(operator_only, "{request:?}: {told:?}");
    }
    assert_eq!(client.ask(&Request::Connect(ApiVersion::OURS), None).await, Reply::Ok, "it goes on");
    assert!(api.desk.list_contacts().await.unwrap().is_empty());
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_added_changed_and_forgotten() {
    let api = Api::new();
    let mut client = api.operator().await;
    let [ann, bob] = [2, 3].map(person);
    for request in [add(ann, Some("ann"), Some(0)), add(bob, None, Some(7))] {
        assert_eq!(client.ask(&request, None).await, Reply::Ok);
        assert_eq!(client.ask(&request, None).await, Reply::Ok, "twice does no more");
    }
    let of = |key| Request::ContactQuery(key);
    let expected = (vec![contact(ann, Some("ann"), Some(0))], Cursor::default());
    assert_eq!(contacts(&mut client, &of(named("ann"))).await, expected);
    assert_eq!(contacts(&mut client, &of(ContactKey::Address(ann))).await, expected);
    let more = add(ann, Some("ann"), None);
    assert_eq!(client.ask(&more, None).await, Reply::Ok);
    assert_eq!(contacts(&mut client, &of(named("ann"))).await, expected, "the trust stays");

    let change = |contact, name, trust| Request::ContactModify(ContactChange { contact, name, trust });
    let renamed = change(named("ann"), NameChange::Set(ContactName::of("anna")), TrustChange::Unset);
    assert_eq!(client.ask(&renamed, None).await, Reply::Ok);
    assert!(contacts(&mut client, &of(named("ann"))).await.0.is_empty());
    let called =
        change(ContactKey::Address(bob), NameChange::Set(ContactName::of("bob")), TrustChange::Set(8));
    assert_eq!(client.ask(&called, None).await, Reply::Ok);
    let mut expected = vec![contact(ann, Some("anna"), None), contact(bob, Some("bob"), Some(8))];
    expected.sort_by_key(|contact| contact.address);
    let list = Request::ContactList(PageOf::first());
    assert_eq!(contacts(&mut client, &list).await, (expected, Cursor::default()));

    for whose in [named("anna"), ContactKey::Address(bob)] {
        let delete = Request::ContactDelete(whose.clone());
        assert_eq!(client.ask(&delete, None).await, Reply::Ok);
        assert_eq!(refusal(&mut client, &delete).await, RefusalReason::NotFound);
        let change = change(whose.clone(), NameChange::Keep, TrustChange::Set(1));
        assert_eq!(refusal(&mut client, &change).await, RefusalReason::NotFound);
        assert!(contacts(&mut client, &of(whose)).await.0.is_empty());
    }
    assert!(contacts(&mut client, &list).await.0.is_empty());
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_with_its_reason() {
    let api = Api::new();
    let mut client = api.operator().await;
    let [ann, bob, eve] = [2, 3, 4].map(person);
    api.desk.contacts().set_configured([("bob".to_owned(), bob)].into());
    assert_eq!(client.ask(&add(ann, Some("ann"), None), None).await, Reply::Ok);
    let change =
        |contact, name| Request::ContactModify(ContactChange { contact, name, trust: TrustChange::Keep });
    let set = |name| NameChange::Set(ContactName::of(name));
    for (request, reason) in [
        (add(eve, Some("ann"), None), RefusalReason::InUse),
        (add(ann, Some("anna"), None), RefusalReason::InUse),
        (add(eve, Some("no name"), None), RefusalReason::Invalid),
        (add(eve, Some("any"), None), RefusalReason::Invalid),
        (add(eve, None, None), RefusalReason::Invalid),
        (add(Address::from_bytes([2; 32]), Some("nobody"), None), RefusalReason::Invalid),
        (add(eve, Some("bob"), None), RefusalReason::Configured),
        (change(named("bob"), NameChange::Unset), RefusalReason::Configured),
        (change(named("ann"), set("bob")), RefusalReason::Configured),
        (Request::ContactDelete(named("bob")), RefusalReason::Configured),
        (Request::ContactDelete(ContactKey::Address(bob)), RefusalReason::Configured),
        (change(named("ann"), set("any")), RefusalReason::Invalid),
        (change(named("eve"), NameChange::Keep), RefusalReason::NotFound),
        (Request::ContactList(PageOf { limit: 0, ..PageOf::first() }), RefusalReason::Invalid),
    ] {
        assert_eq!(refusal(&mut client, &request).await, reason, "{request:?}");
    }
    assert_eq!(client.ask(&add(eve, Some("eve"), None), None).await, Reply::Ok);
    assert_eq!(refusal(&mut client, &change(named("ann"), set("eve"))).await, RefusalReason::InUse);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_come_in_pages_and_each_that_stays_once() {
    let api = Api::new();
    let mut client = api.operator().await;
    let someone = person(2);
    // One address with many names, as a configuration may have it, and one more in the database.
    let name = |number: usize| format!("n{number:03}");
    let mut configured: BTreeMap<String, Address> = (0..300).map(|number| (name(number), someone)).collect();
    api.desk.contacts().set_configured(configured.clone());
    assert_eq!(client.ask(&add(someone, Some("n100a"), Some(3)), None).await, Reply::Ok);
    let mut told = Vec::new();
    let mut wanted = PageOf { limit: 100, ..PageOf::first() };
    loop {
        let (entries, next) = contacts(&mut client, &Request::ContactList(wanted.clone())).await;
        told.extend(entries);
        // The last that was told goes before the next page is asked for.
        let last = told.last().and_then(|contact: &Contact| contact.name.clone()).unwrap();
        configured.remove(last.as_str());
        api.desk.contacts().set_configured(configured.clone());
        if next.is_empty() {
            break;
        }
        wanted.after = next;
    }
    let names: Vec<&str> = told.iter().filter_map(|contact| Some(contact.name.as_ref()?.as_str())).collect();
    let mut expected: Vec<String> = (0..300).map(name).collect();
    expected.insert(101, "n100a".to_owned());
    assert_eq!(names, expected);
    assert!(
        told.iter().all(|contact| contact.configured == (contact.name != Some(ContactName::of("n100a"))))
    );
    let by_address = Request::ContactQuery(ContactKey::Address(someone));
    let (one, _) = contacts(&mut client, &by_address).await;
    assert_eq!((one.len(), one[0].configured, one[0].trust), (1, true, Some(3)), "one, of several names");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_contact_too_many_is_refused() {
    let record = Record { name: None, trust: Some(1) }.to_bytes();
    let address = |number: usize| {
        let mut address = [0xEE; 32];
        address[..8].copy_from_slice(&number.to_be_bytes());
        address
    };
    let put = |number| {
        let key = Key::address(&address(number));
        Change::Put { table: Table::Contacts, key, value: record.clone() }
    };
    let fill = |store: &Store| store.commit(&(0..MAX_CONTACTS).map(put).collect::<Vec<_>>()).unwrap();
    let api = Api::over(Limits::default(), fill);
    let mut client = api.operator().await;
    let ann = person(2);
    assert_eq!(refusal(&mut client, &add(ann, Some("ann"), None)).await, RefusalReason::Full);
    assert_eq!(refusal(&mut client, &add(ann, None, Some(1))).await, RefusalReason::Full);
    let one = Request::ContactDelete(ContactKey::Address(Address::from_bytes(address(0))));
    assert_eq!(client.ask(&one, None).await, Reply::Ok);
    assert_eq!(client.ask(&add(ann, Some("ann"), None), None).await, Reply::Ok);
    api.end().await;
}
