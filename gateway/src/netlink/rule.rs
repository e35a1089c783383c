// SPDX-License-Identifier: AGPL-3.0-or-later
//! The rules by which all traffic but that of our own sockets is looked up in our table (ip-rule(8)).
#![allow(clippy::wildcard_enum_match_arm, reason = "attributes of netlink are open-ended")]

use std::pin::pin;

use futures_util::TryStreamExt;
use rtnetlink::IpVersion;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

use super::{EEXIST, ENOENT, Netlink, NetlinkError, PROTOCOL, refused, unless};

/// `not fwmark MARK lookup TABLE`, in both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// When it is asked: lower first, the main table's at 32766.
    pub priority: u32,
    /// The mark of packets that it is not for.
    pub mark: u32,
    /// The routing table that the others are looked up in.
    pub table: u32,
}

impl Rule {
    fn message(&self, family: AddressFamily) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = family;
        message.header.action = RuleAction::ToTable;
        message.header.flags = RuleFlags::Invert;
        message.attributes = vec![
            RuleAttribute::Priority(self.priority),
            RuleAttribute::FwMark(self.mark),
            RuleAttribute::Table(self.table),
            RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL)),
        ];
        message
    }
}

const FAMILIES: [AddressFamily; 2] = [AddressFamily::Inet, AddressFamily::Inet6];
const VERSIONS: [IpVersion; 2] = [IpVersion::V4, IpVersion::V6];

impl Netlink {
    /// Adds the rule where it is missing.
    pub async fn add_rule(&self, rule: Rule) -> Result<(), NetlinkError> {
        for family in FAMILIES {
            let mut request = self.handle.rule().add();
            *request.message_mut() = rule.message(family);
            unless(EEXIST, request.execute().await)
                .map_err(refused("host", format!("add a rule for table {}", rule.table)))?;
        }
        Ok(())
    }

    /// Whether there is a rule of ours for routing table `table`.
    pub async fn has_rules(&self, table: u32) -> Result<bool, NetlinkError> {
        for version in VERSIONS {
            if !self.own_rules(version, table).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes our rules for routing table `table`, all but `keep`.
    pub async fn remove_rules(&self, table: u32, keep: Option<Rule>) -> Result<(), NetlinkError> {
        for version in VERSIONS {
            let mut rules = self.own_rules(version, table).await?;
            rules.retain(|rule| !keep.is_some_and(|keep| is(rule, keep)));
            for rule in rules {
                unless(ENOENT, self.handle.rule().del(rule).execute().await)
                    .map_err(refused("host", format!("remove a rule for table {table}")))?;
            }
        }
        Ok(())
    }

    async fn own_rules(&self, version: IpVersion, table: u32) -> Result<Vec<RuleMessage>, NetlinkError> {
        let mut rules = pin!(self.handle.rule().get(version).execute());
        let mut ours = Vec::new();
        while let Some(rule) = rules.try_next().await.map_err(refused("host", "list rules".into()))? {
            if is_for(&rule, table) {
                ours.push(rule);
            }
        }
        Ok(ours)
    }
}

fn is_for(rule: &RuleMessage, table: u32) -> bool {
    rule.attributes.contains(&RuleAttribute::Table(table))
        && rule.attributes.contains(&RuleAttribute::Protocol(RouteProtocol::Other(PROTOCOL)))
}

fn is(rule: &RuleMessage, wanted: Rule) -> bool {
    rule.header.flags.contains(RuleFlags::Invert)
        && rule.attributes.contains(&RuleAttribute::Priority(wanted.priority))
        && rule.attributes.contains(&RuleAttribute::FwMark(wanted.mark))
}
