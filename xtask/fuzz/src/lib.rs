// SPDX-License-Identifier: AGPL-3.0-or-later
//! The parsers of untrusted bytes against bytes of every kind.
//!
//! Each target has a folder of samples, `corpus/NAME`: one valid input at least, and every input that once
//! broke something. On the stable compiler each target is a test: it replays its samples, then changes them at
//! random for as long as `IRDEST_FUZZ_SECONDS` says. With cargo-fuzz the same targets and samples are driven by
//! coverage; `cargo xtask fuzz` takes what is there.

#[cfg(test)]
mod mutation;

/// A parser and what must hold of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the test and of the folder of samples.
    pub name: &'static str,
    /// Takes any bytes. It panics where the parser does, or where what it yields is wrong.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident => $run:path,)*) => {
        /// All targets, by name.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $run },)*];

        #[cfg(test)]
        mod target {
            $(#[test] fn $name() { crate::tests::fuzz(stringify!($name), $run); })*
        }
    };
}

targets! {
    address_record => irdest_gateway::fuzz::fuzz_address_record,
    client_api => ratman_wire::fuzz::fuzz_client_api,
    config => irdest_gateway::fuzz::fuzz_config,
    contact_record => irdest_gateway::fuzz::fuzz_contact_record,
    control_request => irdest_gateway::fuzz::fuzz_control_request,
    eris_capability => ratman_eris::fuzz::fuzz_capability,
    eris_decoder => ratman_eris::fuzz::fuzz_decoder,
    eris_round_trip => ratman_eris::fuzz::fuzz_round_trip,
    flow_table => gateway_core::fuzz::fuzz_flow_table,
    icmp_answer => gateway_core::fuzz::fuzz_icmp_answer,
    identity => irdest_gateway::fuzz::fuzz_identity,
    inet_framing => netmod_inet::fuzz::fuzz_framing,
    mtu => gateway_core::fuzz::fuzz_mtu,
    offload => gateway_core::offload::fuzz::fuzz_offload,
    packet => gateway_core::fuzz::fuzz_packet,
    router => router_core::fuzz::fuzz_router,
    sealed_manifest => router_core::fuzz::fuzz_sealed_manifest,
    session_frame => gateway_core::session::fuzz::fuzz_session_frame,
    session_records => gateway_core::session::fuzz::fuzz_records,
    wire_announcement => ratman_wire::fuzz::fuzz_announcement,
    wire_anycast => ratman_wire::fuzz::fuzz_anycast,
    wire_auxiliary => ratman_wire::fuzz::fuzz_auxiliary,
    wire_custody => ratman_wire::fuzz::fuzz_custody,
    wire_echo => ratman_wire::fuzz::fuzz_echo,
    wire_frame => ratman_wire::fuzz::fuzz_frame,
    wire_leap => ratman_wire::fuzz::fuzz_leap,
    wire_manifest => ratman_wire::fuzz::fuzz_manifest,
    wire_notices => ratman_wire::fuzz::fuzz_notices,
    wire_packed => ratman_wire::fuzz::fuzz_packed,
    wire_path_report => ratman_wire::fuzz::fuzz_path_report,
    wire_peering => ratman_wire::fuzz::fuzz_peering,
    wire_pull_request => ratman_wire::fuzz::fuzz_pull_request,
    wire_router_meta => ratman_wire::fuzz::fuzz_router_meta,
    wire_session => ratman_wire::fuzz::fuzz_session,
    wire_slice => ratman_wire::fuzz::fuzz_slice,
    wire_source => ratman_wire::fuzz::fuzz_source,
    wire_sync_scope => ratman_wire::fuzz::fuzz_sync_scope,
    wire_train => ratman_wire::fuzz::fuzz_train,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::TARGETS;
    use crate::mutation::Mutation;

    /// How long each target goes on where nobody says how long: the tests of everything have no more time.
    const SHORT: Duration = Duration::from_millis(300);

    fn corpus() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
    }

    fn samples(target: &str) -> Vec<Vec<u8>> {
        let folder = corpus().join(target);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
    }

    pub(super) fn fuzz(target: &str, run: fn(&[u8])) {
        let samples = samples(target);
        samples.iter().for_each(|sample| run(sample));
        let seconds = std::env::var("IRDEST_FUZZ_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
        bolero::check!()
            .with_test_time(seconds.map_or(SHORT, Duration::from_secs))
            .with_iterations(usize::MAX)
            .with_generator(bolero::produce::<Mutation>())
            .for_each(|mutation| run(&mutation.apply(&samples)));
    }

    #[test]
    fn every_target_has_samples_and_every_folder_a_target() {
        let folders =
            fs::read_dir(corpus()).unwrap().map(|folder| folder.unwrap().file_name().into_string().unwrap());
        let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        assert_eq!(folders.collect::<BTreeSet<_>>(), names);
        assert!(TARGETS.iter().all(|target| !samples(target.name).is_empty()));
    }
}
