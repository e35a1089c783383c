// SPDX-License-Identifier: AGPL-3.0-or-later
//! What the tools that people use have in common, and the tools: [`ratcat`] and [`ratctl`].
//!
//! A tool parses its command line with [`GlobalArgs`] flattened into it, and runs with [`run`]: what it does returns an [`Exit`], or a
//! [`Failure`], which says in one line what is wrong and what to do. [`GlobalArgs::session`] is a router on which the address of the user is
//! up; [`GlobalArgs::output`] is how the tool answers.
#![forbid(unsafe_code)]

pub mod echo;
pub mod examples;
mod exit;
mod failure;
mod global_args;
pub mod identity;
mod interrupt;
pub mod output;
pub mod ping;
pub mod private_file;
pub mod progress_bar;
pub mod ratcat;
pub mod ratctl;
mod space_key;
mod table;
pub mod time_span;
mod tool;
mod whom;

pub use exit::Exit;
pub use failure::{Failure, Result};
pub use global_args::{GlobalArgs, SYSTEM_SOCKET, Session};
pub use interrupt::Interrupt;
pub use table::Table;
pub use tool::{run, unless_interrupted};
pub use whom::{Nobody, Whom};
