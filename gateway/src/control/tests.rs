// SPDX-License-Identifier: AGPL-3.0-or-later

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::local_socket::SocketError;
use crate::status::tests::just_started;

fn no_links() -> Links {
    Links { probes: Default::default(), links: Vec::new() }
}

/// A server whose control loop always answers with [`just_started`] and [`no_links`].
fn serve(path: &Path) -> tokio::task::JoinHandle<()> {
    spawn(Server::bind(path).unwrap())
}

fn spawn(server: Server) -> tokio::task::JoinHandle<()> {
    let (sender, mut requests) = requests();
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let _ = request.reply.send(match request.query {
                Query::Status => Answer::Status(Box::new(just_started())),
                Query::Links => Answer::Links(no_links()),
            });
        }
    });
    tokio::spawn(server.serve(sender, None, None))
}

async fn blocking<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn exchange(stream: &UnixStream, line: &[u8]) -> String {
    let _ = (&*stream).write_all(line);
    let mut reply = String::new();
    let _ = BufReader::new(stream).read_line(&mut reply);
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_links_are_asked_and_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/control.sock");
    let server = serve(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let asked = path.clone();
    let (told, measured) = blocking(move || (status(&asked), links(&asked))).await;
    assert_eq!((told.unwrap(), measured.unwrap()), (just_started(), no_links()));
    server.abort();
    let _ = server.await;
    assert!(!path.exists(), "the socket goes with the server");
    let error = status(&path).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}: cannot reach a running irdest-gateway: ", path.display())),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_an_error_and_the_next_one_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let _server = serve(&path);
    blocking(move || {
        let stream = UnixStream::connect(&path).unwrap();
        for line in ["\n", "{}\n", "{\"get\":\"all\"}\n", "{\"get\":\"status\",\"x\":1}\n", "\u{0}\n"] {
            let reply = exchange(&stream, line.as_bytes());
            assert!(
                reply.starts_with(
                    "{\"error\":\"expected {\\\"get\\\":\\\"status\\\"}, {\\\"get\\\":\\\"links\\\"}, {\\\"stream\\\":"
                ),
                "{reply}"
            );
        }
        assert!(exchange(&stream, b"\xff\xfe\n").starts_with("{\"error\":"));
        assert!(
            exchange(&stream, b"{\"get\":\"status\"}\n").starts_with("{\"status\":{\"version\":\"0.1.0\"")
        );
        // Requests in a row are answered one by one.
        let mut replies = BufReader::new(&stream).lines();
        (&stream).write_all(b"{\"get\":\"status\"}\n{\"get\":\"status\"}\n").unwrap();
        for _ in 0..2 {
            assert!(replies.next().unwrap().unwrap().starts_with("{\"status\""));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_without_end_is_refused_at_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let _server = serve(&path);
    blocking(move || {
        let stream = UnixStream::connect(&path).unwrap();
        let reply = exchange(&stream, &vec![b' '; MAX_REQUEST]);
        assert_eq!(reply, "{\"error\":\"expected a line of at most 65536 bytes\"}\n");
        assert_eq!(exchange(&stream, b"{\"get\":\"status\"}\n"), "", "closed");
        let longest = [&vec![b' '; MAX_REQUEST - 17][..], b"{\"get\":\"status\"}\n"].concat();
        assert_eq!(longest.len(), MAX_REQUEST);
        assert!(exchange(&UnixStream::connect(&path).unwrap(), &longest).starts_with("{\"status\""));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_places_are_limited_and_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let server = Server::bind(&path).unwrap();
    let turned_away = server.refused();
    let _server = spawn(server);
    blocking(move || {
        let request = b"{\"get\":\"status\"}\n";
        let mut clients: Vec<_> = (0..QUEUE).map(|_| UnixStream::connect(&path).unwrap()).collect();
        for client in &clients {
            assert!(exchange(client, request).starts_with("{\"status\""));
        }
        let refused = status(&path).unwrap_err().to_string();
        assert!(refused.ends_with("expected at most 16 clients at once, try again"), "{refused}");
        assert_eq!(turned_away.load(Ordering::Relaxed), 1);
        drop(clients.pop());
        // The server notices the end in its own time.
        while status(&path).is_err() {
            std::thread::yield_now();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let _server = serve(&path);
    let mut client = tokio::net::UnixStream::connect(&path).await.unwrap();
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut client, &mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_loop_that_has_ended_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let (sender, receiver) = requests();
    drop(receiver);
    let _server = tokio::spawn(Server::bind(&path).unwrap().serve(sender, None, None));
    let error = blocking(move || status(&path)).await.unwrap_err().to_string();
    assert!(error.ends_with("the daemon answered: the daemon is ending"), "{error}");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "as a killed daemon leaves it");
    let server = Server::bind(&path).unwrap();
    assert!(matches!(Server::bind(&path), Err(SocketError::InUse { .. })));
    drop(server);
    std::fs::write(&path, "a file").unwrap();
    assert!(matches!(Server::bind(&path), Err(SocketError::NotASocket(_))));
    assert_eq!(std::fs::read(&path).unwrap(), b"a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_contacts_and_trust_go_through_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let bed = crate::desk::tests::Bed::new();
    let server = Server::bind(&path).unwrap().serve(requests().0, None, Some(bed.desk.clone()));
    let _server = tokio::spawn(server);
    let address = blocking(move || {
        let ask = |request| desk(&path, request);
        let DeskAnswer::Created { address, token } =
            ask(DeskRequest::Address(AddressRequest::Create)).unwrap()
        else {
            panic!("an address is made")
        };
        let up = |token| DeskRequest::Address(AddressRequest::Up(Owned { address, token }));
        let refused = ask(up(crate::addresses::AuthToken::from_bytes([9; 32]))).unwrap_err().to_string();
        assert!(refused.ends_with(&format!("this is not the auth token of the address {}", address.short())));
        assert_eq!(ask(up(token)).unwrap(), DeskAnswer::Done);
        let listed = ask(DeskRequest::Address(AddressRequest::List)).unwrap();
        let DeskAnswer::Addresses(lines) = listed else { panic!("addresses are listed") };
        let [AddressLine { address: listed, up: true, made_us: Some(_), uid, .. }] = lines[..] else {
            panic!("{lines:?}")
        };
        assert_eq!((listed, uid), (address, Some(nix::unistd::getuid().as_raw())));
        let set = TrustRequest::Set { whose: address.to_string(), score: 3 };
        assert_eq!(ask(DeskRequest::Trust(set)).unwrap(), DeskAnswer::Done);
        let name = "bob".to_owned();
        let add = ContactRequest::Add { name, address, trust: None };
        let refused = ask(DeskRequest::Contact(add)).unwrap_err().to_string();
        assert!(refused.ends_with("in [contacts] of the configuration, which is changed there"), "{refused}");
        let DeskAnswer::Contacts(lines) = ask(DeskRequest::Contact(ContactRequest::List)).unwrap() else {
            panic!("contacts are listed")
        };
        assert!(lines.contains(&ContactLine { address, name: None, configured: false, trust: Some(3) }));
        // Whoever runs the tests runs the server, and is its operator.
        let destroy = AddressRequest::Destroy(Doomed { address, token: None });
        assert_eq!(ask(DeskRequest::Address(destroy)).unwrap(), DeskAnswer::Done);
        address.short()
    })
    .await;
    let told = [format!("up {address}"), format!("trust {address} 3"), format!("forget {address}")];
    assert_eq!(bed.told(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_a_desk_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let _server = serve(&path);
    let error = blocking(move || desk(&path, DeskRequest::Contact(ContactRequest::List))).await.unwrap_err();
    assert!(error.to_string().ends_with("this daemon has no streams, and keeps no addresses and contacts"));
}
