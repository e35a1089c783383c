// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-mblog-gtk`: posts in a window. Topics are on the left, the posts of the one that is chosen on the right, and below is what
//! the user writes.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use gtk4::prelude::*;
use gtk4::{Application, glib};
use irdest_tools::output::complain;
use irdest_tools::{Exit, GlobalArgs};

mod backend;
mod board;

use backend::Backend;
use board::Board;

/// The name of the program.
const NAME: &str = "irdest-mblog-gtk";

/// Its name on the desktop, so that a second start shows the window of the first.
const ID: &str = "org.irdest.mblog";

/// Short posts under topics, for everybody on an Irdest mesh, in a window.
#[derive(Clone, Debug, Parser)]
#[command(name = NAME, version, after_help = "Posts, their limits and where they are kept: irdest-mblog --help.")]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    /// Where posts are kept [default: irdest/mblog in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "FOLDER")]
    data: Option<std::path::PathBuf>,
    /// What you call yourself; everybody may say so [default: nothing, so only your address is shown]
    #[arg(short, long, default_value = "", hide_default_value = true, env = "IRDEST_NICK")]
    nick: String,
}

/// The command line as data, for the manual and for completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program with the words that it was called with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Asked for before there is a window: a passphrase is typed on the terminal.
    let backend = match Backend::start(cli.global.clone(), cli.data.clone()) {
        Ok(backend) => backend,
        Err(failure) => {
            complain(format_args!("{NAME}: {failure}"));
            return failure.exit.into();
        }
    };
    let backend = std::rc::Rc::new(std::cell::RefCell::new(Some(backend)));
    let application = Application::builder().application_id(ID).build();
    application.connect_activate(move |application| {
        if let Some(window) = application.active_window() {
            window.present();
        } else if let Some(backend) = backend.take() {
            Board::show(application, backend, &cli.nick);
        }
    });
    // Its words are ours, not those of GTK.
    match application.run_with_args(&[NAME]) {
        glib::ExitCode::SUCCESS => Exit::Done.into(),
        _ => Exit::Failed.into(),
    }
}
