// SPDX-License-Identifier: AGPL-3.0-or-later
//! What is measured, and how our own subjects are started.

use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use irdest_lab::{Gateway, GatewayConfig, Node, Peer as Dialled, Process, gateway_program};

use super::beside;
use super::field::{Field, Place};
use super::machine::{Usage, forget_peaks};
use super::peers::{Leftover, Peer};

/// MTU inside of every tunnel, the gateway's default.
pub(crate) const INNER_MTU: &str = "1420";
/// Overlay addresses of both ends, as all tunnels have them that let us choose.
pub(crate) const OVERLAY_A: &str = "10.66.1.1";
pub(crate) const OVERLAY_B: &str = "10.66.2.1";

/// Something that carries traffic from A to B.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The veth pair itself.
    Raw,
    /// The bare tunnel.
    Yardstick,
    /// What we would be without a router: super-packets over TCP, each sealed once.
    Bare,
    /// The same, not even sealed.
    Plain,
    /// Our gateways, linked.
    Direct,
    /// Our gateways with our router between them.
    Relay,
    /// Another product.
    Peer(Peer),
    /// Any program, started by a script.
    Beside {
        /// How it is called in the report.
        name: String,
        /// What starts one end of it.
        script: PathBuf,
    },
}

/// A subject that runs. Dropped, it ends and all of it is removed.
#[derive(Debug)]
pub(crate) struct Running {
    /// B's address inside of the tunnel.
    pub(crate) target: IpAddr,
    processes: Vec<Process>,
    gateways: Vec<Gateway>,
    _leftovers: Vec<Leftover>,
    // Last, so that what runs ends before its nodes.
    pub(crate) field: Field,
}

/// What a start adds to the field.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) target: IpAddr,
    pub(crate) processes: Vec<Process>,
    pub(crate) leftovers: Vec<Leftover>,
}

impl Subject {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Raw => "raw",
            Self::Yardstick => "yardstick",
            Self::Bare => "bare",
            Self::Plain => "plain",
            Self::Direct => "direct",
            Self::Relay => "relay",
            Self::Peer(peer) => peer.name(),
            Self::Beside { name, .. } => name,
        }
    }

    /// Starts all of its programs in a field of its own.
    ///
    /// # Errors
    /// With the last lines of their logs.
    pub(crate) fn start(&self, limit: Duration) -> Result<Running> {
        let field = if *self == Self::Relay { Field::relay(limit) } else { Field::direct(limit) }?;
        let mut gateways = Vec::new();
        let started = match self {
            Self::Raw => Ok(Started::of(field.b.local[0].parse()?, Vec::new())),
            Self::Yardstick => yardstick(&field, &[]),
            Self::Bare => yardstick(&field, &["--stream"]),
            Self::Plain => yardstick(&field, &["--stream", "--plain"]),
            Self::Direct | Self::Relay => start_gateways(&field, &mut gateways)
                .and_then(|()| Ok(Started::of(OVERLAY_B.parse()?, Vec::new()))),
            Self::Peer(peer) => peer.start(&field),
            Self::Beside { script, .. } => beside::start(&field, script),
        };
        let Started { target, processes, leftovers } = started.map_err(|error| field.explain(error))?;
        Ok(Running { target, processes, gateways, _leftovers: leftovers, field })
    }
}

impl Started {
    pub(crate) fn of(target: IpAddr, processes: Vec<Process>) -> Self {
        Self { target, processes, leftovers: Vec::new() }
    }
}

impl Running {
    fn groups(&self) -> Vec<u32> {
        let gateways = self.gateways.iter().filter_map(Gateway::process_id);
        self.processes.iter().map(Process::id).chain(gateways).collect()
    }

    pub(crate) fn has_processes(&self) -> bool {
        !self.groups().is_empty()
    }

