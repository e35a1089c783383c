// SPDX-License-Identifier: AGPL-3.0-or-later
//! The configuration: TOML in layers, each laid over the one before, then parsed once into types that are valid.
//!
//! The layers, lowest first: the built-in defaults (`config/defaults.toml`, which explains every key), `gateway.toml`,
//! the profile beside it, `gateway.toml` in the state directory (what was changed at run time; the operator's files
//! are never written), and each `-s KEY=VALUE`. Tables merge, lists and values replace.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gateway_core::firewall::Rule;
use gateway_core::limits::Limit as RemoteLimit;
use ipnet::IpNet;
use netmod_inet::TrainConfig;
use ratman_types::{Address, ByteCount, Mtu, RouterId};
use router_core::streams::StreamFilter;

mod clients;
mod contacts;
mod error;
mod firewall;
mod forward;
mod host;
mod layer;
mod limit;
mod link;
mod route;
mod section;
mod sources;
mod streams;
mod value;

use contacts::Contacts;
pub use contacts::MAX_CONTACTS;
pub(crate) use contacts::is_contact_name;
pub use error::{ConfigError, Place};
pub use gateway_core::remotes::MAX_ROUTES;
pub use gateway_core::session::Accept;
pub use gateway_tun::DeviceName;
pub use host::{HostConfig, OtherFamily};
use layer::{Node, Value};
pub use link::LinkRule;
pub use route::Route;
use section::{Limit, Section};
pub use sources::{DEFAULT_FILE, Sources};
use value::{
    ABSOLUTE_PATH, ACCEPT, DEVICE_ADDRESS, DEVICE_NAME, FLAG, LINK_MTU, LISTEN, LOG_FILTER, PEER_TARGET,
    ROUTER_KEY, SOCKET_BUFFER, SOCKET_PATH, TRAIN_SHARE, TUN_MTU,
};
pub use value::{LogFilter, PeerTarget};

use crate::host::Forward;

/// Every peer is dialled for ever and holds a socket.
const PEERS: Limit = Limit { most: 256, expected: "at most 256 peers" };
/// A host has few addresses to listen on, and every one holds a socket.
const LISTENERS: Limit = Limit { most: 64, expected: "at most 64 addresses to listen on" };
/// More addresses on one device are a mistake of whatever wrote the file.
const ADDRESSES: Limit = Limit { most: 64, expected: "at most 64 addresses" };

/// The defaults, with every key explained.
pub const DEFAULTS: &str = include_str!("config/defaults.toml");

/// All that the operator can set, valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Where identity and stored times live; default `/var/lib/irdest-gateway`.
    pub state_dir: PathBuf,
    /// The routers to dial; default none.
    pub peers: Vec<Peer>,
    /// Whether a router whose key no peer line names may be a neighbour; default true.
    pub accept_unknown_peers: bool,
    /// The file with the passphrase of the identity; default the systemd credential.
    pub passphrase_file: Option<PathBuf>,
    /// Names of remotes, at most [`MAX_CONTACTS`]; default none.
    pub contacts: BTreeMap<String, Address>,
    /// The TUN device.
    pub tun: TunConfig,
    /// The TCP netmod.
    pub inet: InetConfig,
    /// Prefixes behind remotes, none twice; default none.
    pub routes: Vec<Route>,
    /// Our place among the routes and rules of the host.
    pub host: HostConfig,
    /// What the host forwards between the mesh and other networks; default nothing.
    pub forward: Forward,
    /// Who may open a session; default anybody.
    pub accept_sessions: Accept,
    /// The rules of the firewall in their order, no name twice; default none.
    pub firewall_rules: Vec<Rule>,
    /// Bandwidth limits of remotes, the first that matches being a remote's only one; default none.
    pub limits: Vec<RemoteLimit>,
    /// What is said about links, the first that matches being all that holds for one; default nothing.
    pub links: Vec<LinkRule>,
    /// How idle links are measured by packet trains; none where they are not. Default 1 % of a link, once a minute.
    pub trains: Option<TrainConfig>,
    /// Streams.
    pub streams: StreamsConfig,
    /// The client API.
    pub clients: ClientsConfig,
    /// Whether probes in the kernel measure links, where they can be had; default true.
    pub probes: bool,
    /// The control socket; default `/run/irdest-gateway/control.sock`.
    pub control_socket: PathBuf,
    /// What is logged; default `info`.
    pub log_filter: LogFilter,
}

