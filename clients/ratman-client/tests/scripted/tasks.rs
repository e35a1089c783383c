// SPDX-License-Identifier: AGPL-3.0-or-later
//! What may be handed to another task or thread.

use ratman_client::{
    Following, Incoming, Outgoing, RatmanIpc, RatmanIpcExtV1, RatmanStreamExtV1, ReadStream, ReceiveOptions,
    Reconnect, Sending, Subscription,
};

use crate::script::{OURS, THEIRS, soon, started, to};

const fn may_move<T: Send>() {}
const fn may_be_shared<T: Sync>() {}

#[test]
fn all_of_it_may_go_to_other_threads() {
    may_move::<(Following, Incoming, ReadStream, Sending, Subscription)>();
    may_move::<RatmanIpc>();
    may_be_shared::<RatmanIpc>();
    may_move::<ratman_client::blocking::RatmanIpc>();
    may_be_shared::<ratman_client::blocking::RatmanIpc>();
}

/// Everything that a program does within a task.
async fn everything(ipc: RatmanIpc) -> ratman_client::Result<()> {
    let (address, auth) = ipc.addr_create(None, None).await?;
    ipc.addr_query().await?;
    let mut sending = ipc.send(&auth, Outgoing::new(address, [to(THEIRS)])).await?;
    sending.copy_from(&mut &b"x"[..]).await?;
    sending.accepted().await?;
    sending.cancel().await?;
    let mut incoming = ipc.receive(&auth, address, ReceiveOptions::new().reconnect(Reconnect::default()));
    if let Some(mut stream) = incoming.next().await? {
        stream.content(10).await?;
        stream.taken().await?;
    }
    let (_, mut reader) = ipc.recv_one(&auth, address, to(OURS)).await?;
    ipc.send_all(&auth, Outgoing::new(address, [to(THEIRS)]), reader.as_reader()).await?;
    let mut subscription = ipc.subscribe(&auth, address, None).await?;
    subscription.next().await?.content(10).await?;
    Ok(())
}

#[tokio::test]
async fn a_task_of_its_own_uses_a_clone() {
    let (router, ipc, peer) = started().await;
    drop(peer);
    let task = tokio::spawn(everything(ipc.clone()));
    let mut peer = router.greet().await;
    assert!(matches!(peer.hear().await, ratman_wire::api::Request::AddressCreate(_)));
    drop(peer);
    let error = soon(task).await.unwrap().unwrap_err();
    assert!(matches!(error, ratman_client::Error::Lost(_)), "{error:?}");
}
