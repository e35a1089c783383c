// SPDX-License-Identifier: AGPL-3.0-or-later
//! The filter and NAT of what is forwarded: a table of nftables of our own, replaced as a whole by `nft`.
//!
//! What our filter drops is dropped; what it lets pass still has to pass the host's own firewall.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Forward, HostError};

/// Debian keeps `nft` here, and leaves these folders out of a normal user's search path.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Loading our few rules takes milliseconds.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Interfaces from which the host forwarded nothing before we came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) v4: Vec<String>,
    pub(super) v6: Vec<String>,
    /// All of IPv6: the kernel has no switch for a single interface.
    pub(super) v6_all: bool,
}

/// The table for `device`: what belongs together passes, and an interface opened for the mesh stays closed otherwise.
pub(super) fn script(device: &str, forward: &Forward, closed: &Closed) -> Result<String, HostError> {
    if !is_plain(device) {
        return Err(HostError::DeviceName(device.to_owned()));
    }
    let mut script = deletion(device);
    let mut line = |text: String| writeln!(script, "{text}").expect("writing to a string does not fail");
    line(format!("table inet {} {{\nchain forward {{", table(device)));
    line("type filter hook forward priority filter; policy accept;".into());
    line(format!("iifname \"{device}\" oifname {} accept", set(&forward.all())));
    if !forward.interfaces.is_empty() {
        line(format!("iifname {} oifname \"{device}\" accept", set(&forward.interfaces)));
    }
    line(format!("iifname != \"{device}\" oifname \"{device}\" ct state established,related accept"));
    line(format!("iifname \"{device}\" drop\noifname \"{device}\" drop"));
    if !closed.v4.is_empty() {
        line(format!("meta nfproto ipv4 iifname {} drop", set(&closed.v4)));
    }
    if closed.v6_all {
        line("meta nfproto ipv6 drop".into());
    } else if !closed.v6.is_empty() {
        line(format!("meta nfproto ipv6 iifname {} drop", set(&closed.v6)));
    }
    line("}\nchain postrouting {\ntype nat hook postrouting priority srcnat; policy accept;".into());
    if forward.nat && !forward.interfaces.is_empty() {
        line(format!("iifname {} oifname \"{device}\" masquerade", set(&forward.interfaces)));
    }
    if forward.exit_nat && !forward.exit_interfaces.is_empty() {
        line(format!("iifname \"{device}\" oifname {} masquerade", set(&forward.exit_interfaces)));
    }
    line("}\n}".into());
    Ok(script)
}

/// Loads a script of [`script`]: all of it, or nothing.
pub(super) async fn load(script: String) -> Result<(), HostError> {
    run(&["-f", "-"], &script).await
}

/// Whether there is a table for `device`; none that anybody could see where `nft` is not installed or fails.
pub(super) async fn is_there(device: &str) -> bool {
    is_plain(device) && run(&["list", "table", "inet", &table(device)], "").await.is_ok()
}

async fn run(arguments: &[&str], script: &str) -> Result<(), HostError> {
    let nft = find_nft().ok_or(HostError::NoNft)?;
    let failed = |error: std::io::Error| HostError::Nft(error.to_string());
    let mut child = Command::new(nft)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut stdin = child.stdin.take().expect("stdin was piped");
    let answer = async {
        stdin.write_all(script.as_bytes()).await?;
        drop(stdin);
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(TIME_LIMIT, answer)
        .await
        .map_err(|_elapsed| HostError::Nft(format!("no answer for {} s", TIME_LIMIT.as_secs())))?
        .map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(HostError::Nft(words.lines().next().unwrap_or("without a word").to_owned()))
}

/// Deletes the table for `device`; fine where there is none.
pub(super) async fn delete(device: &str) -> Result<(), HostError> {
    load(deletion(device)).await
}

/// Deleting what is not there is an error, so that it is made first.
fn deletion(device: &str) -> String {
    let table = table(device);
    format!("table inet {table}\ndelete table inet {table}\n")
}

fn table(device: &str) -> String {
    format!("irdest-gateway-{device}")
}

fn set(interfaces: &[impl AsRef<str>]) -> String {
    let quoted: Vec<_> = interfaces.iter().map(|name| format!("\"{}\"", name.as_ref())).collect();
    format!("{{ {} }}", quoted.join(", "))
}

/// Whether the name stands for itself in nftables, where others may be patterns.
pub(crate) fn is_plain(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && !matches!(name, "." | "..")
}

/// The program that reads and sets filters, where it is installed.
pub(crate) fn find_nft() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join("nft")).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_table_says_who_may_pass() {
        let forward = Forward {
            interfaces: names(&["lan0"]),
            exit_interfaces: names(&["eth0"]),
            nat: true,
            exit_nat: true,
        };
        let closed = Closed { v4: names(&["eth0"]), v6: names(&["eth0", "lan0"]), v6_all: false };
        let expected = "table inet irdest-gateway-mesh0
delete table inet irdest-gateway-mesh0
table inet irdest-gateway-mesh0 {
chain forward {
type filter hook forward priority filter; policy accept;
iifname \"mesh0\" oifname { \"eth0\", \"lan0\" } accept
iifname { \"lan0\" } oifname \"mesh0\" accept
iifname != \"mesh0\" oifname \"mesh0\" ct state established,related accept
iifname \"mesh0\" drop
oifname \"mesh0\" drop
meta nfproto ipv4 iifname { \"eth0\" } drop
meta nfproto ipv6 iifname { \"eth0\", \"lan0\" } drop
}
chain postrouting {
type nat hook postrouting priority srcnat; policy accept;
iifname { \"lan0\" } oifname \"mesh0\" masquerade
iifname \"mesh0\" oifname { \"eth0\" } masquerade
}
}
";
        assert_eq!(script("mesh0", &forward, &closed).unwrap(), expected);
        let plain = script("mesh0", &Forward { nat: false, exit_nat: false, ..forward }, &Closed::default());
        let plain = plain.unwrap();
        assert!(!plain.contains("masquerade") && !plain.contains("nfproto"), "{plain}");
    }

    #[test]
    fn names_that_are_patterns_are_refused() {
        for name in ["lan*", "a\"b", "", "a{b", "a-name-too-long-", ".."] {
            assert!(!is_plain(name), "{name}");
            assert!(matches!(
                script(name, &Forward::default(), &Closed::default()),
                Err(HostError::DeviceName(_))
            ));
        }
        assert!(is_plain("br-lan.7") && is_plain("wg_0"));
    }
}