/// A router to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it listens.
    pub target: PeerTarget,
    /// The key that it must prove; without one, any router there will do.
    pub router_key: Option<RouterId>,
    /// The largest frame that this link takes, in bytes, 576–33004; default `mtu` of `[inet]`.
    pub mtu: Option<Mtu>,
}

/// `[tun]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TunConfig {
    /// Whether there is a device at all; default true, called as `ratmand` false.
    pub enable: bool,
    /// Its name; default `irdest0`.
    pub name: DeviceName,
    /// Its MTU in bytes of IP packet, 1280–65535; default 1420.
    pub mtu: u16,
    /// Whether to use segmentation offload; default true.
    pub offload: bool,
    /// Its addresses besides the overlay address; default none.
    pub addresses: Vec<IpNet>,
}

/// `[streams]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamsConfig {
    /// Whether streams are sent, taken and carried; default true.
    pub enable: bool,
    /// What the journal may hold of them, from 16 MiB to 1 TiB; default 1 GiB.
    pub quota: ByteCount,
    /// Before a larger one is sent its recipient is asked; default 8 MiB.
    pub notice_above: ByteCount,
    /// Which are taken; default all.
    pub filter: StreamFilter,
}

/// `[clients]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientsConfig {
    /// Whether programs of this host may make addresses, and send and receive streams; default true. Without streams there is
    /// nothing for them.
    pub enable: bool,
    /// Where they connect, on the loopback interface; default `127.0.0.1:5852`.
    pub listen: SocketAddr,
    /// The unix socket on which they connect as well, and those who may ask on the control socket are known for what they are; default
    /// `/run/irdest-gateway/clients.sock`.
    pub socket: Option<PathBuf>,
}

/// `[inet]`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InetConfig {
    /// Whether the netmod runs; default true.
    pub enable: bool,
    /// Where it listens; default `[::]:5860`.
    pub listen: Vec<SocketAddr>,
    /// The largest frame that links take, in bytes, 576–33004; default 33004.
    pub mtu: Option<Mtu>,
    /// What the kernel may buffer of every connection each way; default what it finds itself.
    pub buffer: Option<ByteCount>,
}

impl Config {
    /// Reads all layers that `sources` names.
    ///
    /// Each is checked by itself before they are merged, so that a mistake is found even where another layer hides it.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        sources.load(true)
    }

    /// Reads all layers but the one in the state directory, which only the daemon's user can read: for programs that
    /// ask a running daemon.
    pub fn load_for_client(sources: &Sources) -> Result<Self, ConfigError> {
        sources.load(false)
    }

    /// Parses the text of one file over the defaults; `source` names it in errors.
    pub fn from_text(source: &str, text: &str) -> Result<Self, ConfigError> {
        Self::from_layers([Node::from_file(source, text)?])
    }

    fn from_layers(layers: impl IntoIterator<Item = Node>) -> Result<Self, ConfigError> {
        let mut merged = Node::from_file("built-in defaults", DEFAULTS)?;
        for layer in layers {
            merged.overlay(layer);
        }
        Self::parse(&merged)
    }

    fn parse(merged: &Node) -> Result<Self, ConfigError> {
        let mut root = Section::open(String::new(), merged)?;
        let contacts = root.read("contacts", "a table", Contacts::parse)?;
        let config = Self {
            state_dir: root.get("state_dir", &ABSOLUTE_PATH)?,
            peers: root.list("peers", PEERS, Peer::parse, |peer| peer.target.clone())?,
            accept_unknown_peers: root.get("accept_unknown_peers", &FLAG)?,
            passphrase_file: only(root.section("identity")?, |identity| {
                identity.get_optional("passphrase_file", &ABSOLUTE_PATH)
            })?,
            tun: only(root.section("tun")?, TunConfig::parse)?,
            inet: only(root.section("inet")?, InetConfig::parse)?,
            routes: route::routes(&mut root, &contacts)?,
            host: only(root.section("host")?, HostConfig::parse)?,
            forward: only(root.section("forward")?, forward::parse)?,
            accept_sessions: only(root.section("sessions")?, |sessions| sessions.get("accept", &ACCEPT))?,
            firewall_rules: only(root.section("firewall")?, |section| firewall::rules(section, &contacts))?,
            limits: root.list(
                "limit",
                limit::LIMITS,
                |key, node| limit::limit(key, node, &contacts),
                |limit| limit.remote,
            )?,
            links: root.list("link", link::LINKS, link::link, |rule| (rule.neighbour, rule.remote))?,
            trains: only(root.section("trains")?, trains)?,
            clients: only(root.section("clients")?, clients::parse)?,
            streams: only(root.section("streams")?, |section| streams::parse(section, &contacts))?,
            probes: only(root.section("probes")?, |probes| probes.get("enabled", &FLAG))?,
            control_socket: only(root.section("control")?, |control| control.get("socket", &SOCKET_PATH))?,
            log_filter: only(root.section("log")?, |log| log.get("filter", &LOG_FILTER))?,
            contacts: contacts.into_names(),
        };
        root.finish()?;
        Ok(config)
    }
}

