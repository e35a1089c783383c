// SPDX-License-Identifier: AGPL-3.0-or-later
//! Filters of addresses.
#![expect(clippy::wildcard_enum_match_arm, reason = "anything else fails the test")]

use ratman_wire::api::{
    FilterAction, FilterRule, FiltersOf, HeldFilter, NewFilter, PageOf, RefusalReason, Senders,
};

use super::*;
use crate::contacts::Whose;
use crate::filters::MAX_FILTERS;

fn refused(reply: Reply) -> RefusalReason {
    match reply {
        Reply::Refused(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_takes_what_its_filters_say() {
    let api = Api::new();
    let (mut alice, mut bob) = (api.client().await, api.client().await);
    let (from, token) = alice.address().await;
    let (to, bobs) = bob.address().await;
    let add = |from, action| {
        let rule = FilterRule { from, at_least: None, action };
        Request::FilterAdd(NewFilter { address: to, rule })
    };
    let send = Request::SendOne(letterhead(from, to));
    let deny = add(Senders::Strangers, FilterAction::Deny);
    assert_eq!(bob.ask(&deny, Some(&token)).await, Reply::Error(ClientError::InvalidAuth));
    assert_eq!(bob.ask(&deny, Some(&bobs)).await, Reply::FilterAdded(0));
    let sent = alice.send(&send, &token, b"a letter").await;
    assert!(matches!(sent, Reply::Error(ClientError::Internal(_))), "it was refused at once: {sent:?}");
    api.bed.reported(|report| report.streams.sending == 0).await;
    api.bed.reported(|report| report.streams.waiting == 0).await;
    let alices = Whose::Address(from);
    api.desk.set_trust(alices, Some(1)).await.unwrap();
    api.desk.add_contact("alice".to_owned(), from, None).await.unwrap();
    assert_eq!(alice.send(&send, &token, b"of a contact").await, Reply::Ok);
    let request = receive(to, Some(1));
    assert_eq!(bob.ask(&request, Some(&bobs)).await, Reply::Ok);
    assert_eq!(bob.stream(&request).await.1, b"of a contact");

    let listed = Request::FilterList(FiltersOf { address: to, page: PageOf::first() });
    match bob.ask(&listed, Some(&bobs)).await {
        Reply::FilterPage(page) => assert_eq!(page.entries.len(), 1),
        other => panic!("{other:?}"),
    }
    let delete = Request::FilterDelete(HeldFilter { address: to, filter: 0 });
    assert_eq!(bob.ask(&delete, Some(&token)).await, Reply::Error(ClientError::InvalidAuth));
    assert_eq!(bob.ask(&delete, Some(&bobs)).await, Reply::Ok);
    assert_eq!(refused(bob.ask(&delete, Some(&bobs)).await), RefusalReason::NotFound);
    let accept = add(Senders::Anybody, FilterAction::Accept);
    for _ in 0..MAX_FILTERS {
        assert!(matches!(bob.ask(&accept, Some(&bobs)).await, Reply::FilterAdded(_)));
    }
    assert_eq!(refused(bob.ask(&accept, Some(&bobs)).await), RefusalReason::Full);
    api.end().await;
}
