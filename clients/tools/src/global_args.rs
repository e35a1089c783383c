// SPDX-License-Identifier: AGPL-3.0-or-later
//! What all tools are told alike: where the router is, who the user is, how to answer.

use std::path::{Path, PathBuf};

use clap::Args;
use ratman_client::types::{Address, AuthToken};
use ratman_client::{ApiBind, RatmanIpc, RatmanIpcExtV1, default_api_bind};

use crate::identity::{Identity, Location, Passphrase};
use crate::output::{Form, Output};
use crate::{Failure, Result};

/// Where an irdest-gateway listens on a unix socket unless its configuration says otherwise.
pub const SYSTEM_SOCKET: &str = "/run/irdest-gateway/clients.sock";

/// What all tools are told alike.
#[derive(Clone, Debug, Args)]
pub struct GlobalArgs {
    /// Where the router listens: 127.0.0.1:5852, or unix:/path [default: the unix socket
    /// /run/irdest-gateway/clients.sock if it is there, else 127.0.0.1:5852]
    #[arg(
        short,
        long,
        global = true,
        value_name = "ADDRESS",
        env = "IRDEST_SOCKET",
        help_heading = "Options of all commands"
    )]
    pub bind: Option<ApiBind>,
    /// The file with your address and its token [default: irdest/identity in $XDG_CONFIG_HOME or ~/.config]
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "IRDEST_IDENTITY",
        alias = "cid",
        help_heading = "Options of all commands"
    )]
    pub identity: Option<PathBuf>,
    /// The passphrase of the identity, in a file that only you can read [default: asked for, if there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Options of all commands")]
    pub passphrase_file: Option<PathBuf>,
    /// How to answer
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        default_value_t,
        hide_possible_values = false,
        help_heading = "Options of all commands"
    )]
    pub out: Form,
    /// The same as --out json: the answer as one JSON value
    #[arg(long, global = true, help_heading = "Options of all commands")]
    pub json: bool,
    /// Say nothing but the answer, and errors
    #[arg(short, long, global = true, help_heading = "Options of all commands")]
    pub quiet: bool,
}

/// A user at a router: connected, with an address that is up.
#[derive(Clone, Debug)]
pub struct Session {
    /// The router.
    pub ipc: RatmanIpc,
    /// The user's address.
    pub address: Address,
    /// Its token.
    pub auth: AuthToken,
}

impl GlobalArgs {
    /// How to answer.
    pub const fn output(&self) -> Output {
        Output { form: if self.json { Form::Json } else { self.out }, quiet: self.quiet }
    }

    /// Connects to the router.
    ///
    /// # Errors
    /// [`NoRouter`](crate::Exit::NoRouter) where none listens, and those of [`RatmanIpc::start`].
    pub async fn connect(&self) -> Result<RatmanIpc> {
        let bind = self.bind.clone().unwrap_or_else(|| usual_bind(Path::new(SYSTEM_SOCKET)));
        Ok(RatmanIpc::start(bind).await?)
    }

    /// Where the identity is, or is to be.
    ///
    /// # Errors
    /// As [`Location::find`].
    pub fn location(&self) -> Result<Location> {
        Location::find(self.identity.clone())
    }

    /// Who the user is. Asks for the passphrase if there is one.
    ///
    /// # Errors
    /// There is no identity yet, and those of [`Identity::read`].
    pub fn read_identity(&self) -> Result<Identity> {
        let location = self.location()?;
        let identity = Identity::read(location.existing(), || self.passphrase())?;
        identity.ok_or_else(|| no_identity(&location))
    }

    /// The address of the user, for what needs no token.
    ///
    /// # Errors
    /// As [`GlobalArgs::read_identity`], but for the passphrase.
    pub fn read_address(&self) -> Result<Address> {
        let location = self.location()?;
        Identity::read_address(location.existing())?.ok_or_else(|| no_identity(&location))
    }

    /// The passphrase, from the file that was named, or typed.
    ///
    /// # Errors
    /// As [`Passphrase::read`] and [`Passphrase::ask`].
    pub fn passphrase(&self) -> Result<Passphrase> {
        match &self.passphrase_file {
            Some(file) => Passphrase::read(file),
            None => Passphrase::ask("Passphrase of your identity: "),
        }
    }

    /// Connects as the user, and brings their address up: a router that was restarted does not know that it was.
    ///
    /// # Errors
    /// As [`GlobalArgs::read_identity`] and [`GlobalArgs::connect`], and those of [`RatmanIpcExtV1::addr_up`].
    pub async fn session(&self) -> Result<Session> {
        let Identity { address, auth } = self.read_identity()?;
        let ipc = self.connect().await?;
        ipc.addr_up(&auth, address).await?;
        Ok(Session { ipc, address, auth })
    }
}

fn usual_bind(socket: &Path) -> ApiBind {
    if socket.exists() { socket.into() } else { default_api_bind().into() }
}

fn no_identity(location: &Location) -> Failure {
    let path = location.path.display();
    Failure::failed(format!("no identity yet ({path}): make one with `ratctl address create`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        global: GlobalArgs,
    }

    fn global(words: &[&str]) -> GlobalArgs {
        Cli::parse_from([&["tool"], words].concat()).global
    }

    #[test]
    fn the_words_of_deployed_tools_work() {
        let global = global(&["-b", "127.0.0.1:9", "--cid", "/x", "-o", "json", "-q"]);
        assert_eq!(global.bind, Some(ApiBind::Tcp(([127, 0, 0, 1], 9).into())));
        assert_eq!(global.identity, Some("/x".into()));
        assert_eq!((global.output().form, global.output().quiet), (Form::Json, true));
    }

    #[test]
    fn without_an_identity_it_says_how_to_make_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("identity").display().to_string();
        let error = global(&["-i", &file]).read_identity().unwrap_err();
        assert_eq!(error.message, format!("no identity yet ({file}): make one with `ratctl address create`"));
    }

    #[test]
    fn the_socket_of_the_system_is_used_where_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clients.sock");
        assert_eq!(usual_bind(&path), default_api_bind().into());
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(usual_bind(&path), ApiBind::Unix(path));
    }
}
