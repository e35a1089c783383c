// SPDX-License-Identifier: AGPL-3.0-or-later
//! SIGHUP: reads the configuration again and moves the running gateway to it, all of it or nothing.

use std::collections::BTreeSet;

use anyhow::{anyhow, bail};
use gateway_core::firewall::Firewall;
use gateway_core::limits::RemoteLimits;
use ratman_types::Address;
use tracing::{error, info, warn};

use super::inet::peer_lines;
use super::{Gateway, configured, hash_seed, prefixes, refuse_own};
use crate::config::{Config, Sources};
use crate::driver::RemotesConfig;
use crate::host::Plan;
use crate::notify;
use crate::telemetry::Logs;

/// The configuration that holds, and where it is read again.
#[derive(Debug)]
pub struct Settings {
    sources: Sources,
    config: Config,
    logs: Logs,
}

impl Settings {
    /// `config` as it was read from `sources`, the logs being filtered as it says.
    pub fn new(sources: Sources, config: Config, logs: Logs) -> Self {
        Self { sources, config, logs }
    }

    /// The configuration that holds.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

impl Gateway {
    /// Moves to what the configuration says now and tells in the log what became of it.
    pub(super) async fn reload(&mut self, settings: &mut Settings) {
        notify::reloading();
        match self.try_reload(settings).await {
            Ok(held) if held.is_empty() => info!("configuration reloaded"),
            Ok(held) => warn!("configuration reloaded, but these keys only a restart can change: {held}"),
            Err(error) => {
                error!("configuration not reloaded, the old one holds: {error:#}");
                self.driver.set_refused(format!("{error:#}"));
            }
        }
        notify::ready();
    }

    /// Everything that can be refused comes before the first change that stays; says which keys need a restart.
    async fn try_reload(&mut self, settings: &mut Settings) -> anyhow::Result<String> {
        let mut new = Config::load(&settings.sources)?;
        let held = hold_back(&settings.config, &mut new);
        refuse_own(&new, &self.own)?;
        let remotes = self.driver.plan_remotes(prefixes(&new))?;
        let config = remotes_config(&new)?;
        self.move_host(Plan::new(&new, &self.own)).await?;
        if let Some(inet) = &self.inet {
            let _data = self.data.enter();
            inet.reload(peer_lines(&new), new.accept_unknown_peers)?;
        }
        self.driver.reload(remotes, config);
        if let Some(desk) = &self.desk {
            desk.contacts().set_configured(new.contacts.clone());
            self.driver.heed_contacts(desk.contacts().regard());
        }
        settings.logs.set_filter(&new.log_filter);
        settings.config = new;
        Ok(held)
    }

    /// The control plane goes on meanwhile: a child process may take its time.
    async fn move_host(&mut self, plan: Plan) -> anyhow::Result<()> {
        let Some(host) = &mut self.host else { return Ok(()) };
        tokio::select! {
            moved = host.apply(plan) => moved.map_err(|error| anyhow!(error)),
            () = self.driver.run(&mut self.inputs) => bail!("the control plane ended"),
        }
    }
}

fn remotes_config(config: &Config) -> anyhow::Result<RemotesConfig> {
    let configured: BTreeSet<Address> = configured(config);
    Ok(RemotesConfig {
        accept: config.accept_sessions,
        firewall: Firewall::new(config.firewall_rules.clone(), configured.clone()),
        limits: RemoteLimits::new(hash_seed()?, &config.limits, configured.clone()),
        links: config.links.clone(),
        streams: config.streams.filter.clone(),
        configured,
    })
}

/// Takes back in `new` what a running gateway cannot change, and names it: open files, sockets and the device.
fn hold_back(old: &Config, new: &mut Config) -> String {
    let mut held = Vec::new();
    hold("state_dir", &old.state_dir, &mut new.state_dir, &mut held);
    hold("identity.passphrase_file", &old.passphrase_file, &mut new.passphrase_file, &mut held);
    hold("control.socket", &old.control_socket, &mut new.control_socket, &mut held);
    hold("tun.enable", &old.tun.enable, &mut new.tun.enable, &mut held);
    hold("tun.name", &old.tun.name, &mut new.tun.name, &mut held);
    hold("tun.mtu", &old.tun.mtu, &mut new.tun.mtu, &mut held);
    hold("tun.offload", &old.tun.offload, &mut new.tun.offload, &mut held);
    hold("tun.addresses", &old.tun.addresses, &mut new.tun.addresses, &mut held);
    hold("inet.enable", &old.inet.enable, &mut new.inet.enable, &mut held);
    hold("inet.listen", &old.inet.listen, &mut new.inet.listen, &mut held);
    hold("inet.mtu", &old.inet.mtu, &mut new.inet.mtu, &mut held);
    hold("inet.buffer", &old.inet.buffer, &mut new.inet.buffer, &mut held);
    hold("streams.enable", &old.streams.enable, &mut new.streams.enable, &mut held);
    hold("streams.quota", &old.streams.quota, &mut new.streams.quota, &mut held);
    hold("streams.notice_above", &old.streams.notice_above, &mut new.streams.notice_above, &mut held);
    hold("clients.enable", &old.clients.enable, &mut new.clients.enable, &mut held);
    hold("clients.listen", &old.clients.listen, &mut new.clients.listen, &mut held);
    hold("clients.socket", &old.clients.socket, &mut new.clients.socket, &mut held);
    hold("trains.share", &old.trains, &mut new.trains, &mut held);
    hold("probes.enabled", &old.probes, &mut new.probes, &mut held);
    hold("host.table", &old.host.table, &mut new.host.table, &mut held);
    hold("host.mark", &old.host.mark, &mut new.host.mark, &mut held);
    held.join(", ")
}

fn hold<T: Clone + PartialEq>(key: &'static str, old: &T, new: &mut T, held: &mut Vec<&'static str>) {
    if old != new {
        held.push(key);
        new.clone_from(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::from_text("test", text).unwrap()
    }

    #[test]
    fn what_needs_a_restart_is_named_and_stays() {
        let old = config("");
        let changed = "state_dir = '/x'
            control.socket = '/y'
            identity.passphrase_file = '/z'
            tun = { enable = false, name = 'mesh', mtu = 1400, offload = false, addresses = ['10.0.0.1/8'] }
            probes.enabled = false
            trains.share = 0
            streams = { enable = false, quota = 16777216 }
            clients = { enable = false, listen = '[::1]:1', socket = '' }
            inet = { enable = false, listen = [], mtu = 1280, buffer = 65536 }
            host = { table = 7, mark = 7 }";
        let mut new = config(changed);
        let held = hold_back(&old, &mut new);
        assert_eq!(held.split(", ").count(), 21, "{held}");
        assert_eq!(new, old);
        assert_eq!(hold_back(&old, &mut new), "");
    }

    #[test]
    fn what_can_change_is_left_as_it_is() {
        let text = "peers = ['inet:192.0.2.1:5860']
            accept_unknown_peers = false
            sessions.accept = 'configured'
            host.priority = 7
            log.filter = 'debug'
            forward.interfaces = ['lan0']
            firewall.accept = [{ from = 'any', protocol = 'tcp', ports = [22] }]";
        let mut new = config(text);
        assert_eq!(hold_back(&config(""), &mut new), "");
        assert_eq!(new, config(text));
    }
}
