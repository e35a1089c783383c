// SPDX-License-Identifier: AGPL-3.0-or-later
//! The programs, run by the kernel on a packet of ours (BPF_PROG_TEST_RUN).
#![allow(unsafe_code, reason = "only who knows the layout can say that any bytes are a value of it")]

use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader, Pod};
use ebpf_abi::{
    COUNTERS_MAP, Counters, ETHERNET_EGRESS, ETHERNET_INGRESS, FOLLOWED_MAP, Histogram, IP_EGRESS,
    IP_INGRESS, ROUND_TRIPS_MAP, STAMPS, STAMPS_MAP, Stamp, Stamps, mapped,
};
use ebpf_loader::{Conversation, LoadError, Probes, object};

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Value<T>(T);

// SAFETY: each is integers and arrays of them, in C's layout and without padding.
unsafe impl Pod for Value<ebpf_abi::Conversation> {}
// SAFETY: as above.
unsafe impl Pod for Value<Counters> {}
// SAFETY: as above.
unsafe impl Pod for Value<Histogram> {}
// SAFETY: as above.
unsafe impl Pod for Value<Stamps> {}

/// How many steps of the verifier a program may take, of the million that it allows: other kernels take other ways.
const VERIFIER_STEPS: u32 = 100_000;

/// Where the programs hang, as the kernel would call them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    EthernetIn,
    EthernetOut,
    IpIn,
    IpOut,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::EthernetIn => ETHERNET_INGRESS,
            Self::EthernetOut => ETHERNET_EGRESS,
            Self::IpIn => IP_INGRESS,
            Self::IpOut => IP_EGRESS,
        }
    }
}

/// What the kernel is told about a packet besides its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About {
    pub(crate) wire_len: u32,
    pub(crate) segments: u32,
    pub(crate) segment_size: u32,
}

