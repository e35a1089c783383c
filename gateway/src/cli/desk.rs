// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-gateway address`, `contact` and `trust`: what the running gateway keeps for clients and for the operator.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use ratman_types::Address;

use super::print;
use crate::addresses::{AuthToken, ParseTokenError};
use crate::control::{
    self, AddressRequest, ContactRequest, DeskAnswer, DeskRequest, Doomed, Owned, TrustRequest,
};
use crate::secret::WipedBytes;

#[derive(Debug, Args)]
pub(super) struct Asking {
    /// The answer as a line of JSON
    #[arg(long, global = true)]
    json: bool,
    /// The control socket [default: control.socket of the configuration]
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct AddressArgs {
    #[command(subcommand)]
    command: AddressCommand,
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Debug, Subcommand)]
enum AddressCommand {
    /// Make an address; its auth token is shown this once, and only who has it can use the address
    Create {
        /// Write the token to a new file that only its owner can read, and do not show it
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// Show all of them, and which are up
    List,
    /// Announce an address and take streams for it, until it is down or the gateway ends
    Up(OwnedArgs),
    /// Announce an address no more; what is sent to it waits
    Down(OwnedArgs),
    /// Forget an address and its key for good, with what was sent to it and what it sends
    Destroy {
        #[command(flatten)]
        owned: OwnedArgs,
        /// Without its auth token, as root: it may be lost
        #[arg(long, conflicts_with = "token_file")]
        without_token: bool,
    },
}

#[derive(Debug, Args)]
struct OwnedArgs {
    /// Which
    address: Address,
    /// Where its auth token is; standard input if left out or -
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl OwnedArgs {
    fn read(self) -> anyhow::Result<Owned> {
        Ok(Owned { address: self.address, token: token(self.token_file.as_deref())? })
    }
}

/// On whose behalf something is sent or taken.
#[derive(Debug, Args)]
pub(super) struct AsArgs {
    /// As this address, made by `address create` and up; else as the gateway's own
    #[arg(long = "as", value_name = "ADDRESS", requires = "token_file")]
    address: Option<Address>,
    /// Where the auth token of that address is
    #[arg(long, value_name = "FILE", requires = "address")]
    token_file: Option<PathBuf>,
}

impl AsArgs {
    /// The address and its token, if one is named.
    pub(super) fn read(&self) -> anyhow::Result<Option<Owned>> {
        let Some(address) = self.address else { return Ok(None) };
        Ok(Some(Owned { address, token: token(self.token_file.as_deref())? }))
    }
}

#[derive(Debug, Args)]
pub(super) struct ContactArgs {
    #[command(subcommand)]
    command: ContactCommand,
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Debug, Subcommand)]
enum ContactCommand {
    /// Give an address a name
    Add {
        /// The name
        name: String,
        /// The address
        address: Address,
        /// How much it is trusted, compared with others
        #[arg(long, value_name = "N")]
        trust: Option<u32>,
    },
    /// Show all of them, those of the configuration too
    List,
    /// Forget a contact, and how much it is trusted
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    #[command(subcommand)]
    command: TrustCommand,
    #[command(flatten)]
    pub(super) asking: Asking,
}

#[derive(Debug, Subcommand)]
enum TrustCommand {
    /// Say how much somebody is trusted: among routers that could carry a message to who is away, more trust goes first
    Set {
        /// An address, the id of a neighbouring router, or the name of a contact
        whose: String,
        /// How much, compared with others
        #[arg(value_name = "N")]
        score: u32,
    },
    /// Take that back: who has no score comes after all that have one
    Unset {
        /// As for set
        whose: String,
    },
}

/// Does what is asked about addresses.
pub(super) fn address(socket: &Path, arguments: AddressArgs) -> anyhow::Result<()> {
    let AddressArgs { command, asking } = arguments;
    let request = match command {
        AddressCommand::Create { token_file: Some(file) } => return create(socket, &file, &asking),
        AddressCommand::Create { token_file: None } => AddressRequest::Create,
        AddressCommand::List => AddressRequest::List,
        AddressCommand::Up(owned) => AddressRequest::Up(owned.read()?),
        AddressCommand::Down(owned) => AddressRequest::Down(owned.read()?),
        AddressCommand::Destroy { owned, without_token: true } => {
            AddressRequest::Destroy(Doomed { address: owned.address, token: None })
        }
        AddressCommand::Destroy { owned, without_token: false } => {
            let Owned { address, token } = owned.read()?;
            AddressRequest::Destroy(Doomed { address, token: Some(token) })
        }
    };
    ask(socket, DeskRequest::Address(request), &asking)
}

/// Does what is asked about contacts.
pub(super) fn contact(socket: &Path, arguments: ContactArgs) -> anyhow::Result<()> {
    let ContactArgs { command, asking } = arguments;
    let request = match command {
        ContactCommand::Add { name, address, trust } => ContactRequest::Add { name, address, trust },
        ContactCommand::List => ContactRequest::List,
        ContactCommand::Remove { name } => ContactRequest::Remove { name },
    };
    ask(socket, DeskRequest::Contact(request), &asking)
}

/// Does what is asked about trust.
pub(super) fn trust(socket: &Path, arguments: TrustArgs) -> anyhow::Result<()> {
    let TrustArgs { command, asking } = arguments;
    let request = match command {
        TrustCommand::Set { whose, score } => TrustRequest::Set { whose, score },
        TrustCommand::Unset { whose } => TrustRequest::Unset { whose },
    };
    ask(socket, DeskRequest::Trust(request), &asking)
}

fn ask(socket: &Path, request: DeskRequest, asking: &Asking) -> anyhow::Result<()> {
    show(&control::desk(socket, request)?, asking.json)
}

fn show(answer: &DeskAnswer, json: bool) -> anyhow::Result<()> {
    let mut text = WipedBytes::default();
    if json {
        serde_json::to_writer(&mut text, answer)?;
    } else {
        write!(text, "{answer}")?;
    }
    match std::str::from_utf8(&text)?.trim_end() {
        "" => Ok(()),
        text => print(text),
    }
}

/// The file is there before the address is: a token that cannot be kept must not be the only one.
fn create(socket: &Path, file: &Path, asking: &Asking) -> anyhow::Result<()> {
    let named = || file.display().to_string();
    let mut kept =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).with_context(named)?;
    let created = control::desk(socket, DeskRequest::Address(AddressRequest::Create));
    let (address, token) = match created {
        Ok(DeskAnswer::Created { address, token }) => (address, token),
        Ok(_) | Err(_) => {
            std::fs::remove_file(file).with_context(named)?;
            return created.map(drop).map_err(Into::into);
        }
    };
    let written = kept.write_all(token.reveal().as_bytes()).and_then(|()| kept.write_all(b"\n"));
    written.and_then(|()| kept.sync_all()).with_context(named)?;
    if asking.json {
        return print(serde_json::json!({ "address": address }));
    }
    print(address)
}

fn token(file: Option<&Path>) -> anyhow::Result<AuthToken> {
    let Some(path) = file.filter(|path| *path != Path::new("-")) else {
        // Not through the buffer of the library, which nobody wipes.
        let stdin = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        return stdin.map_err(Into::into).and_then(read_token).context("standard input");
    };
    let named = || path.display().to_string();
    File::open(path).map_err(Into::into).and_then(read_token).with_context(named)
}

fn read_token(from: impl Read) -> anyhow::Result<AuthToken> {
    Ok(AuthToken::read(from)?.ok_or(ParseTokenError)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_with_its_line_end_and_nothing_else_is_taken_for_one() {
        let hex = "ab".repeat(32);
        let token = read_token(format!("{hex}\n").as_bytes()).unwrap();
        assert_eq!(token.as_bytes(), &[0xAB; 32]);
        for wrong in [String::new(), hex[1..].to_owned(), format!("{hex}\n{hex}\n"), "z".repeat(9_000_000)] {
            let error = read_token(wrong.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "expected an auth token of 64 hexadecimal digits");
        }
    }
}
