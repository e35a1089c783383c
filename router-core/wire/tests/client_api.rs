// SPDX-License-Identifier: AGPL-3.0-or-later
//! What tools and router of 0.6.0 said to each other, captured: every byte is understood, and comes back as it was.
#![allow(clippy::unwrap_used, reason = "the helpers of tests may end a test as well")]

use ratman_wire::api::{
    Address, ApiMode, ApiVersion, ByteCount, ClientError, FromRouter, Microframe, MicroframeDecoder,
    PayloadLimit, Recipient, Reply, Request, StreamHeader, Terminated, Text, UserError, Versions,
};
use serde_json::Value;

fn sessions() -> Vec<Value> {
    let text = include_str!("vectors/client-api-sessions.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    vectors["sessions"].as_array().unwrap().clone()
}

fn from_hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The microframe that the capture describes.
fn described(message: &Value) -> Microframe {
    let mode = u16::from_str_radix(message["mode"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    let auth = message["auth"].as_str().map(|_| {
        let token: [u8; 32] = from_hex(&message["auth"]).try_into().unwrap();
        ratman_wire::api::AuthToken::from_bytes(token)
    });
    Microframe { mode: ApiMode(mode), auth, payload: from_hex(&message["payload_hex"]).into() }
}

fn messages(session: &Value, side: &str) -> Vec<Microframe> {
    session[side].as_array().unwrap().iter().map(described).collect()
}

/// The requests of a client, each of which is to come back.
fn requests(session: &Value) -> Vec<Request> {
    let bytes = from_hex(&session["client_tcp_hex"]);
    let (mut input, mut decoder) = (&bytes[..], MicroframeDecoder::new(PayloadLimit::REQUEST));
    let (mut frames, mut requests, mut encoded) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(frame) = decoder.decode(&mut input).unwrap() {
        let request = Request::decode(&frame).unwrap();
        encoded.extend_from_slice(&request.to_frame(frame.auth.as_ref()).encode());
        frames.push(frame);
        requests.push(request);
    }
    assert!(decoder.is_between_frames());
    assert_eq!(encoded, bytes);
    assert_eq!(frames, messages(session, "client_messages"));
    requests
}

/// What the router said to the requests: each message is to come back, and content is passed over.
fn replies(session: &Value, requests: &[Request]) -> Vec<FromRouter> {
    let bytes = from_hex(&session["server_tcp_hex"]);
    let (mut input, mut decoder) = (&bytes[..], MicroframeDecoder::new(PayloadLimit::REPLY));
    let (mut frames, mut replies, mut encoded) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(frame) = decoder.decode(&mut input).unwrap() {
        // One answers the handshake; all others answer the only request after it.
        let to = requests.get(replies.len().min(1)).unwrap().mode();
        let reply = FromRouter::decode(&frame, to).unwrap();
        encoded.extend_from_slice(&reply.to_frame(frame.auth.as_ref()).encode());
        if let FromRouter::Stream(StreamHeader { letterhead, .. }) = &reply {
            let (content, rest) = input.split_at(usize::try_from(letterhead.stream_size.0).unwrap());
            encoded.extend_from_slice(content);
            input = rest;
        }
        frames.push(frame);
        replies.push(reply);
    }
    // Some clients left while the router was about to say more.
    let begun = session["server_trailing_hex"].as_str().map(|text| text.split(' ').next().unwrap());
    assert_eq!(decoder.is_between_frames(), begun.is_none());
    encoded.extend(begun.map(|hex| from_hex(&hex.into())).unwrap_or_default());
    assert_eq!(encoded, bytes);
    assert_eq!(frames, messages(session, "server_messages"));
    replies
}

#[test]
fn every_session_comes_back_byte_for_byte() {
    let (mut asked, mut answered) = (0, 0);
    for session in sessions() {
        let requests = requests(&session);
        assert_eq!(requests[0], Request::Connect(ApiVersion::OURS));
        asked += requests.len();
        if session["server_tcp_hex"].is_string() {
            let replies = replies(&session, &requests);
            assert_eq!(replies[0], FromRouter::Reply(Reply::Ok));
            answered += replies.len();
        } else {
            // A session with too much content to be kept: its messages are.
            for frame in messages(&session, "server_messages") {
                let reply = FromRouter::decode(&frame, requests.last().unwrap().mode()).unwrap();
                assert_eq!(reply.to_frame(frame.auth.as_ref()), frame);
                answered += 1;
            }
        }
    }
    assert_eq!((asked, answered), (40, 45), "all that was captured was read");
}

#[test]
fn every_session_is_refused_where_it_is_cut() {
    for session in sessions().iter().filter(|session| session["client_tcp_hex"].is_string()) {
        let bytes = from_hex(&session["client_tcp_hex"]);
        for length in 0..bytes.len() {
            let (mut input, mut decoder) = (&bytes[..length], MicroframeDecoder::new(PayloadLimit::REQUEST));
            let mut taken = 0;
            while let Some(frame) = decoder.decode(&mut input).unwrap() {
                taken += frame.encode().len();
            }
            assert_eq!(decoder.is_between_frames(), taken == length, "cut to {length}");
        }
    }
}

#[test]
fn the_sessions_say_what_they_are_known_to() {
    let sessions = sessions();
    let after_handshake = |index: usize| {
        let session = &sessions[index];
        let requests = requests(session);
        let replies = replies(session, &requests);
        (requests[1].clone(), replies[1..].to_vec())
    };

    let (create, created) = after_handshake(0);
    let Request::AddressCreate(new) = create else { panic!("{create:?}") };
    assert_eq!(new.name.unwrap().as_str(), "alice");
    let alice: Address =
        "7484-6495-6ADF-7B36-1F6C-48B0-E1AE-ADE3-67FF-49D0-06F4-AF61-FE5A-3737-FBAB-BF22".parse().unwrap();
    let FromRouter::Reply(Reply::AddressCreated { address, token }) = &created[0] else {
        panic!("{created:?}");
    };
    assert_eq!((*address, token.as_bytes()[0]), (alice, 0x47));

    let (_, peers) = after_handshake(6);
    let FromRouter::Reply(Reply::PeerList(peers)) = &peers[0] else { panic!("{peers:?}") };
    assert_eq!((peers.len(), peers[0].address, peers[1].active), (2, alice, true));
    assert_eq!(peers[0].first.to_string(), "2026-11-22T11:20:26.087807022+00:00");

    let (receive, received) = after_handshake(10);
    let Request::RecvMany(receive) = receive else { panic!("{receive:?}") };
    assert_eq!((receive.recipient, receive.limit), (Some(Recipient::Address(receive.address)), Some(1)));
    let FromRouter::Stream(header) = &received[1] else { panic!("{received:?}") };
    assert_eq!((header.letterhead.from, header.letterhead.stream_size), (alice, ByteCount(12)));

    let (send, sent) = after_handshake(11);
    let Request::SendMany(letterheads) = send else { panic!("{send:?}") };
    assert_eq!((letterheads.len(), letterheads[0].from), (1, alice));
    let FromRouter::Reply(Reply::SendSocket(bind)) = &sent[0] else { panic!("{sent:?}") };
    assert_eq!(bind.to_string(), sessions[11]["send_socket"]["bind"].as_str().unwrap());
    assert_eq!(sent[1], FromRouter::Reply(Reply::Ok));

    let (_, refused) = after_handshake(17);
    let text = "a frame parsing error: encryption encoding/decoding failed because Address key was deleted!";
    assert_eq!(refused[0], FromRouter::Reply(Reply::Error(ClientError::internal(text))));
}

fn primitives() -> Value {
    serde_json::from_str(include_str!("vectors/client-api-primitives.json")).unwrap()
}

fn reply(payload: &[u8]) -> Reply {
    let frame = Microframe { mode: ApiMode::REPLY, auth: None, payload: payload.to_vec().into() };
    let reply = Reply::decode(&frame, ApiMode(0x0835)).unwrap();
    assert_eq!(reply.to_frame(None), frame);
    reply
}

#[test]
fn captured_errors_come_back() {
    let expected = [
        ("InvalidAuth", ClientError::InvalidAuth),
        ("Internal(text)", ClientError::internal("Unsupported frame mode: 1100110000")),
        (
            "User(MissingInput(\"No letterheads provided!\"))",
            ClientError::User(UserError::MissingInput(Text::of("No letterheads provided!"))),
        ),
    ];
    let vectors = primitives();
    let vectors = vectors["client_error_bincode"].as_array().unwrap();
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let bincode = from_hex(&vector["hex"]);
        let length = u32::try_from(bincode.len()).unwrap().to_be_bytes();
        let Reply::Error(error) = reply(&[&[3][..], &length, &bincode].concat()) else { panic!("{vector}") };
        match expected.iter().find(|(meaning, _)| vector["meaning"] == *meaning) {
            Some((_, expected)) => assert_eq!(&error, expected),
            None => {
                let ClientError::NoSuchSubscription(id) = error else { panic!("{vector}") };
                assert_eq!(&id.as_bytes()[..], &bincode[12..]);
            }
        }
    }
}

#[test]
fn captured_replies_come_back() {
    let vectors = primitives();
    let vectors = vectors["server_ping"].as_array().unwrap();
    let replies: Vec<_> = vectors.iter().map(|vector| reply(&from_hex(&vector["hex"]))).collect();
    let text = |text| Terminated(Text::of(text));
    let versions = Versions { router: text("0.1"), client: text("0.2") };
    assert_eq!(versions, Versions::of(ApiVersion::OURS, ApiVersion { major: 0, minor: 2 }));
    let anycast = Reply::Anycast(Default::default());
    assert_eq!(replies, [Reply::Ok, Reply::IncompatibleVersion(versions), anycast]);
}

#[test]
fn addresses_are_written_as_deployed_tools_write_them() {
    let vector = &primitives()["textual_address"];
    let raw: [u8; 32] = from_hex(&vector["raw"]).try_into().unwrap();
    assert_eq!(Address::from_bytes(raw).to_string(), vector["text"].as_str().unwrap());
}
