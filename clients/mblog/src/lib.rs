// SPDX-License-Identifier: AGPL-3.0-or-later
//! Short posts under topics, for everybody on the mesh.
//!
//! A [`Post`] goes to one [namespace](space::namespace) that all programs of this kind share, under a [`Topic`] such as
//! `/net/irdest/gateway`. A [`Feed`] takes part in it for a user: it sends, and it puts what comes into a [`Store`], each post once,
//! before the router hears that it is taken. Programs show what is in the store; another one may fill it meanwhile.
//!
//! Posts are public, and anybody can send them: who they are from is proven, what they call themselves is not. Texts have no
//! characters that command a terminal but line feed and tabulator; a program that prints them still has to mind those that turn the
//! direction of writing ([`irdest_tools::output::harmless`]).
#![forbid(unsafe_code)]

pub mod cli;
pub mod examples;
mod feed;
mod kept_post;
mod post;
pub mod space;
mod store;
mod topic;
#[cfg(feature = "mblog-gtk")]
pub mod window;

pub use feed::{Feed, send};
pub use kept_post::KeptPost;
pub use post::{NotAPost, Post};
pub use store::{MAX_BYTES, MAX_POSTS, Store};
pub use topic::{NoTopic, Topic, TopicFilter};