impl About {
    /// The first 192 bytes of `struct __sk_buff` (source: linux/bpf.h).
    fn context(self) -> [u8; 192] {
        let mut context = [0; 192];
        for (at, value) in [(160, self.wire_len), (164, self.segments), (176, self.segment_size)] {
            context[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        context
    }
}

/// Set by who wants these tests and no excuse: `cargo xtask bpf`.
const REQUIRED: &str = "IRDEST_PROBES_REQUIRED";

/// Whether probes can be had here; says why not, and fails where they are required.
#[allow(clippy::print_stderr, reason = "a test that passes without having tested has to say so")]
pub(crate) fn possible() -> bool {
    match Probes::load() {
        Ok(_) => true,
        Err(error @ (LoadError::NoObject | LoadError::Permission { .. } | LoadError::TooOld(_))) => {
            let required = std::env::var_os(REQUIRED).is_some_and(|value| value == "1");
            assert!(!required, "{REQUIRED} is set, and there are no probes: {error}");
            eprintln!("SKIPPED, not tested: {error}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

/// The programs with their maps.
pub(crate) struct Loaded {
    object: Ebpf,
    followed: HashMap<MapData, Value<ebpf_abi::Conversation>, u32>,
    counters: PerCpuArray<MapData, Value<Counters>>,
    round_trips: Array<MapData, Value<Histogram>>,
    waiting: Array<MapData, Value<Stamps>>,
    said: RingBuf<MapData>,
    next: u32,
}

impl Loaded {
    /// Loads them; nothing where that cannot be.
    pub(crate) fn new() -> Option<Self> {
        if !possible() {
            return None;
        }
        // Everything is said, so that what says it is verified as well.
        let level: u8 = 5;
        let mut object =
            EbpfLoader::new().override_global("AYA_LOG_LEVEL", &level, true).load(object()?).unwrap();
        for (name, program) in object.programs_mut() {
            let program: &mut SchedClassifier = program.try_into().unwrap();
            program.load().unwrap_or_else(|error| panic!("{name}: {error}"));
            let steps = program.info().unwrap().verified_instruction_count();
            assert!(steps.is_some_and(|steps| steps < VERIFIER_STEPS), "{name}: {steps:?}");
        }
        Some(Self {
            followed: object.take_map(FOLLOWED_MAP).unwrap().try_into().unwrap(),
            counters: object.take_map(COUNTERS_MAP).unwrap().try_into().unwrap(),
            round_trips: object.take_map(ROUND_TRIPS_MAP).unwrap().try_into().unwrap(),
            waiting: object.take_map(STAMPS_MAP).unwrap().try_into().unwrap(),
            said: object.take_map("AYA_LOGS").unwrap().try_into().unwrap(),
            object,
            next: 0,
        })
    }

    pub(crate) fn follow(&mut self, conversation: Conversation) {
        self.followed.insert(Value(key(&conversation)), self.next, 0).unwrap();
        self.next += 1;
    }

    fn place(&self, conversation: &Conversation) -> u32 {
        self.followed.get(&Value(key(conversation)), 0).unwrap()
    }

    /// Runs a program once on a packet. Newer kernels make no frame whose header of IP is cut off.
    pub(crate) fn run(&self, program: Program, packet: &[u8]) {
        let refused = self.result(program, packet, About::default());
        let cut_off = packet.len() < 14 + 40;
        assert!(refused.is_none() || cut_off, "{program:?}: {refused:?}");
    }

    /// Runs a program once on a packet of which the kernel knows more.
    pub(crate) fn run_about(&self, program: Program, packet: &[u8], about: About) {
        assert_eq!(self.result(program, packet, about), None);
    }

    /// Why the kernel runs no program on this packet, if so.
    fn result(&self, program: Program, packet: &[u8], about: About) -> Option<String> {
        let context = about.context();
        let run: &SchedClassifier = self.object.program(program.name()).unwrap().try_into().unwrap();
        let mut options = TestRunOptions::new();
        options.data_in = Some(packet);
        options.ctx_in = Some(&context);
        match run.test_run(options) {
            Ok(result) => {
                let unspecified = u32::MAX;
                assert_eq!(result.return_value, unspecified, "others on the hook go on (TC_ACT_UNSPEC)");
                None
            }
            Err(error) => Some(format!("{error:?}")),
        }
    }

    /// What was counted of a conversation.
    pub(crate) fn counters(&self, conversation: &Conversation) -> Counters {
        let values = self.counters.get(&self.place(conversation), 0).unwrap();
        values.iter().fold(Counters::default(), |all, one| all.and(one.0))
    }

    /// How many conversations are counted.
    pub(crate) fn conversations(&self) -> usize {
        self.followed.keys().count()
    }

    /// How many round trips were measured of a conversation.
    pub(crate) fn round_trips(&self, conversation: &Conversation) -> u32 {
        self.round_trips.get(&self.place(conversation), 0).unwrap().0.counts.iter().sum()
    }

    /// How many lines the programs had to say since the last call.
    pub(crate) fn lines(&mut self) -> usize {
        std::iter::from_fn(|| self.said.next().map(drop)).count()
    }

    /// As if every place had a stamp that waits since the machine was started.
    pub(crate) fn send_all_long_ago(&mut self, conversation: &Conversation) {
        let place = self.place(conversation);
        let stamp = Stamp { sent: 1, value: u32::MAX, zero: 0 };
        self.waiting.set(place, Value(Stamps { places: [stamp; STAMPS] }), 0).unwrap();
    }

    /// How many time stamps of a conversation wait for their echo.
    pub(crate) fn waiting(&self, conversation: &Conversation) -> usize {
        let stamps = self.waiting.get(&self.place(conversation), 0).unwrap().0;
        stamps.places.iter().filter(|stamp| stamp.sent != 0).count()
    }
}

/// The key as the kernel has it, made apart from the loader's own.
fn key(conversation: &Conversation) -> ebpf_abi::Conversation {
    use std::net::IpAddr;
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => mapped(v4.octets()),
        IpAddr::V6(v6) => v6.octets(),
    };
    let ports = matches!(conversation.protocol, 6 | 17);
    ebpf_abi::Conversation {
        local: octets(conversation.local.ip()),
        remote: octets(conversation.remote.ip()),
        interface: conversation.interface,
        local_port: if ports { conversation.local.port() } else { 0 },
        remote_port: if ports { conversation.remote.port() } else { 0 },
        protocol: conversation.protocol,
        zero: [0; 3],
    }
}
