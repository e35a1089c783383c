// SPDX-License-Identifier: AGPL-3.0-or-later
//! Where the layers come from: which files, which arguments, in which order.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::layer::Node;
use super::{Config, profile_path, state_dir, without_state_dir};

/// The file that is read where `-c` is not given; it may be absent.
pub const DEFAULT_FILE: &str = "/etc/irdest-gateway/gateway.toml";

/// In a configuration directory, and in the state directory.
const MAIN_NAME: &str = "gateway.toml";

/// A configuration of this program is a few kilobytes; /dev/zero is none.
const MAX_FILE: u64 = 1 << 20;

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `-c`: a file, or a directory with a `gateway.toml`; must be there. Default [`DEFAULT_FILE`].
    pub config: Option<PathBuf>,
    /// `-p`: `PROFILE.toml` beside the file; must be there.
    pub profile: Option<String>,
    /// `-s`: KEY=VALUE, the last one wins.
    pub assignments: Vec<String>,
    /// Called as `ratmand`: `tun.enable` is false unless a layer says otherwise.
    pub router_only: bool,
}

impl Sources {
    /// The same arguments over the built-in defaults alone.
    #[must_use]
    pub fn without_files(&self) -> Self {
        Self { config: Some("/dev/null".into()), profile: None, ..self.clone() }
    }

    /// All layers, or without the one in the state directory.
    pub(super) fn load(&self, run_time: bool) -> Result<Config, ConfigError> {
        let mut files = Vec::new();
        if self.router_only {
            files.push(Node::from_file("called as ratmand", "tun.enable = false")?);
        }
        let main = self.main_file();
        match Self::read(&main)? {
            Some(layer) => files.push(layer),
            None if self.config.is_none() => {}
            None => return Err(absent(main)),
        }
        if let Some(profile) = &self.profile {
            let path = profile_path(&main, check_profile(profile)?);
            files.push(Self::read(&path)?.ok_or_else(|| absent(path))?);
        }
        let arguments =
            self.assignments.iter().map(|text| Node::from_assignment(text)).collect::<Result<Vec<_>, _>>()?;
        for layer in files.iter().chain(&arguments) {
            Config::from_layers([layer.clone()])?;
        }
        if run_time {
            files.extend(run_time_layer(&files, &arguments)?);
        }
        files.extend(arguments);
        Config::from_layers(files)
    }

    /// The `gateway.toml` that `-c` or its default means.
    fn main_file(&self) -> PathBuf {
        match &self.config {
            Some(path) if path.is_dir() => path.join(MAIN_NAME),
            Some(path) => path.clone(),
            None => DEFAULT_FILE.into(),
        }
    }

    /// The layer in `path`, nothing if there is no such file.
    fn read(path: &Path) -> Result<Option<Node>, ConfigError> {
        let failed = |error| ConfigError::Read { path: path.to_owned(), error };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut text = String::new();
        let length = file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
        if u64::try_from(length).unwrap_or(u64::MAX) > MAX_FILE {
            return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "expected at most 1 MiB")));
        }
        Node::from_file(&path.display().to_string(), &text).map(Some)
    }
}

/// The layer in the state directory, which the other layers name.
fn run_time_layer(files: &[Node], arguments: &[Node]) -> Result<Option<Node>, ConfigError> {
    let mut merged = Node::from_file("built-in defaults", super::DEFAULTS)?;
    for layer in files.iter().chain(arguments) {
        merged.overlay(layer.clone());
    }
    let layer = Sources::read(&state_dir(&merged)?.join(MAIN_NAME))?;
    if let Some(layer) = &layer {
        without_state_dir(layer)?;
        Config::from_layers([layer.clone()])?;
    }
    Ok(layer)
}

fn absent(path: PathBuf) -> ConfigError {
    ConfigError::Read { path, error: io::ErrorKind::NotFound.into() }
}

fn check_profile(profile: &str) -> Result<&str, ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if profile.is_empty() || !profile.bytes().all(plain) {
        return Err(ConfigError::Profile(profile.to_owned()));
    }
    Ok(profile)
}
