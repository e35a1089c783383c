// SPDX-License-Identifier: AGPL-3.0-or-later
//! The yardstick of `cargo xtask bench`: the least that an encrypted tunnel can be, and nothing of a router.
//!
//! One thread reads super-packets from a TUN device, cuts them into packets, seals each with AES-256-GCM, and sends
//! those of one super-packet with one call (`UDP_SEGMENT`). Another receives what the kernel gathered (`UDP_GRO`), opens
//! each packet, and joins TCP segments that follow each other into one write to the TUN device.
//!
//! With `--stream` it is what the gateway would be without a router: super-packets go whole over TCP, each sealed once; with
//! `--plain` besides, not even that. Nothing that does more is faster than these.
//!
//! It measures and protects nobody: there is no handshake, no replay window, and a key must serve one run only.

mod inbound;
mod join;
mod outbound;
mod seal;
mod stream;
mod udp;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use gateway_tun::{DeviceName, InnerMtu, Tun, TunConfig};
use tokio::runtime::Runtime;

use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::seal::{Key, Way};
use crate::stream::{StreamInbound, StreamOutbound};
use crate::udp::UdpLink;

/// A bare encrypted tunnel between a TUN device and one peer, to measure other tunnels by.
#[derive(Debug, Parser)]
#[command(name = "irdest-yardstick")]
struct Arguments {
    /// The TUN device to make; it is neither brought up nor given an address.
    #[arg(long)]
    tun: DeviceName,
    /// Socket address to send from.
    #[arg(long)]
    local: SocketAddr,
    /// Socket address of the other end.
    #[arg(long)]
    peer: SocketAddr,
    /// File of 32 bytes, the same at both ends and made anew for each run.
    #[arg(long)]
    key: PathBuf,
    /// MTU of the TUN device, in bytes.
    #[arg(long, default_value_t = u32::from(InnerMtu::DEFAULT.get()))]
    mtu: u32,
    /// Carry super-packets whole over TCP, each sealed once; the end with the higher address listens.
    #[arg(long)]
    stream: bool,
    /// Do not encrypt.
    #[arg(long, requires = "stream")]
    plain: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let key = read_key(&arguments)?;
    let way = Way::between(arguments.local, arguments.peer);
    let (runtime, tun) = open_tun(&arguments)?;
    let tun = Arc::new(tun);
    let (sealer, opener) = (key.sealer(way), key.opener(way.back()));
    let (ended, ends) = mpsc::channel();
    let also_ended = ended.clone();
    if arguments.stream {
        let stream = stream::open(arguments.local, arguments.peer)?;
        let is_sealed = !arguments.plain;
        let outbound =
            StreamOutbound::new(Arc::clone(&tun), stream.try_clone()?, is_sealed.then_some(sealer));
        let inbound = StreamInbound::new(tun, stream, is_sealed.then_some(opener));
        thread::spawn(move || ended.send(runtime.block_on(outbound.run())));
        thread::spawn(move || also_ended.send(inbound.run()));
    } else {
        let link = Arc::new(UdpLink::open(arguments.local, arguments.peer)?);
        let outbound = Outbound::new(Arc::clone(&tun), Arc::clone(&link), sealer);
        let inbound = Inbound::new(tun, link, opener);
        thread::spawn(move || ended.send(runtime.block_on(outbound.run())));
        thread::spawn(move || also_ended.send(inbound.run()));
    }
    // Neither direction is of use without the other: the first to end takes the program with it.
    ends.recv()?
}

fn read_key(arguments: &Arguments) -> Result<Key> {
    let file = &arguments.key;
    let bytes = fs::read(file).with_context(|| format!("reading the key {}", file.display()))?;
    Key::new(&bytes).with_context(|| format!("{}: expected {} bytes", file.display(), Key::LEN))
}

/// The device, and the runtime that tells when it has something to read.
fn open_tun(arguments: &Arguments) -> Result<(Runtime, Tun)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mtu = InnerMtu::new(arguments.mtu)?;
    let config = TunConfig { mtu, ..TunConfig::new(arguments.tun.clone()) };
    let guard = runtime.enter();
    let tun = Tun::open(&config)?;
    drop(guard);
    ensure!(tun.offload().is_on(), "without offload this is no yardstick: {}", tun.offload());
    Ok((runtime, tun))
}
