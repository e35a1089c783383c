// SPDX-License-Identifier: AGPL-3.0-or-later
//! Many new flows from both sides beside one that exists.
//!
//! What is compared is a paced TCP connection with and without the flood, both far below what two cores carry: the test is
//! about tables and queues, and must not measure the machine.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use irdest_lab::traffic::IperfServer;
use irdest_lab::{Node, Sites};

use crate::scene::{accept, configure_b, prepared};

/// The pace of the connection that exists.
const PACE: &str = "20M";

const SECONDS: u32 = 8;

/// What the connection must keep.
const SHARE: f64 = 0.8;

/// Datagrams in a row, and the pause after them: at most 4000 flows per second from each side.
const ROW: u16 = 40;
const PAUSE: Duration = Duration::from_millis(10);

/// Flows with one remote that one side may have opened (`MAX_FLOWS_PER_REMOTE` of gateway-core).
const FLOW_LIMIT: usize = 16_384;

/// Datagrams to one port after the other until it is dropped.
struct Flood {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    fn start(from: &Node, target: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (until, target): (_, IpAddr) = (Arc::clone(&over), target.parse().unwrap());
        let flood = move || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            let mut ports = (10_000..60_000_u16).cycle();
            while !until.load(Ordering::Relaxed) {
                for port in ports.by_ref().take(ROW.into()) {
                    // That a port is closed shows in a later call, and is what a flood has to expect.
                    let _ = socket.send_to(b"flood", (target, port));
                }
                std::thread::sleep(PAUSE);
            }
        };
        Self { over, thread: Some(from.thread(flood).unwrap()) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))), "a flood does not panic");
    }
}

#[test]
fn a_connection_keeps_its_throughput_beside_floods_of_new_flows() {
    let mut sites = prepared(&[accept("udp", "remote = \"any\", protocol = \"udp\"")], "");
    configure_b(
        &sites,
        "[firewall]\naccept = [{ from = \"configured\", protocol = \"tcp\", ports = [5201] }]\n",
    );
    sites.start().unwrap();
    let (a, b) = (sites.a.node(), sites.b.node());
    let server = IperfServer::start(b, Sites::B_ADDRESS.parse().unwrap(), sites.limit()).unwrap();
    let throughput = || {
        let report = server.report(a, &["--bitrate", PACE], SECONDS, sites.limit()).unwrap();
        report.pointer("/end/sum_received/bits_per_second").and_then(|rate| rate.as_f64()).unwrap()
    };
    let alone = throughput();
    let floods = [Flood::start(a, Sites::B_ADDRESS), Flood::start(b, Sites::A_ADDRESS)];
    let beside = throughput();
    drop(floods);
    println!("{:.1} Mbit/s alone, {:.1} Mbit/s beside the floods", alone / 1e6, beside / 1e6);
    assert!(beside >= SHARE * alone, "{beside} of {alone}");

    let status = sites.a.status().unwrap();
    let count = |name: &str| status.counters[name];
    let flows = count("flows_created") - count("flows_expired") - count("flows_evicted");
    println!("{flows} flows, {:?}, drops {:?}", status.counters, status.drops);
    assert!(count("flows_evicted") > 0, "the flood from within has more than its share");
    assert!((FLOW_LIMIT..=2 * FLOW_LIMIT).contains(&usize::try_from(flows).unwrap()), "{flows}");
    assert!(status.drops("remote_flow_rate") > 0, "the flood from outside is held back: {:?}", status.drops);
}
