// SPDX-License-Identifier: AGPL-3.0-or-later
use std::io::IoSlice;

use netmod_api::{Class, FrameParts, Outbox, Sent};
use ratman_types::{LinkId, RouterId};
use tokio::net::TcpListener;

use super::*;
use crate::config::MOST_MTU;

#[tokio::test]
async fn a_panic_while_sending_ends_the_link_and_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let hop = Hop { link: LinkId(1), neighbour: RouterId::from_bytes([1; 32]) };
    let link = Link::new(stream, hop, true, (MOST_MTU, false), Timestamp::default(), Arc::default()).unwrap();
    let torn = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut outgoing = link.lock();
            let blocked = |_: &[IoSlice<'_>]| Err(ErrorKind::WouldBlock.into());
            outgoing.send(Class::Data, &[FrameParts::whole(b"waits")], blocked).unwrap();
            panic!("a sender under the lock");
        });
        sender.join()
    });
    assert!(torn.is_err());
    assert_eq!(link.activity().queued_bytes, 0);
    assert_eq!(link.ended().await, DownReason::Failed);
    let sent = link.send(Class::Data, &[FrameParts::whole(b"late")]);
    assert_eq!(sent, Sent { accepted: 0, dropped: 1 });
}
