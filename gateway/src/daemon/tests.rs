// SPDX-License-Identifier: AGPL-3.0-or-later

use std::time::Duration;

use ratman_types::SecretKey;
use tokio::time::timeout;

use super::*;

/// How long a daemon may take to notice that a part of it is gone, or to end.
const SOON: Duration = Duration::from_secs(20);

fn config(dir: &std::path::Path) -> Config {
    let text = format!(
        "state_dir = '{dir}'\ncontrol.socket = '{dir}/control.sock'\nclients.socket = '{dir}/clients.sock'\ntun.enable = false\nprobes.enabled = false\ninet.enable = false",
        dir = dir.display()
    );
    Config::from_text("test", &text).unwrap()
}

/// Whoever starts it is to start it again then, which it does where it fails.
#[test]
fn a_message_plane_that_panics_ends_the_daemon_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let [address, router] = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]));
    let identity = Identity { address, router };
    let data = DataThreads::start().unwrap();
    let control = Builder::new_current_thread().enable_all().build().unwrap();
    control.block_on(async {
        let parts = (&identity, State::open(dir.path()).unwrap(), Loaded::load(config.probes));
        let mut gateway = Gateway::start(&config, parts, &data).await.unwrap();
        let inlet = gateway.streams.as_ref().expect("streams are on by default").door().inlet().clone();
        let runs_on = timeout(Duration::from_millis(100), gateway.run_on()).await;
        assert!(runs_on.is_err(), "it ended by itself: {runs_on:?}");
        inlet.panic();
        let error = timeout(SOON, gateway.run_on()).await.expect("it noticed");
        assert_eq!(error.to_string(), "the message plane failed");
        timeout(SOON, gateway.end()).await.expect("what is left ends in order");
    });
    data.end();
}
