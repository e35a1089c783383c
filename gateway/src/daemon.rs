// SPDX-License-Identifier: AGPL-3.0-or-later
//! The running gateway: starts what the configuration asks for, takes another one on SIGHUP, and ends in order on
//! SIGTERM.
//!
//! The control plane has a thread of its own, where signatures are verified; the data plane has one thread per core, each with
//! its runtime, where frames and packets move and nothing else does. Beside them the message plane has its threads.

mod clients;
mod inet;
mod reload;
mod streams;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use gateway_core::firewall::Firewall;
use gateway_core::flow::{FlowTable, HashSeed};
use gateway_core::icmp::IcmpAnswers;
use gateway_core::limits::RemoteLimits;
use gateway_core::remotes::{Remotes, overlay_address};
use gateway_core::session::{SessionConfig, Sessions};
use gateway_tun::{InnerMtu, Tun, TunConfig};
use ipnet::IpNet;
use netmod_api::Netmod;
use netmod_inet::Inet;
use nix::sys::signal::SigSet;
use ratman_types::{Address, Ed25519Verifier, WallTime, blake2b_keyed};
use router_core::{Router, RouterConfig};
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::client_api;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::control::{self, Server};
use crate::data_threads::DataThreads;
use crate::desk::Desk;
use crate::driver::{Driver, Identification, Inputs, Parts, with_times};
use crate::forward::{Forwarder, LocalSessions, notices};
use crate::hardware::has_aes;
use crate::host::{Host, Plan};
use crate::identity::Identity;
use crate::irdest_proxy::{Asks, ControlHalf, DataHalf, ProxyConfig};
use crate::message_plane::{MessagePlane, Restored};
use crate::netlink::Watch;
use crate::probing::{Loaded, Probing};
use crate::state::State;
use crate::watchdog::Watchdog;
use crate::ways::Ways;
use crate::{notify, privilege};

pub use reload::Settings;

/// The year in which this release was written: a wall clock before it is wrong. A constant, so that two builds of one
/// source are the same.
pub(crate) const WRITTEN: WallTime = WallTime::from_micros(1_767_225_600_000_000);

/// Runs until SIGTERM or SIGINT, which end it cleanly, or until something without which it cannot go on fails.
///
/// To be called while there is one thread: the others have what privileges it keeps.
///
/// # Errors
/// What cannot be had: an address to listen on, the device, a route, the control socket; or privileges that stay.
pub fn run(settings: Settings, identity: &Identity, state: State) -> anyhow::Result<()> {
    let config = settings.config();
    let probes = Loaded::load(config.probes);
    let privileges = privilege::shrink(config.tun.enable || probes.is_some())?;
    // Whoever started us may have had signals blocked: then we would hear neither of the end nor of a reload.
    SigSet::empty().thread_set_mask().context("cannot unblock signals")?;
    let control = Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    let data = DataThreads::start().context("cannot start the threads of the data path")?;
    privileges.prove()?;
    let outcome = control.block_on(live(settings, (identity, state, probes), &data));
    data.end();
    outcome
}

async fn live(
    mut settings: Settings,
    (identity, state, probes): (&Identity, State, Loaded),
    data: &DataThreads,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot take SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot take SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot take SIGHUP")?;
    let mut gateway = Gateway::start(settings.config(), (identity, state, probes), data).await?;
    info!(address = %identity.address(), router = %identity.router_id().short(), "running");
    notify::ready();
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        error = gateway.run(&mut settings, &mut hangup) => Err(error),
    };
    info!("ending");
    notify::stopping();
    gateway.end().await;
    outcome
}

/// Everything that runs.
struct Gateway {
    own: Address,
    driver: Driver,
    inputs: Inputs,
    server: tokio::task::JoinHandle<()>,
    /// The client API, where there is one.
    clients: Option<clients::ServedClients>,
    /// Without streams there is none.
    desk: Option<Desk>,
    /// One task per queue of the TUN device; each ends only with an error.
    pumps: JoinSet<Result<std::io::Result<()>, oneshot::error::RecvError>>,
    streams: Option<MessagePlane>,
    host: Option<Host>,
    inet: Option<Arc<Inet>>,
    /// The first runtime of the data path.
    data: Handle,
}

