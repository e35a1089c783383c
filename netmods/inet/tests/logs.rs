// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the log tells at its default level: listening and dialling, but no links, which the router tells of.

use std::sync::{Arc, Mutex};

use netmod_api::contract::Recorder;
use netmod_api::{Inbox, Netmod};
use netmod_inet::{Inet, InetConfig, PeerLine};
use ratman_types::{Ed25519Verifier, SecretKey};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps the level and the text of every event of the driver.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("netmod_inet")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn core::fmt::Debug| {
            if field.name() == "message" {
                text = format!("{value:?}");
            }
        });
        self.0.lock().expect("no panic under this lock").push((*event.metadata().level(), text));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn start(seed: u8, config: InetConfig, inbox: Arc<dyn Inbox>) -> Arc<Inet> {
    let key = Arc::new(SecretKey::from_seed([seed; 32]));
    Inet::start(config, key, Arc::new(Ed25519Verifier), Arc::new(|_| ()), inbox).expect("a free port")
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_come_and_go_stand_below_what_is_logged_by_default() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).expect("the only test of this program");
    let (near, far) = (Recorder::new(), Recorder::new());
    let address = "127.0.0.1:0".parse().expect("an address");
    let config = InetConfig { listen: vec![address], accept_unknown_peers: true, ..InetConfig::default() };
    let listener = start(1, config, near.clone());
    let [address] = listener.listening() else { panic!("one address") };
    let peer = PeerLine { host: address.ip().to_string(), port: address.port(), router_key: None, mtu: None };
    let _dialer = start(2, InetConfig { peers: vec![peer], ..InetConfig::default() }, far.clone());
    for _ in 0..2 {
        let link = near.link();
        listener.close(link.hop);
        near.down(link.hop);
    }
    let told = log.0.lock().expect("no panic under this lock").clone();
    let of =
        |level| told.iter().filter(|(of, _)| *of <= level).map(|(_, text)| text.as_str()).collect::<Vec<_>>();
    assert_eq!(of(Level::INFO), ["listening"]);
    assert!(of(Level::DEBUG).contains(&"link up") && of(Level::DEBUG).contains(&"link down"), "{told:?}");
}
