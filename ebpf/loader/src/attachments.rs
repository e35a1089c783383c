// SPDX-License-Identifier: AGPL-3.0-or-later
//! Which interfaces have the programs, and how they get and lose them.

use std::collections::BTreeMap;

use aya::Ebpf;
use aya::programs::tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcError};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};
use ebpf_abi::{ETHERNET_EGRESS, ETHERNET_INGRESS, IP_EGRESS, IP_INGRESS};
use nix::net::if_::{if_nameindex, if_nametoindex};
use tracing::{debug, info, trace};

use crate::error::AttachError;
use crate::hook::Hook;
use crate::interface::{Interface, Layer};

/// Every program, and the side of an interface that it is for.
pub(crate) const PROGRAMS: [(&str, TcAttachType); 4] = [
    (ETHERNET_INGRESS, TcAttachType::Ingress),
    (ETHERNET_EGRESS, TcAttachType::Egress),
    (IP_INGRESS, TcAttachType::Ingress),
    (IP_EGRESS, TcAttachType::Egress),
];

/// The interfaces that have the programs; dropping it detaches them all.
pub(crate) struct Attachments {
    hook: Hook,
    attached: BTreeMap<u32, Attached>,
}

/// One interface; dropping it detaches the programs.
struct Attached {
    interface: Interface,
    _links: Vec<SchedClassifierLink>,
}

impl Attachments {
    /// None yet.
    pub(crate) const fn none(hook: Hook) -> Self {
        Self { hook, attached: BTreeMap::new() }
    }

    pub(crate) const fn hook(&self) -> Hook {
        self.hook
    }

    /// Attaches and detaches so that these interfaces have the programs, and no other.
    pub(crate) fn set(&mut self, object: &mut Ebpf, interfaces: &[Interface]) -> Vec<AttachError> {
        self.attached.retain(|_, attached| {
            let keep = interfaces.iter().any(|wanted| wanted.index == attached.interface.index);
            if !keep {
                debug!(interface = %attached.interface.name, "the probes leave an interface");
            }
            keep
        });
        let mut errors = Vec::new();
        for interface in interfaces {
            if self.attached.contains_key(&interface.index) {
                continue;
            }
            match self.attach(object, interface) {
                Ok(attached) => {
                    info!(interface = %interface.name, hook = ?self.hook, "the probes measure on an interface");
                    self.attached.insert(interface.index, attached);
                }
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    fn attach(&self, object: &mut Ebpf, interface: &Interface) -> Result<Attached, AttachError> {
        let name = &interface.name;
        if if_nametoindex(name.as_str()) != Ok(interface.index) {
            return Err(AttachError::Gone(name.clone()));
        }
        if self.hook == Hook::Clsact {
            match tc::qdisc_add_clsact(name) {
                Err(error) if !is_there_already(&error) => return Err(AttachError::new(name, error)),
                Ok(()) | Err(_) => {}
            }
        }
        let names = match interface.layer {
            Layer::Ethernet => [ETHERNET_INGRESS, ETHERNET_EGRESS],
            Layer::Ip => [IP_INGRESS, IP_EGRESS],
        };
        let mut links = Vec::new();
        for (program, side) in PROGRAMS.into_iter().filter(|(program, _)| names.contains(program)) {
            let link = attach(object, self.hook, name, program, side);
            links.push(link.map_err(|error| AttachError::new(name, error))?);
        }
        Ok(Attached { interface: interface.clone(), _links: links })
    }
}

fn attach(
    object: &mut Ebpf,
    hook: Hook,
    interface: &str,
    program: &str,
    side: TcAttachType,
) -> Result<SchedClassifierLink, ProgramError> {
    let options = match hook {
        // First, as a program before ours may end the chain.
        Hook::Tcx => TcAttachOptions::TcxOrder(LinkOrder::first()),
        Hook::Clsact => TcAttachOptions::Netlink(NlOptions::default()),
    };
    let program = object.program_mut(program).ok_or(ProgramError::NotLoaded)?;
    let program: &mut SchedClassifier = program.try_into()?;
    let link = program.attach_with_options(interface, side, options)?;
    program.take_link(link)
}

/// Removes the probes that a killed process left on interfaces with [`Hook::Clsact`]: filters with the names of our programs,
/// on every interface of this thread's network namespace, among them those of another gateway that runs there.
///
/// Needs CAP_NET_ADMIN and nothing else, neither the object nor leave to load it: a process that is to run without probes
/// calls this to be rid of old ones. What cannot be removed stays, and is told to the log at TRACE.
/// [`Probes::load`](crate::Probes::load) begins with it where it uses that hook.
pub fn remove_leftovers() {
    let Ok(interfaces) = if_nameindex() else { return };
    for interface in &interfaces {
        let interface = interface.name().to_string_lossy();
        for (program, side) in PROGRAMS {
            match tc::qdisc_detach_program(&interface, side, program) {
                Ok(()) => info!(%interface, program, "removed a probe that an earlier process left behind"),
                // Most interfaces have none, and some no place for them.
                Err(error) => trace!(%interface, program, %error, "no probe left behind"),
            }
        }
    }
}

fn is_there_already(error: &TcError) -> bool {
    const EEXIST: i32 = 17;
    match error {
        TcError::NetlinkError(error) => error.raw_os_error() == Some(EEXIST),
        TcError::AlreadyAttached => true,
        TcError::NulError(_)
        | TcError::IoError(_)
        | TcError::InvalidTcxAttach(_)
        | TcError::InvalidLinkOperation => false,
    }
}
