// SPDX-License-Identifier: AGPL-3.0-or-later
//! A download over HTTP: Python's `http.server` at one end, its `urllib` at the other.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::node::Node;
use crate::process::Process;
use crate::time_limit::TimeLimit;

const PORT: u16 = 8080;
const FETCH: &str = include_str!("fetch.py");

/// A server with one file of noise.
#[derive(Debug)]
pub struct HttpServer {
    url: String,
    sha256: String,
    size: u64,
    // Dropped with the server: it ends.
    _process: Process,
}

/// A download whose checksum was the server's.
#[derive(Clone, Debug)]
pub struct Download {
    /// Bytes that came.
    pub size: u64,
    /// How long they took.
    pub took: Duration,
    /// SHA-256 of them, in hexadecimal digits.
    pub sha256: String,
}

impl HttpServer {
    /// Makes a file of `size` bytes and serves it at the address; returns once the server listens.
    pub fn start(node: &Node, address: IpAddr, size: u64, limit: TimeLimit) -> Result<Self> {
        let folder = node.directory().join("www");
        fs::create_dir_all(&folder)?;
        let file = folder.join("noise");
        write_noise(&mut std::io::BufWriter::new(fs::File::create(&file)?), size)?;
        let (file, folder) = (file.display().to_string(), folder.display().to_string());
        let sums = node.run("sha256sum", &["--binary", &file], limit)?;
        let sha256 = sums.split_whitespace().next().context("sha256sum said nothing")?.to_owned();
        let (port, bind) = (PORT.to_string(), address.to_string());
        let arguments = ["-m", "http.server", "--bind", &bind, "--directory", &folder, &port];
        let process = node.spawn("python3", &arguments, "http-server")?;
        limit.wait_for("the HTTP server to listen", || Ok(node.listens(PORT)?.then_some(())))?;
        let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        Ok(Self { url: format!("http://{host}:{PORT}/noise"), sha256, size, _process: process })
    }

    /// Where the file is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Downloads the file to the node.
    ///
    /// # Errors
    /// Where it does not come whole within the limit, or with another checksum.
    pub fn download(&self, to: &Node, limit: TimeLimit) -> Result<Download> {
        let text = to.run("python3", &["-c", FETCH, &self.url], limit)?;
        let download = parse(&text).with_context(|| format!("`{text}` is not what fetch.py prints"))?;
        ensure!(download.size == self.size, "{} of {} bytes came", download.size, self.size);
        ensure!(
            download.sha256 == self.sha256,
            "the download's SHA-256 is {}, the file's {}",
            download.sha256,
            self.sha256
        );
        Ok(download)
    }
}

fn parse(text: &str) -> Option<Download> {
    let mut words = text.split_whitespace();
    let size = words.next()?.parse().ok()?;
    let took = Duration::try_from_secs_f64(words.next()?.parse().ok()?).ok()?;
    Some(Download { size, took, sha256: words.next()?.to_owned() })
}

/// Bytes that no layer can compress or confuse with those of another place in the file (xorshift64).
fn write_noise(to: &mut impl Write, size: u64) -> Result<()> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut left = size;
    while left > 0 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let bytes = state.to_le_bytes();
        let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        to.write_all(&bytes[..count])?;
        left = left.saturating_sub(8);
    }
    Ok(to.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_size_asked_for_and_does_not_repeat() {
        let mut noise = Vec::new();
        write_noise(&mut noise, 1001).unwrap();
        assert_eq!(noise.len(), 1001);
        let mut words: Vec<&[u8]> = noise.chunks_exact(8).collect();
        words.sort();
        words.dedup();
        assert_eq!(words.len(), 125);
    }

    #[test]
    fn reads_what_fetch_prints() {
        let download = parse("42 0.5 abcd\n").unwrap();
        assert_eq!((download.size, download.took), (42, Duration::from_millis(500)));
        assert!(parse("Traceback").is_none());
    }
}
