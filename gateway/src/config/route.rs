// SPDX-License-Identifier: AGPL-3.0-or-later
//! `[[route]]`: prefixes behind remotes, and what inside of them is not.

use std::collections::BTreeMap;

use gateway_core::remotes::MAX_ROUTES;
use ipnet::IpNet;
use ratman_types::Address;

use super::contacts::Contacts;
use super::error::{ConfigError, Place};
use super::layer::Node;
use super::only;
use super::section::{Limit, Section};
use super::value::NETWORK;

const ROUTES: Limit = Limit { most: MAX_ROUTES, expected: "at most 4096 routes" };
const PREFIXES: Limit = Limit { most: MAX_ROUTES, expected: "at most 4096 prefixes" };

/// Each is a route of the host's.
const EXCEPT: Limit = Limit { most: 256, expected: "at most 256 exceptions" };

/// A prefix of `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destinations.
    pub prefix: IpNet,
    /// Prefixes inside of it that the host reaches as if there were no mesh; default none.
    pub except: Vec<IpNet>,
    /// The gateway behind which they lie.
    pub via: Address,
}

/// One table: its name, its place and a route for each of its prefixes.
type Table = (String, Place, Vec<Route>);

/// Reads the list `route`: a [`Route`] for each prefix, none twice.
pub(super) fn routes(root: &mut Section<'_>, contacts: &Contacts) -> Result<Vec<Route>, ConfigError> {
    let prefixes = |(_, _, routes): &Table| routes.iter().map(|route| route.prefix).collect::<Vec<_>>();
    let tables = root.list("route", ROUTES, |name, node| table(name, node, contacts), prefixes)?;
    let mut names = BTreeMap::new();
    let mut all = Vec::new();
    for (name, place, routes) in tables {
        let refuse = |expected, got| {
            Err(ConfigError::Value { place: place.clone(), key: name.clone(), expected, got })
        };
        for route in routes {
            if let Some(first) = names.insert(route.prefix, name.clone()) {
                return refuse("other prefixes", format!("{} of {first} again", route.prefix));
            }
            all.push(route);
        }
        if all.len() > PREFIXES.most {
            return refuse(PREFIXES.expected, format!("{} up to here", all.len()));
        }
    }
    Ok(all)
}

fn table(name: String, node: &Node, contacts: &Contacts) -> Result<Table, ConfigError> {
    let routes = only(Section::open(name.clone(), node)?, |route| {
        let mut prefixes = route.get_list_or_none("prefixes", PREFIXES, &NETWORK)?;
        if prefixes.is_empty() {
            prefixes.push(route.get("prefix", &NETWORK)?);
        } else {
            prefixes.extend(route.get_optional("prefix", &NETWORK)?);
        }
        let except =
            route.list_or_none("except", EXCEPT, |name, node| inside(&prefixes, name, node), IpNet::clone)?;
        let via = route.read("via", Contacts::EXPECTED_REMOTE, |key, node| contacts.remote(key, node))?;
        let of = |prefix: IpNet| except.iter().copied().filter(|inner| prefix.contains(inner)).collect();
        Ok(prefixes.into_iter().map(|prefix| Route { prefix, except: of(prefix), via }).collect())
    })?;
    Ok((name, node.place.clone(), routes))
}

/// An exception, which is none unless it lies inside of what is routed.
fn inside(prefixes: &[IpNet], name: String, node: &Node) -> Result<IpNet, ConfigError> {
    let inner = NETWORK.read(&name, node)?;
    if prefixes.iter().any(|outer| outer.contains(&inner) && *outer != inner) {
        return Ok(inner);
    }
    Err(ConfigError::Value {
        place: node.place.clone(),
        key: name,
        expected: "a part of one of the route's prefixes",
        got: inner.to_string(),
    })
}
