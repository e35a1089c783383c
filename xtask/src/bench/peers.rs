// SPDX-License-Identifier: AGPL-3.0-or-later
//! Other products, as far as they are installed: their keys, their configuration, their start.

mod tinc;
mod wireguard;
mod yggdrasil;

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use irdest_lab::find_program;

use super::field::Field;
use super::subject::Started;

/// A product that carries IP packets between machines, as we do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// WireGuard in user space, in Go.
    WireguardGo,
    /// A mesh with a tree for its routes, in Go.
    Yggdrasil,
    /// A mesh of meta connections, in C.
    Tinc,
}

impl Peer {
    pub(crate) const ALL: [Self; 3] = [Self::WireguardGo, Self::Yggdrasil, Self::Tinc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WireguardGo => "wireguard-go",
            Self::Yggdrasil => "yggdrasil",
            Self::Tinc => "tinc",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::WireguardGo => &["wireguard-go", "wg"],
            Self::Yggdrasil => &["yggdrasil"],
            Self::Tinc => &["tincd"],
        }
    }

    /// The first of its programs that is not installed.
    pub(crate) fn missing(self) -> Option<&'static str> {
        self.programs().iter().copied().find(|program| find_program(program).is_none())
    }

    pub(crate) fn start(self, field: &Field) -> Result<Started> {
        match self {
            Self::WireguardGo => wireguard::start(field),
            Self::Yggdrasil => yggdrasil::start(field),
            Self::Tinc => tinc::start(field),
        }
    }
}

/// A file outside of the lab that a program leaves where it is killed.
#[derive(Debug)]
pub(crate) struct Leftover(PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        // It is only there where the program could not remove it.
        let _ = fs::remove_file(&self.0);
    }
}