    /// What its processes have used so far.
    ///
    /// # Errors
    /// Where one of them has ended.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(&self.groups())
    }

    /// Lets peaks of memory count from now on: what a start needs is not what moving needs.
    pub(crate) fn forget_peaks(&self) {
        self.groups().into_iter().for_each(forget_peaks);
    }
}

fn yardstick(field: &Field, underlay: &[&str]) -> Result<Started> {
    let program = gateway_program()?.with_file_name("irdest-yardstick");
    let mut key = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    let mut processes = Vec::new();
    for (place, overlay) in [(&field.b, OVERLAY_B), (&field.a, OVERLAY_A)] {
        let file = place.node.directory().join("key");
        let mut private = fs::OpenOptions::new();
        std::io::Write::write_all(&mut private.create_new(true).write(true).mode(0o600).open(&file)?, &key)?;
        let (local, peer) = (format!("{}:7000", place.local[0]), format!("{}:7000", place.peers[0]));
        let key = file.display().to_string();
        let arguments =
            ["--tun", "tun0", "--local", &local, "--peer", &peer, "--key", &key, "--mtu", INNER_MTU];
        let process = place.node.spawn(&program, &[&arguments, underlay].concat(), "yardstick")?;
        processes.push(bring_up(&place.node, process, "tun0", overlay)?);
    }
    Ok(Started::of(OVERLAY_B.parse()?, processes))
}

/// Waits for the device that a process makes, and gives it its address and MTU.
pub(crate) fn bring_up(node: &Node, mut process: Process, device: &str, address: &str) -> Result<Process> {
    node.limit().at_most(Duration::from_secs(10)).wait_for("a TUN device", || {
        ensure!(process.is_running(), "the program of node {} has ended:\n{}", node.name(), process.log());
        Ok(node.ip(&["link", "show", device]).is_ok().then_some(()))
    })?;
    node.ip(&["address", "add", &format!("{address}/16"), "dev", device])?;
    node.ip(&["link", "set", device, "mtu", INNER_MTU, "up"])?;
    Ok(process)
}

/// The daemons, in the order in which they can be dialled, and a route between A and B.
fn start_gateways(field: &Field, gateways: &mut Vec<Gateway>) -> Result<()> {
    let r = field.r.as_ref().map(router).transpose()?;
    let mut a = Gateway::prepare(field.a.node.clone(), &edge(&field.a, OVERLAY_A, None))?;
    let mut b = Gateway::prepare(field.b.node.clone(), &edge(&field.b, OVERLAY_B, Some((OVERLAY_A, &a))))?;
    // B's address was not known before.
    a.configure(&edge(&field.a, OVERLAY_A, Some((OVERLAY_B, &b))))?;
    if let Some(mut r) = r {
        r.start_as_ratmand()?;
        gateways.push(r);
    }
    b.start()?;
    a.start()?;
    let (address_a, address_b) = (a.identity().address.clone(), b.identity().address.clone());
    field.limit().wait_for("routes between A and B", || {
        let (from_a, from_b) = (a.status()?, b.status()?);
        let both = from_a.next_hop(&address_b).is_some() && from_b.next_hop(&address_a).is_some();
        Ok(both.then_some(()))
    })?;
    gateways.extend([a, b]);
    Ok(())
}

fn router(place: &Place) -> Result<Gateway> {
    Gateway::prepare(place.node.clone(), &GatewayConfig::default())
}

/// The configuration of an end; A dials, or both dial R.
fn edge(place: &Place, overlay: &str, other: Option<(&str, &Gateway)>) -> GatewayConfig {
    let dialled = place.peers.iter().map(|address| Dialled::from(format!("inet:{address}:5860").as_str()));
    GatewayConfig {
        peers: dialled.collect(),
        routes: other
            .map(|(address, gateway)| (format!("{address}/32"), gateway.identity().address.clone()))
            .into_iter()
            .collect(),
        tun: Some(vec![format!("{overlay}/24")]),
        accept: vec![("tcp", vec![5201]), ("udp", vec![5201])],
        ..GatewayConfig::default()
    }
}
