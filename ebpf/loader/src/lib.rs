// SPDX-License-Identifier: AGPL-3.0-or-later
//! Probes in the kernel that measure links: loads them, attaches them to the interfaces that links cross, and turns what
//! they counted into samples.
//!
//! ```text
//!   remove_leftovers                               needs CAP_NET_ADMIN
//!   Probes::load ─▶ the kernel's verifier          needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; only this does
//!   Probes::watch(interfaces) ─▶ TCX or clsact     needs CAP_NET_ADMIN
//!   Probes::follow(conversations) ─▶ keys in maps
//!   Probes::samples(now) ◀─ differences since the last call
//! ```
//!
//! The object with the programs is built apart (`cargo xtask bpf`) and is part of this package only where its build
//! found one; without it, and wherever the kernel refuses, [`LoadError`] says what is missing, and everything else works.

mod attachments;
mod conversation;
mod error;
mod followed;
mod hook;
mod interface;
mod kernel_log;
mod maps;
mod object;
mod percentile;
mod probes;
mod route;

pub use attachments::remove_leftovers;
pub use conversation::Conversation;
pub use error::{AttachError, FollowError, LoadError};
pub use hook::Hook;
pub use interface::{Interface, Layer};
pub use object::object;
pub use percentile::percentile;
pub use probes::{Probes, loadable};
pub use route::{RouteError, interface_of};
