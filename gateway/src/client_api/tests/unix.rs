// SPDX-License-Identifier: AGPL-3.0-or-later
//! The unix socket, and what follows from who is on it.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_the_same_on_the_unix_socket() {
    let api = Api::new();
    let (mut here, mut there) = (api.operator().await, api.client().await);
    let (from, token) = here.address().await;
    let (to, theirs) = there.address().await;
    let content = content(100_000);
    let request = Request::SendOne(letterhead(from, to));
    assert_eq!(here.send(&request, &token, &content).await, Reply::Ok);
    let receive = receive(to, Some(1));
    assert_eq!(there.ask(&receive, Some(&theirs)).await, Reply::Ok);
    assert!(there.stream(&receive).await.1 == content);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_may_connect_and_the_file_goes_in_the_end() {
    let api = Api::new();
    let mode = std::fs::metadata(&api.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    let socket = api.socket.clone();
    let mut client = api.operator().await;
    let mut second = ClientApi::default();
    let allowed = Allowed::of_group(0);
    assert!(matches!(second.open_socket(&socket, allowed), Err(SocketError::InUse { .. })));
    assert!(!second.is_open());
    assert_eq!(client.ask(&Request::Connect(ApiVersion::OURS), None).await, Reply::Ok);
    let Api { bed, mut tasks, _dir, .. } = api;
    tasks.shutdown().await;
    assert!(!socket.exists());
    // As a daemon that was killed leaves it.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    second.open_socket(&socket, allowed).unwrap();
    assert!(second.is_open());
    bed.plane.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_of_the_user_who_made_them() {
    let api = Api::new();
    let (mut here, mut there) = (api.operator().await, api.client().await);
    let (ours, _) = here.address().await;
    let (theirs, _) = there.address().await;
    let uid = Some(nix::unistd::geteuid().as_raw());
    for standing in api.desk.addresses().await.unwrap() {
        let expected = if standing.address == ours { uid } else { None };
        assert_eq!(standing.life.uid, expected);
        assert!([ours, theirs].contains(&standing.address));
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_destroys_an_address_whose_token_is_lost_and_has_to_force_it() {
    let api = Api::new();
    let (mut operator, mut client) = (api.operator().await, api.client().await);
    let (address, token) = client.address().await;
    let destroy = |force| Request::AddressDestroy(DestroyedAddress { address, force });
    let invalid = Reply::Error(ClientError::InvalidAuth);
    assert_eq!(client.ask(&destroy(true), None).await, invalid, "nobody else does");
    assert_eq!(operator.ask(&destroy(false), None).await, invalid);
    let wrong = AuthToken::from_bytes([9; 32]);
    assert_eq!(operator.ask(&destroy(true), Some(&wrong)).await, invalid, "a token that is shown counts");
    assert_eq!(client.ask(&Request::AddressUp(address), Some(&token)).await, Reply::Ok, "it is there");
    assert_eq!(operator.ask(&destroy(true), None).await, Reply::Ok);
    assert!(api.desk.addresses().await.unwrap().is_empty());
    assert_eq!(operator.ask(&destroy(true), None).await, Reply::Error(ClientError::NoAddress));
    api.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_over_tcp_leaves_places_to_those_on_the_unix_socket() {
    let api = Api::with_places(Limits { clients: 4, per_user: 2, operators_own: 1 });
    let full = |told: &Reply, why: &str| matches!(told, Reply::Error(ClientError::Internal(text)) if text.as_str() == why);
    let _two = [api.client().await, api.client().await];
    let mut third = api.connect().await;
    let told = third.reply(&Request::Status(Nothing)).await;
    assert!(full(&told, "too many clients of one user at once, try again"), "{told:?}");
    assert_eq!(third.hear().await, None);
    // Two places of its own share, and one of the operators' own.
    let _three = [api.operator().await, api.operator().await, api.operator().await];
    let mut fourth = Client::new(UnixStream::connect(&api.socket).await.unwrap());
    let told = fourth.reply(&Request::Status(Nothing)).await;
    assert!(full(&told, "too many clients of one user at once, try again"), "{told:?}");
    api.end().await;
}