impl Gateway {
    async fn start(
        config: &Config,
        (identity, state, probes): (&Identity, State, Loaded),
        threads: &DataThreads,
    ) -> anyhow::Result<Self> {
        let data = threads.first();
        let own = identity.address();
        refuse_own(config, &own)?;
        let clock = Clock;
        let now = clock.now();
        let (requests_in, requests) = control::requests();
        let server = Server::bind(&config.control_socket)?;
        let mut router = Router::new(
            router_config(config, identity),
            Arc::new(identity.router.clone()),
            Arc::new(Ed25519Verifier),
            random()?,
            now,
        );
        let ways = Arc::new(Ways::default());
        let hops_left = router.initial_hops(&own);
        let (streams, no_streams) = streams::open(config, identity, &state, hops_left)?;
        let mut host = None;
        let mut proxy = None;
        if config.tun.enable || streams.is_some() {
            let last = state.last_origin(&own).unwrap_or_default();
            router.add_local(Arc::new(identity.address.clone()), last, now);
        }
        state.known().iter().for_each(|known| router.restore_nearness(known));
        if config.tun.enable {
            let halves = {
                let _data = data.enter();
                open_proxy(config, identity, &state, hops_left, &ways)?
            };
            host = Some(Host::start(Plan::new(config, &identity.address()), state.dir()).await?);
            proxy = Some(halves);
        }
        let sessions = proxy.as_ref().map(|(_, half, _)| -> Arc<dyn LocalSessions> { half.clone() });
        let (notices_in, notices) = notices();
        let inlet = streams.as_ref().map(|streams| streams.inlet().clone());
        let seeds = (hash_seed()?, random()?);
        let forwarder = Forwarder::new(clock, Arc::clone(&ways), sessions, (notices_in, inlet), seeds);
        let forwarder = Arc::new(forwarder);
        let start = |streams: Restored| streams.start(Arc::clone(&forwarder), Arc::clone(&ways));
        let mut streams = streams.map(start).transpose().context("cannot start the message plane")?;
        let inet = {
            let _data = data.enter();
            inet::start(config, identity, &forwarder, threads.spread())?
        };
        let mut pumps = JoinSet::new();
        if let Some((_, half, _)) = &proxy {
            for queue in 0..half.tun().queues() {
                let half = Arc::clone(half);
                let (ended, end) = oneshot::channel();
                let pump = async move { _ = ended.send(half.run(queue).await) };
                threads.spread().spawn_at(queue.into(), Box::pin(pump));
                pumps.spawn(end);
            }
        }
        let (proxy, asks) = proxy.map(|(control, _, asks)| (control, asks)).unzip();
        let mut parts = Parts {
            identification: Identification { address: identity.address(), router_id: identity.router_id() },
            router,
            proxy,
            forwarder,
            ways,
            streams: streams.as_ref().map(MessagePlane::door),
            missing: no_streams.into_iter().collect(),
            netmods: inet.clone().into_iter().map(|inet| -> Arc<dyn Netmod> { inet }).collect(),
            control_refused: server.refused(),
            state,
            configured: configured(config),
            link_rules: config.links.clone(),
            probing: Probing::new(probes, if config.tun.enable { config.host.mark } else { 0 }),
            watchdog: Watchdog::of_service_manager(threads.handles(), now.at),
            duty: threads.duty(now.at),
        };
        let words = streams.as_mut().and_then(MessagePlane::take_words);
        let (desk, orders) = streams.as_ref().and_then(|plane| streams::desk(plane, own, config)).unzip();
        let clients = streams.as_ref().map(|streams| streams.clients().clone());
        let served = clients.clone().zip(desk.clone()).map(|(streams, desk)| {
            let doors = client_api::Doors::new(streams, desk, requests_in.clone());
            clients::serve(&config.clients, server.allowed(), doors)
        });
        let (served, no_clients) = served.unwrap_or_default();
        parts.missing.extend(no_clients);
        let mut driver = Driver::new(clock, parts);
        if let Some(desk) = &desk {
            driver.heed_contacts(desk.contacts().regard());
        }
        let inputs = Inputs { notices, asks, words, orders, requests, network: watch_network() };
        let server = tokio::spawn(server.serve(requests_in, clients, desk.clone()));
        Ok(Self {
            own,
            driver,
            inputs,
            server,
            clients: served,
            desk,
            pumps,
            streams,
            host,
            inet,
            data: data.clone(),
        })
    }

    /// Runs until something fails, and says what; follows the configuration on SIGHUP.
    async fn run(&mut self, settings: &mut Settings, hangup: &mut Signal) -> anyhow::Error {
        loop {
            tokio::select! {
                error = self.run_on() => return error,
                Some(()) = hangup.recv() => {}
            }
            self.reload(settings).await;
        }
    }

