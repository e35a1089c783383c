// SPDX-License-Identifier: AGPL-3.0-or-later
//! The rules of nftables as `nft -j list ruleset` has them (libnftables-json(5)), and what becomes of a packet in them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::truth::{Packet, Truth, holds, is_key};

/// Jumps within jumps: the kernel allows as many.
const MOST_JUMPS: usize = 16;
/// Rules that are asked about one packet; who has more cannot be judged from here.
const MOST_RULES: usize = 100_000;

/// Chains with their rules.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Ruleset {
    chains: BTreeMap<Name, Chain>,
}

/// Family, table and name of a chain.
type Name = (String, String, String);

#[derive(Debug, Default)]
struct Chain {
    /// The hook by which packets come from the kernel, if they do.
    hook: Option<String>,
    /// Whether what comes out at the end is dropped.
    drops: bool,
    rules: Vec<Value>,
}

/// Where packets of other hosts come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// On their way to this host.
    Input,
    /// On their way through it.
    Forward,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It passes, as far as the rules tell.
    Passes,
    /// This chain drops it, whatever else is true of it.
    Dropped(String),
    /// That depends, and no rule of this chain lets this packet in particular pass.
    MayBeDropped(String),
}

/// What may become of a packet in a chain or a rule.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    accepted: bool,
    dropped: bool,
    /// It comes out of the chain again.
    left: bool,
    /// The next rule is asked.
    next: bool,
    /// A rule that accepts it names what is special about it: somebody meant it to pass.
    meant: bool,
}

impl Outcomes {
    const ACCEPTED: Self = Self { accepted: true, ..Self::NOTHING };
    const DROPPED: Self = Self { dropped: true, ..Self::NOTHING };
    const LEFT: Self = Self { left: true, ..Self::NOTHING };
    const NEXT: Self = Self { next: true, ..Self::NOTHING };
    /// Another program decides, or what stands elsewhere.
    const EITHER: Self = Self { accepted: true, dropped: true, ..Self::NOTHING };
    const NOTHING: Self = Self { accepted: false, dropped: false, left: false, next: false, meant: false };

    fn or(self, other: Self) -> Self {
        Self {
            accepted: self.accepted || other.accepted,
            dropped: self.dropped || other.dropped,
            left: self.left || other.left,
            next: self.next || other.next,
            meant: self.meant || other.meant,
        }
    }

    fn if_true(self, truth: Truth) -> Self {
        match truth {
            Truth::Yes => self,
            Truth::Maybe => self.or(Self::NEXT),
            Truth::No => Self::NEXT,
        }
    }
}

impl Ruleset {
    /// Reads what `nft` printed.
    ///
    /// # Errors
    /// It is no JSON of that form, in words.
    pub(in crate::doctor) fn parse(json: &[u8]) -> Result<Self, String> {
        let document: Value =
            serde_json::from_slice(json).map_err(|error| format!("nft printed no JSON: {error}"))?;
        let Value::Array(objects) = &document["nftables"] else {
            return Err("nft printed another JSON than expected".to_owned());
        };
        let mut ruleset = Self::default();
        let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
        for object in objects {
            if let Some(chain) = object.get("chain") {
                let name = (text(chain, "family"), text(chain, "table"), text(chain, "name"));
                let into = ruleset.chains.entry(name).or_default();
                into.hook = chain["hook"].as_str().filter(|_| chain["type"] == "filter").map(str::to_owned);
                into.drops = chain["policy"] == "drop";
            } else if let Some(rule) = object.get("rule") {
                let name = (text(rule, "family"), text(rule, "table"), text(rule, "chain"));
                ruleset.chains.entry(name).or_default().rules.push(rule["expr"].clone());
            }
        }
        Ok(ruleset)
    }

