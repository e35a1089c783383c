// SPDX-License-Identifier: AGPL-3.0-or-later
//! The library for programs that are not asynchronous.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;

use ratman_client::blocking::RatmanIpc;
use ratman_client::types::News;
use ratman_client::{Error, Outgoing, ReceiveOptions};
use ratman_wire::api::{ClientError, Reply, Request};

use crate::script::{OURS, Router, THEIRS, opened, soon, to, token};

/// Runs a router on a thread of its own.
fn serve<F: Future<Output = ()>>(
    script: impl FnOnce(Router) -> F + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<()>) {
    let (tell, told) = mpsc::channel();
    let serving = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let router = Router::new().await;
            tell.send(router.address()).unwrap();
            soon(script(router)).await;
        });
    });
    (told.recv().unwrap(), serving)
}

#[test]
fn streams_are_written_and_read() {
    let (address, serving) = serve(async |router| {
        let mut idle = router.first().await;
        let mut peer = router.greet().await;
        assert!(matches!(peer.hear_ours().await, Request::StreamCreate(_)));
        peer.say(opened(&[THEIRS], 0)).await;
        assert_eq!(peer.hear_content().await, b"hello");
        peer.news(THEIRS, News::Accepted).await;
        peer.news(THEIRS, News::Delivered).await;
        let mut peer = router.greet().await;
        assert!(matches!(peer.hear_ours().await, Request::StreamReceive(_)));
        peer.bring(1, b"content").await;
        peer.is_taken().await;
        assert!(idle.is_gone().await);
    });
    let ipc = RatmanIpc::start(address).unwrap();
    let mut sending = ipc.send(&token(), Outgoing::new(OURS, [to(THEIRS)])).unwrap();
    sending.write_all(b"hel").unwrap();
    sending.copy_from(&mut &b"lo"[..]).unwrap();
    sending.finish().unwrap();
    assert_eq!(sending.next_news().unwrap(), Some((to(THEIRS), News::Accepted)));
    assert_eq!(sending.next_news().unwrap(), Some((to(THEIRS), News::Delivered)));
    assert_eq!(sending.next_news().unwrap(), None);
    let mut incoming = ipc.receive(&token(), OURS, ReceiveOptions::new().limit(1));
    let mut stream = incoming.next().unwrap().unwrap();
    let mut content = String::new();
    stream.read_to_string(&mut content).unwrap();
    assert_eq!(content, "content");
    stream.taken().unwrap();
    assert!(incoming.next().unwrap().is_none());
    drop((ipc, sending, incoming));
    serving.join().unwrap();
}

#[test]
fn a_connection_that_was_closed_between_two_calls_is_replaced() {
    let (closed, is_closed) = mpsc::channel();
    let (address, serving) = serve(async move |router| {
        drop(router.first().await);
        closed.send(()).unwrap();
        let mut peer = router.greet().await;
        assert!(matches!(peer.hear().await, Request::AddressCreate(_)));
        peer.say(Reply::AddressCreated { address: OURS, token: token() }).await;
        assert_eq!(peer.hear_ours().await, Request::AddressUp(OURS));
        peer.say(Reply::Error(ClientError::InvalidAuth)).await;
    });
    let ipc = RatmanIpc::start(address).unwrap();
    is_closed.recv().unwrap();
    let (address, auth) = ipc.addr_create(None, None).unwrap();
    assert_eq!(address, OURS);
    assert!(matches!(ipc.addr_up(&auth, address), Err(Error::InvalidAuth)));
    serving.join().unwrap();
}
