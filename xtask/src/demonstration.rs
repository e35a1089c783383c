// SPDX-License-Identifier: AGPL-3.0-or-later
//! What `cargo xtask run` shows: the traffic of unmodified programs from A over R to B.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use irdest_lab::traffic::{HttpServer, IperfServer, Transport, ping};
use irdest_lab::{Gateway, ThreeRouters};

/// Size of the file that is downloaded.
const DOWNLOAD: u64 = 64 * 1024 * 1024;

/// How long a single item may take.
const ITEM: Duration = Duration::from_secs(60);

/// Length of a measurement of throughput, in seconds.
const MEASURED_SECONDS: u32 = 3;

/// Shows everything on the terminal; the first item that does not hold is the error.
pub(crate) fn demonstrate(routers: &ThreeRouters) -> Result<()> {
    show_pings(routers)?;
    show_download(routers)?;
    show_throughput(routers)?;
    for (name, gateway) in [("A", &routers.a), ("R", &routers.r), ("B", &routers.b)] {
        show_tables(name, gateway)?;
    }
    Ok(())
}

/// A line that begins a part of the output.
pub(crate) fn headline(text: &str) {
    println!("\n=== {text}");
}

fn address_of_b() -> Result<IpAddr> {
    Ok(ThreeRouters::B_ADDRESS.parse()?)
}

fn show_pings(routers: &ThreeRouters) -> Result<()> {
    for target in [address_of_b()?, routers.b.identity().overlay.into()] {
        headline(&format!("ping from A to B, {target}"));
        print!("{}", ping(routers.a.node(), target, 5, routers.limit().at_most(ITEM))?);
    }
    Ok(())
}

fn show_download(routers: &ThreeRouters) -> Result<()> {
    headline("64 MiB over HTTP from B to A");
    let limit = routers.limit().at_most(ITEM);
    let server = HttpServer::start(routers.b.node(), address_of_b()?, DOWNLOAD, limit)?;
    let download = server.download(routers.a.node(), limit)?;
    let seconds = download.took.as_secs_f64();
    println!("{} bytes in {seconds:.2} s, SHA-256 equal at both ends:\n{}", download.size, download.sha256);
    Ok(())
}

fn show_throughput(routers: &ThreeRouters) -> Result<()> {
    headline("iperf3 from A to B");
    let limit = routers.limit().at_most(ITEM);
    let server = IperfServer::start(routers.b.node(), address_of_b()?, limit)?;
    for transport in [Transport::Tcp, Transport::Udp] {
        println!("{}", server.measure(routers.a.node(), transport, MEASURED_SECONDS, limit)?);
    }
    Ok(())
}

fn show_tables(name: &str, gateway: &Gateway) -> Result<()> {
    headline(&format!("{name}: irdest-gateway status"));
    print!("{}", gateway.status_table()?);
    Ok(())
}