    /// Safe to cancel and call again.
    async fn run_on(&mut self) -> anyhow::Error {
        let pump = async {
            match self.pumps.join_next().await {
                Some(Ok(Ok(Ok(())))) => anyhow!("the TUN device ended"),
                Some(Ok(Ok(Err(error)))) => anyhow::Error::new(error).context("the TUN device failed"),
                Some(Ok(Err(_)) | Err(_)) => anyhow!("the data path failed"),
                None => std::future::pending().await,
            }
        };
        let host = async {
            match &mut self.host {
                Some(host) => loop {
                    host.follow().await;
                },
                None => std::future::pending::<()>().await,
            }
        };
        let streams = async {
            match &mut self.streams {
                Some(streams) => streams.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = pump => error,
            () = streams => anyhow!("the message plane failed"),
            () = host => anyhow!("nobody looks after the host"),
            () = self.driver.run(&mut self.inputs) => anyhow!("the control plane ended"),
        }
    }

    async fn end(mut self) {
        if let Some(clients) = self.clients.take() {
            let _ = tokio::task::spawn_blocking(move || clients.end()).await;
        }
        self.server.abort();
        // Awaited, so that its socket is removed before we say that we ended.
        let _ = self.server.await;
        self.driver.end();
        if let Some(streams) = self.streams.take() {
            // It waits for the disk.
            let _ = tokio::task::spawn_blocking(move || streams.end()).await;
        }
        if let Some(host) = self.host.take() {
            host.end().await;
        }
    }
}

fn router_config(config: &Config, identity: &Identity) -> RouterConfig {
    let privacy = blake2b_keyed(identity.router.seed(), &[b"irdest privacy 1"]);
    RouterConfig { pinned: configured(config), ..RouterConfig::new(*privacy.as_bytes(), WRITTEN) }
}

fn configured(config: &Config) -> BTreeSet<Address> {
    config.routes.iter().map(|route| route.via).collect()
}

fn prefixes(config: &Config) -> impl Iterator<Item = (IpNet, Address)> {
    config.routes.iter().map(|route| (route.prefix, route.via))
}

fn refuse_own(config: &Config, own: &Address) -> Result<(), ConfigError> {
    match configured(config).contains(own) {
        true => Err(ConfigError::OwnAddress(*own)),
        false => Ok(()),
    }
}

type Halves = (ControlHalf, Arc<DataHalf>, Asks);

/// Opens the device and joins both halves of irdest-proxy; must be called in the data path's runtime.
fn open_proxy(
    config: &Config,
    identity: &Identity,
    state: &State,
    hops_left: u8,
    ways: &Arc<Ways>,
) -> anyhow::Result<Halves> {
    let now = Clock.now();
    let local = identity.address();
    let own = tun_addresses(config, &local);
    let tun = Tun::open(&TunConfig {
        mtu: InnerMtu::new(config.tun.mtu.into()).context("tun.mtu")?,
        offload: config.tun.offload,
        queues: DataThreads::count(),
        ..TunConfig::new(config.tun.name.as_str().parse().context("tun.name")?)
    })?;
    info!(target: "irdest_proxy", device = %tun.name(), offload = %tun.offload(), "device open");
    let remotes = Remotes::new(prefixes(config), hash_seed()?)?;
    let mut sessions =
        Sessions::new(session_config(config, state, hops_left), &identity.address, random()?, now);
    let mut flows = FlowTable::new(hash_seed()?, &own, tun.queues());
    flows.set_firewall(Firewall::new(config.firewall_rules.clone(), configured(config)));
    let limits = RemoteLimits::new(hash_seed()?, &config.limits, configured(config));
    let (half, asks) = DataHalf::new(
        Clock,
        tun,
        Arc::clone(ways),
        (sessions.table(), remotes.clone()),
        (flows, limits, IcmpAnswers::default()),
        config.tun.mtu,
    );
    let proxy = ProxyConfig { local, hops_left };
    Ok((ControlHalf::new(proxy, Arc::clone(&half), sessions, remotes, now), half, asks))
}

fn session_config(config: &Config, state: &State, hops_left: u8) -> SessionConfig {
    SessionConfig {
        accept: config.accept_sessions,
        configured: with_times(&configured(config), state),
        aes_in_hardware: has_aes(),
        hops_left,
    }
}

/// The addresses of the device: those of the configuration, and the overlay address.
fn tun_addresses(config: &Config, local: &Address) -> Vec<IpNet> {
    let configured = config.tun.addresses.iter().copied();
    configured.chain([IpNet::from(IpAddr::V6(overlay_address(local)))]).collect()
}

/// Without netlink changes of the network neither reset the backoff of dialers nor move probes to another interface; those
/// follow when links come and go.
fn watch_network() -> Option<Watch> {
    Watch::new().inspect_err(|error| warn!(%error, "changes of the host's network are not seen")).ok()
}

/// Bytes that nobody can guess.
pub(crate) fn random<const LENGTH: usize>() -> anyhow::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("no random bytes from the kernel: {error}"))?;
    Ok(bytes)
}

fn hash_seed() -> anyhow::Result<HashSeed> {
    random().map(HashSeed::from_bytes)
}

#[cfg(test)]
mod tests;