/// Reads a section with `read` and refuses what is left in it.
fn only<'a, T>(
    mut section: Section<'a>,
    read: impl FnOnce(&mut Section<'a>) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    let value = read(&mut section)?;
    section.finish()?;
    Ok(value)
}

impl Peer {
    fn parse(name: String, node: &Node) -> Result<Self, ConfigError> {
        if let Value::Table(_) = node.value {
            return only(Section::open(name, node)?, |peer| {
                Ok(Self {
                    target: peer.get("peer", &PEER_TARGET)?,
                    router_key: peer.get_optional("router_key", &ROUTER_KEY)?,
                    mtu: peer.get_optional("mtu", &LINK_MTU)?,
                })
            });
        }
        Ok(Self { target: PEER_TARGET.read(&name, node)?, router_key: None, mtu: None })
    }
}

impl TunConfig {
    fn parse(tun: &mut Section<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            enable: tun.get("enable", &FLAG)?,
            name: tun.get("name", &DEVICE_NAME)?,
            mtu: tun.get("mtu", &TUN_MTU)?,
            offload: tun.get("offload", &FLAG)?,
            addresses: tun.get_list("addresses", ADDRESSES, &DEVICE_ADDRESS)?,
        })
    }
}

impl InetConfig {
    fn parse(inet: &mut Section<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            enable: inet.get("enable", &FLAG)?,
            listen: inet.get_list("listen", LISTENERS, &LISTEN)?,
            mtu: inet.get_optional("mtu", &LINK_MTU)?,
            buffer: inet.get_optional("buffer", &SOCKET_BUFFER)?,
        })
    }
}

fn trains(section: &mut Section<'_>) -> Result<Option<TrainConfig>, ConfigError> {
    let share = section.get("share", &TRAIN_SHARE)?;
    Ok(share.map(|share| TrainConfig { share, ..TrainConfig::default() }))
}

/// The state directory alone, from layers that are not complete yet.
fn state_dir(merged: &Node) -> Result<PathBuf, ConfigError> {
    Section::open(String::new(), merged)?.get("state_dir", &ABSOLUTE_PATH)
}

/// Refuses `state_dir` in the layer that is found through it.
fn without_state_dir(layer: &Node) -> Result<(), ConfigError> {
    let Value::Table(table) = &layer.value else { return Ok(()) };
    table.get("state_dir").map_or(Ok(()), |node| {
        Err(ConfigError::Value {
            place: node.place.clone(),
            key: "state_dir".to_owned(),
            expected: "it to be set outside of the state directory",
            got: node.value.to_string(),
        })
    })
}

/// The files of a configuration directory.
fn profile_path(main: &Path, profile: &str) -> PathBuf {
    main.with_file_name(format!("{profile}.toml"))
}

#[cfg(test)]
mod tests;
