// SPDX-License-Identifier: AGPL-3.0-or-later
//! The device of a victim whose remote is the attacker, and what its kernel was given through it.

use std::net::IpAddr;

use irdest_lab::Gateway;
use ratman_types::{Address, Signer};

use crate::mesh::{Books, Mesh, address_of};
use crate::packets::{echo_request, is_echo_reply, v4, v6};
use crate::rogue::{Rogue, address_key};

/// Where the firewall of A lets configured remotes connect to; nobody listens, so that the kernel answers what it gets.
pub(crate) const OPEN_PORT: u16 = 8080;

const SEED: u8 = 43;

/// A mesh in which A is told to trust the attacker with `10.66.9.0/24`, and the attacker's session with A.
pub(crate) struct Victim {
    pub(crate) mesh: Mesh,
    pub(crate) rogue: Rogue,
    /// A's address.
    pub(crate) a: Address,
    /// An address of the attacker and one of A, of either family.
    pub(crate) v4: (IpAddr, IpAddr),
    pub(crate) v6: (IpAddr, IpAddr),
}

impl Victim {
    pub(crate) fn new() -> Self {
        let mut mesh = Mesh::prepare();
        let remote = address_key(SEED).address().to_string();
        mesh.configure_a(|config| {
            config.routes.push(("10.66.9.0/24".to_owned(), remote));
            config.accept.push(("udp", vec![OPEN_PORT]));
        });
        mesh.start();
        let rogue = Rogue::join(&mesh.m, Mesh::R_TO_M, &mesh.r, SEED);
        mesh.wait_for_route(&mesh.a, &rogue.address().to_string());
        let a = address_of(&mesh.a);
        rogue.open_session(a);
        let v4 = (v4("10.66.9.1"), v4("10.66.1.1"));
        let v6 = (v6(rogue.overlay()), v6(mesh.a.identity().overlay));
        let victim = Self { mesh, rogue, a, v4, v6 };
        victim.is_answered(v4);
        victim.is_answered(v6);
        victim
    }

    /// Sends what needs nothing of the kernel.
    pub(crate) fn send(&self, packet: &[u8]) {
        self.rogue.send_packet(self.a, [0; 10], packet);
    }

    /// Waits until A's kernel has answered a ping, and with it has got all that came before.
    pub(crate) fn is_answered(&self, (own, inside): (IpAddr, IpAddr)) {
        self.rogue.forget_packets();
        self.send(&echo_request(own, inside));
        self.rogue.packet("an answer to the attacker", |packet| is_echo_reply(packet, inside));
    }

    /// What A dropped from now on.
    pub(crate) fn books(&self) -> Books<'_> {
        Books::open(&self.mesh.a)
    }

    pub(crate) fn device(&self) -> Device {
        Device::of(&self.mesh.a)
    }

    /// Since `before` and the opening of `books`, the kernel saw nothing, nothing else was dropped, and A is unharmed.
    pub(crate) fn has_refused_all(&self, before: Device, books: Books<'_>) {
        // Whatever came before an answered packet has come through, if it did.
        self.is_answered(self.v4);
        assert_eq!(self.device(), before.after(1), "nothing but the ping");
        books.close();
        self.is_unharmed();
    }

    /// A is none the worse: what comes in and what goes out moves as ever.
    pub(crate) fn is_unharmed(&self) {
        let tunnel = self.mesh.tunnel();
        self.is_answered(self.v4);
        tunnel.end_unharmed();
    }
}

/// How many packets went through a device into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// By the daemon: written, and refused by the kernel.
    pub(crate) written: u64,
    pub(crate) refused: u64,
    /// By the kernel.
    pub(crate) received: u64,
}

impl Device {
    fn of(gateway: &Gateway) -> Self {
        let counters = gateway.status().expect("a daemon that answers").counters;
        let path = "/sys/class/net/irdest0/statistics/rx_packets";
        let node = gateway.node();
        let received = node.run("cat", &[path], node.limit()).expect("a device").trim().parse();
        let [written, refused] = ["tun_sent", "tun_refused"].map(|name| counters[name]);
        Self { written, refused, received: received.expect("a number") }
    }

    /// As it will be when the kernel was given so many packets more.
    pub(crate) fn after(self, packets: u64) -> Self {
        Self { written: self.written + packets, received: self.received + packets, ..self }
    }
}
