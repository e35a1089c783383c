// SPDX-License-Identifier: AGPL-3.0-or-later
//! What tools of 0.6.0 said to a router of theirs is said to ours, and answered as there: addresses, tokens, ports, times and figures
//! apart.

use std::time::Duration;

use ratman_wire::api::ApiMode;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// No reply takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

fn from_hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The microframe that the capture describes.
fn described(message: &Value) -> Microframe {
    let mode = u16::from_str_radix(message["mode"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let token = message["auth"].as_str().map(|_| from_hex(&message["auth"]).try_into().unwrap());
    let payload = from_hex(&message["payload_hex"]).into();
    Microframe { mode: ApiMode(mode), auth: token.map(AuthToken::from_bytes), payload }
}

/// What stands here for what stands there, 32 bytes each: addresses and tokens, with the router where they were made.
#[derive(Clone, Default)]
struct Here(Vec<(u64, [u8; 32], [u8; 32])>);

impl Here {
    /// What may come up: there were two routers, and one did not have the keys of the other.
    fn made_by(&self, router: u64) -> Self {
        Self(self.0.iter().copied().filter(|(by, ..)| *by == router).collect())
    }

    fn translate(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for at in 0..bytes.len().saturating_sub(31) {
            let there = self.0.iter().find(|(_, there, _)| bytes[at..at + 32] == *there);
            if let Some((.., here)) = there {
                bytes[at..at + 32].copy_from_slice(here);
            }
        }
        bytes
    }

    fn frame(&self, frame: Microframe) -> Microframe {
        let token = |token: AuthToken| self.translate(token.as_bytes().to_vec()).try_into().unwrap();
        Microframe {
            mode: frame.mode,
            auth: frame.auth.map(|auth| AuthToken::from_bytes(token(auth))),
            payload: self.translate(frame.payload.to_vec()).into(),
        }
    }

    fn learn(&mut self, router: u64, there: &[u8], here: &[u8]) {
        self.0.push((router, there.try_into().unwrap(), here.try_into().unwrap()));
    }
}

/// The replies that a session gets, as far as those of the capture go; content for a socket is sent there.
async fn replay(mut client: Client, session: Value, here: Here) -> Vec<Microframe> {
    let said: Vec<_> = session["client_messages"].as_array().unwrap().iter().map(described).collect();
    let mut heard = Vec::new();
    for (number, frame) in said.into_iter().enumerate() {
        client.stream.write_all(&here.frame(frame).encode()).await.unwrap();
        // The handshake has one reply, and all others are to the one request after it.
        let all = session["server_messages"].as_array().unwrap().len();
        while heard.len() < if number == 0 { 1 } else { all } {
            let frame = timeout(PATIENCE, client.hear()).await.unwrap().expect("it is answered");
            if let Ok(Reply::SendSocket(bind)) = Reply::decode(&frame, ApiMode(0x0633)) {
                let mut socket = TcpStream::connect(bind).await.unwrap();
                let mut content = from_hex(&session["send_socket"]["client_hex"]);
                // Of long contents the capture holds the beginning.
                let length = session["send_socket"]["client_bytes_total"].as_u64().unwrap();
                content.resize(length.try_into().unwrap(), 0);
                socket.write_all(&content).await.unwrap();
            }
            heard.push(frame);
        }
    }
    heard
}

/// Whether a reply is that of the capture; of figures, lists and sockets only the kind is.
fn assert_same(there: &Microframe, here: &Microframe, request: ApiMode, title: &str) {
    let kinds = [there, here].map(|frame| Reply::decode(frame, request));
    match kinds {
        [Ok(Reply::AddressCreated { .. }), Ok(Reply::AddressCreated { .. })]
        | [Ok(Reply::Addresses(_)), Ok(Reply::Addresses(_))]
        | [Ok(Reply::PeerList(_)), Ok(Reply::PeerList(_))]
        | [Ok(Reply::Status(_)), Ok(Reply::Status(_))] => {
            assert_eq!(there.auth.is_some(), here.auth.is_some())
        }
        [Ok(Reply::SendSocket(_)), Ok(Reply::SendSocket(_))] => assert_eq!(there.auth, here.auth),
        _ => assert_eq!(
            (there.mode, &there.auth, &there.payload),
            (here.mode, &here.auth, &here.payload),
            "{title}"
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deployed_tools_hear_what_they_expect() {
    let api = Api::new();
    let text = include_str!("../../../../router-core/wire/tests/vectors/client-api-sessions.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let mut here = Here::default();
    let mut waiting: Option<(Value, JoinHandle<Vec<Microframe>>)> = None;
    let mut checked = 0;
    let mut check = |session: &Value, heard: Vec<Microframe>, here: &mut Here| {
        let title = session["title"].as_str().unwrap();
        let last = session["client_messages"].as_array().unwrap().last().map(described).unwrap();
        for (there, ours) in session["server_messages"].as_array().unwrap().iter().map(described).zip(&heard)
        {
            if let Ok(Reply::AddressCreated { address, token }) = Reply::decode(ours, last.mode) {
                let router = session["api_port"].as_u64().unwrap();
                here.learn(router, &there.payload, address.as_bytes());
                here.learn(router, there.auth.as_ref().unwrap().as_bytes(), token.as_bytes());
            }
            assert_same(&here.frame(there), ours, last.mode, title);
            checked += 1;
        }
    };
    for session in vectors["sessions"].as_array().unwrap() {
        let is_up = session["title"].as_str().unwrap().contains("ADDR.UP");
        let known = if is_up { here.made_by(session["api_port"].as_u64().unwrap()) } else { here.clone() };
        let heard = tokio::spawn(replay(api.connect().await, session.clone(), known));
        // Who receives hears of what is sent in the session behind it.
        if session["title"].as_str().unwrap().contains("RECV") {
            assert!(waiting.replace((session.clone(), heard)).is_none());
            continue;
        }
        check(session, heard.await.unwrap(), &mut here);
        if let Some((session, heard)) = waiting.take() {
            check(&session, heard.await.unwrap(), &mut here);
        }
    }
    assert!(waiting.is_none());
    assert_eq!(checked, 45, "as many as were captured");
    api.end().await;
}
