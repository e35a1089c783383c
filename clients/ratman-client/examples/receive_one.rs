// SPDX-License-Identifier: AGPL-3.0-or-later
//! The manual's first program: waits for one stream and writes it to its output. But for the name of the crate it is as the manual
//! has it, except that
//!
//! * tokens are zeroised when dropped, so there are no copies: `&auth`, where the manual has `auth`;
//! * `println!` wants a lint of this workspace to be told why.
#![expect(clippy::print_stdout, reason = "it is what the program is for")]

use ratman_client::{
    Result,
    api::{RatmanIpc, RatmanIpcExtV1, RatmanStreamExtV1, default_api_bind},
    tokio,
    types::Recipient,
};

#[tokio::main]
async fn main() -> Result<()> {
    let ipc = RatmanIpc::start(default_api_bind()).await?;
    // Create a regular address. The second parameter can be used to create a specific namespace key.
    let (addr, auth) = ipc.addr_create(Some(&"my-name".to_owned()), None).await?;
    ipc.addr_up(&auth, addr).await?;
    let (letterhead, mut reader) = ipc.recv_one(&auth, addr, Recipient::Address(addr)).await?;
    println!("Receiving stream {letterhead:?}");
    let mut stdout = tokio::io::stdout();
    tokio::io::copy(&mut reader.as_reader(), &mut stdout).await?;
    Ok(())
}
