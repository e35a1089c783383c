// SPDX-License-Identifier: AGPL-3.0-or-later
//! `ratctl address`.

use std::path::Path;

use clap::{Args, Subcommand};
use ratman_client::types::{Address, LocalAddress};
use ratman_client::{Error, HexText, RatmanIpc, RatmanIpcExtV1};
use serde_json::{Value, json};

use crate::identity::{Identity, Passphrase};
use crate::{Failure, GlobalArgs, Result, Table};

#[derive(Debug, Subcommand)]
pub(super) enum AddressCommand {
    /// Make an address, and write it with its token to your identity file: only who has that can use it
    Create(CreateArgs),
    /// Announce yours; ratcat does that by itself
    Up,
    /// Announce yours no more; what is sent to it waits
    Down,
    /// Forget yours and its key for good, with what was sent to it, and your identity file
    Destroy {
        /// Also if it is up
        #[arg(short, long)]
        force: bool,
    },
    /// Print all addresses of this router, one on a line
    List,
    /// Show all addresses of this router, or one, and which are up
    Show {
        /// Which
        address: Option<Address>,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// What the router is to call it, for you alone
    #[arg(long)]
    name: Option<String>,
    /// Put the token under a passphrase: asked for, or that of --passphrase-file
    #[arg(long)]
    with_passphrase: bool,
    /// In place of the identity that is there, whose address can never be used again
    #[arg(long)]
    force: bool,
    /// Show it with its token, and write no file
    #[arg(long, conflicts_with_all = ["force", "with_passphrase"])]
    print: bool,
}

impl AddressCommand {
    pub(super) async fn run(self, global: &GlobalArgs) -> Result<()> {
        let output = global.output();
        match self {
            Self::Create(arguments) => create(global, arguments).await,
            Self::Up => {
                global.session().await?;
                output.done()
            }
            Self::Down => {
                let identity = global.read_identity()?;
                let ipc = global.connect().await?;
                ipc.addr_down(&identity.auth, identity.address).await?;
                output.done()
            }
            Self::Destroy { force } => {
                let identity = global.read_identity()?;
                let ipc = global.connect().await?;
                ipc.addr_destroy(&identity.auth, identity.address, force).await?;
                let location = global.location()?;
                let path = location.existing();
                std::fs::remove_file(path).map_err(|error| Failure::file(path, &error))?;
                output.done()
            }
            Self::List => {
                let addresses = global.connect().await?.addr_list().await?;
                let lines: String = addresses.iter().map(|address| format!("{address}\n")).collect();
                output.answer_lines(&lines, &addresses)
            }
            Self::Show { address } => show(global, address).await,
        }
    }
}

async fn create(global: &GlobalArgs, arguments: CreateArgs) -> Result<()> {
    let CreateArgs { name, with_passphrase, force, print: is_printed } = arguments;
    let output = global.output();
    let location = global.location()?;
    let path = &location.path;
    if !is_printed && !force && path.symlink_metadata().is_ok() {
        let path = path.display();
        return Err(Failure::failed(format!(
            "{path} is there already: your address is in it; another with -i FILE"
        )));
    }
    let passphrase = match (with_passphrase, &global.passphrase_file) {
        (false, _) => None,
        (true, Some(file)) => Some(Passphrase::read(file)?),
        (true, None) => Some(Passphrase::ask_for_new()?),
    };
    let ipc = global.connect().await?;
    let (address, auth) = ipc.addr_create(name.as_ref(), None).await?;
    let identity = Identity { address, auth };
    if is_printed {
        let token = identity.auth.to_hex();
        return output.answer(
            format_args!("addr={address}\nauth={}", *token),
            &json!({ "addr": address, "auth": *token }),
        );
    }
    if let Err(failure) = identity.write(path, passphrase.as_ref(), force) {
        // Nobody could ever use it; what was wrong first says more than that it cannot be taken back.
        let _ = ipc.addr_destroy(&identity.auth, address, true).await;
        return Err(failure);
    }
    ipc.addr_up(&identity.auth, address).await?;
    output.answer(address, &json!({ "address": address, "file": path.display().to_string() }))?;
    output.note(format_args!(
        "kept in {}: who has that file is you, and without it the address is lost",
        path.display()
    ));
    Ok(())
}

async fn show(global: &GlobalArgs, wanted: Option<Address>) -> Result<()> {
    let location = global.location()?;
    let own = Identity::read_address(location.existing()).ok().flatten();
    let ipc = global.connect().await?;
    let mut addresses = all(&ipc).await?;
    addresses.retain(|entry| wanted.is_none_or(|wanted| wanted == entry.address));
    if let (Some(wanted), []) = (wanted, addresses.as_slice()) {
        return Err(Failure::failed(format!("{wanted}: no address of this router")));
    }
    let file = |entry: &LocalAddress| (own == Some(entry.address)).then(|| location.existing().as_path());
    let row = |entry: &LocalAddress| {
        let state = match (&entry.damage, entry.up) {
            (Some(damage), _) => format!("damaged: {damage}"),
            (None, true) => "up".to_owned(),
            (None, false) => "down".to_owned(),
        };
        let yours = file(entry).map(|path| format!("yours, in {}", path.display())).unwrap_or_default();
        [entry.address.to_string(), state, yours]
    };
    let json: Vec<Value> = addresses.iter().map(|entry| to_json(entry, file(entry))).collect();
    let table = Table::new(["address", "state", ""], addresses.iter().map(row).collect(), "no addresses");
    global.output().answer(table, &json)
}

/// A deployed router tells no more than which there are.
async fn all(ipc: &RatmanIpc) -> Result<Vec<LocalAddress>> {
    match ipc.addr_query().await {
        Err(Error::NotSupported) => {}
        addresses => return Ok(addresses?),
    }
    Err(Failure::failed("this router only lists addresses: ratctl address list"))
}

fn to_json(entry: &LocalAddress, file: Option<&Path>) -> Value {
    json!({
        "address": entry.address,
        "up": entry.up,
        "damage": entry.damage.as_ref().map(|damage| damage.as_str()),
        "identity": file.map(|file| file.display().to_string()),
    })
}
