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

/// What becomes of a packet in a chain or a rule if nothing that is unknown of it makes a rule match; and whether something might.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    end: End,
    /// A rule on the way may accept it. One that may drop it instead says nothing: most hosts block some addresses.
    doubt: bool,
    /// A rule that accepts it, or may, names what is special about it: somebody meant it to pass.
    meant: bool,
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Accepted,
    Dropped,
    /// Out of the chain again.
    Left,
    /// To the next rule.
    Next,
}

impl Outcome {
    fn at(end: End) -> Self {
        Self { end, doubt: false, meant: false }
    }

    /// That of what comes after what this is the outcome of.
    fn then(self, later: Self) -> Self {
        Self { end: later.end, doubt: self.doubt || later.doubt, meant: self.meant || later.meant }
    }

    fn if_true(self, truth: Truth) -> Self {
        match truth {
            Truth::Yes => self,
            Truth::Maybe => Self { end: End::Next, doubt: self.may_accept(), ..self },
            Truth::No => Self::at(End::Next),
        }
    }

    fn may_accept(self) -> bool {
        self.doubt || self.end == End::Accepted
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
            let outcome = Walk { ruleset: self, packet, rules_left: MOST_RULES }.through(name, 0);
            let shown = format!("chain {shown} of table {family} {table}");
            match outcome.end {
                End::Dropped => {}
                End::Left | End::Next if chain.drops => {}
                End::Accepted | End::Left | End::Next => continue,
            }
            if !outcome.doubt {
                return Fate::Dropped(shown);
            }
            if !outcome.meant && fate == Fate::Passes {
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
    /// Goes through the rules of a chain, and of those that it leads to.
    fn through(&mut self, name: &Name, jumps: usize) -> Outcome {
        let mut outcome = Outcome::at(End::Left);
        let Some(chain) = self.ruleset.chains.get(name).filter(|_| jumps <= MOST_JUMPS) else {
            return outcome;
        };
        for rule in &chain.rules {
            let Some(left) = self.rules_left.checked_sub(1) else {
                return outcome.then(Outcome { doubt: true, ..Outcome::at(End::Left) });
            };
            self.rules_left = left;
            outcome = outcome.then(self.rule(name, rule, jumps));
            if outcome.end != End::Next {
                return outcome;
            }
        }
        outcome.then(Outcome::at(End::Left))
    }

    /// What stands before a verdict has to hold; what changes or counts packets only is passed over.
    fn rule(&mut self, name: &Name, rule: &Value, jumps: usize) -> Outcome {
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
            let outcome = match statement.get("vmap") {
                Some(map) => Some(self.map(name, map, jumps)),
                None => self.verdict(name, statement, jumps),
            };
            if let Some(outcome) = outcome {
                let meant = outcome.meant || named && outcome.may_accept();
                return Outcome { meant, ..outcome }.if_true(truth);
            }
        }
        Outcome::at(End::Next)
    }

    /// What a verdict does, if it is one.
    fn verdict(&mut self, (family, table, _): &Name, statement: &Value, jumps: usize) -> Option<Outcome> {
        let (verdict, arguments) = statement.as_object()?.iter().next()?;
        let target =
            || (family.clone(), table.clone(), arguments["target"].as_str().unwrap_or_default().to_owned());
        match verdict.as_str() {
            // Of a queue another program decides.
            "accept" | "queue" => Some(Outcome::at(End::Accepted)),
            "drop" | "reject" => Some(Outcome::at(End::Dropped)),
            "return" => Some(Outcome::at(End::Left)),
            "goto" => Some(self.through(&target(), jumps + 1)),
            "jump" => {
                let outcome = self.through(&target(), jumps + 1);
                let end = if outcome.end == End::Left { End::Next } else { outcome.end };
                Some(Outcome { end, ..outcome })
            }
            _ => None,
        }
    }

    /// A map from a field of the packet to verdicts: any of those whose key it may be.
    fn map(&mut self, name: &Name, map: &Value, jumps: usize) -> Outcome {
        let mut all = Outcome::at(End::Next);
        let Value::Array(pairs) = &map["data"]["set"] else {
            // A named map, whose content stands elsewhere.
            return Outcome { doubt: true, ..all };
        };
        for pair in pairs {
            let truth = is_key(&map["key"], &pair[0], self.packet);
            let Some(outcome) = self.verdict(name, &pair[1], jumps) else { continue };
            all = all.then(outcome.if_true(truth));
            if truth == Truth::Yes {
                break;
            }
        }
        all
    }
}