    /// What becomes of a packet at a hook, whatever the table `own` does with it: every chain there has to let it pass.
    pub(super) fn fate(&self, hook: Hook, packet: &Packet, own: &str) -> Fate {
        let hook = match hook {
            Hook::Input => "input",
            Hook::Forward => "forward",
        };
        let mut fate = Fate::Passes;
        for (name @ (family, table, shown), chain) in &self.chains {
            let is_ip = matches!(family.as_str(), "ip" | "ip6" | "inet");
            if chain.hook.as_deref() != Some(hook) || table == own || !is_ip {
                continue;
            }
            let outcomes = Walk { ruleset: self, packet, rules_left: MOST_RULES }.through(name, 0);
            let dropped = outcomes.dropped || outcomes.left && chain.drops;
            let passes = outcomes.accepted || outcomes.left && !chain.drops;
            let shown = format!("chain {shown} of table {family} {table}");
            if dropped && !passes {
                return Fate::Dropped(shown);
            }
            if dropped && !outcomes.meant && fate == Fate::Passes {
                fate = Fate::MayBeDropped(shown);
            }
        }
        fate
    }
}

/// One packet on its way.
struct Walk<'a> {
    ruleset: &'a Ruleset,
    packet: &'a Packet,
    rules_left: usize,
}

impl Walk<'_> {
    /// Goes through the rules of a chain, and of those that it leads to; `next` has no meaning afterwards.
    fn through(&mut self, name: &Name, jumps: usize) -> Outcomes {
        let Some(chain) = self.ruleset.chains.get(name).filter(|_| jumps <= MOST_JUMPS) else {
            return Outcomes::LEFT;
        };
        let mut all = Outcomes::NOTHING;
        for rule in &chain.rules {
            let Some(left) = self.rules_left.checked_sub(1) else { return all.or(Outcomes::EITHER) };
            self.rules_left = left;
            let outcomes = self.rule(name, rule, jumps);
            all = all.or(Outcomes { next: false, ..outcomes });
            if !outcomes.next {
                return all;
            }
        }
        all.or(Outcomes::LEFT)
    }

    /// What stands before a verdict has to hold; what changes or counts packets only is passed over.
    fn rule(&mut self, name: &Name, rule: &Value, jumps: usize) -> Outcomes {
        let (mut truth, mut named) = (Truth::Yes, false);
        for statement in rule.as_array().into_iter().flatten() {
            if let Some(expression) = statement.get("match") {
                let (holds, names) = holds(expression, self.packet);
                truth = truth.and(holds);
                named |= names;
            } else if statement.get("limit").is_some() || statement.get("xt").is_some() {
                truth = truth.and(Truth::Maybe);
            }
            if truth == Truth::No {
                break;
            }
            if let Some(map) = statement.get("vmap") {
                return self.map(name, map, jumps).if_true(truth);
            }
            if let Some(outcomes) = self.verdict(name, statement, jumps) {
                return Outcomes { meant: outcomes.meant || named && outcomes.accepted, ..outcomes }
                    .if_true(truth);
            }
        }
        Outcomes::NEXT
    }

    /// What a verdict does, if it is one.
    fn verdict(&mut self, (family, table, _): &Name, statement: &Value, jumps: usize) -> Option<Outcomes> {
        let (verdict, arguments) = statement.as_object()?.iter().next()?;
        let target =
            || (family.clone(), table.clone(), arguments["target"].as_str().unwrap_or_default().to_owned());
        match verdict.as_str() {
            "accept" => Some(Outcomes::ACCEPTED),
            "drop" | "reject" => Some(Outcomes::DROPPED),
            "return" => Some(Outcomes::LEFT),
            "queue" => Some(Outcomes::EITHER),
            "goto" => Some(self.through(&target(), jumps + 1)),
            "jump" => {
                let outcomes = self.through(&target(), jumps + 1);
                Some(Outcomes { next: outcomes.left, left: false, ..outcomes })
            }
            _ => None,
        }
    }

    /// A map from a field of the packet to verdicts: any of those whose key it may be.
    fn map(&mut self, name: &Name, map: &Value, jumps: usize) -> Outcomes {
        let Value::Array(pairs) = &map["data"]["set"] else { return Outcomes::EITHER.or(Outcomes::NEXT) };
        let mut all = Outcomes::NEXT;
        for pair in pairs {
            let truth = is_key(&map["key"], &pair[0], self.packet);
            match self.verdict(name, &pair[1], jumps) {
                Some(outcomes) if truth == Truth::Yes => return outcomes,
                Some(outcomes) if truth == Truth::Maybe => all = all.or(outcomes),
                Some(_) | None => {}
            }
        }
        all
    }
}
