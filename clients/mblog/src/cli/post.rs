// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-mblog post`.

use clap::Args;
use irdest_tools::{Exit, Failure, GlobalArgs, Interrupt, Result, unless_interrupted};
use tokio::io::AsyncReadExt;

use crate::{Post, Store, Topic, send};

/// What is to be posted.
#[derive(Debug, Args)]
pub(super) struct PostArgs {
    /// Under what: /category/namespace/topic
    #[arg(short, long)]
    topic: Topic,
    /// What you call yourself; everybody may say so [default: nothing, so only your address is shown]
    #[arg(short, long, default_value = "", hide_default_value = true, env = "IRDEST_NICK")]
    nick: String,
    /// What it says; several words are joined by spaces, and - is what comes by standard input
    #[arg(required = true)]
    text: Vec<String>,
}

/// Sends a post.
pub(super) async fn post(
    global: &GlobalArgs,
    arguments: PostArgs,
    mut store: Store,
    interrupt: Interrupt,
) -> Result<Exit> {
    let PostArgs { topic, nick, text } = arguments;
    let posting = async {
        let text = if text == ["-"] { read_input().await? } else { text.join(" ") };
        let post = Post::new(topic, &nick, &text).map_err(|error| Failure::usage(error.to_string()))?;
        let session = global.session().await?;
        send(&session, &mut store, post).await
    };
    let kept = unless_interrupted(interrupt, Box::pin(posting)).await?;
    let output = global.output();
    if !output.quiet {
        output.answer(format_args!("posted under {}", kept.post.topic()), &kept)?;
    }
    Ok(Exit::Done)
}

/// What comes by standard input; of more than a post has, only so much that it is noticed.
async fn read_input() -> Result<String> {
    let most = u64::try_from(Post::MAX_TEXT).expect("invariant: a length fits") + 1024;
    let mut bytes = Vec::new();
    tokio::io::stdin().take(most).read_to_end(&mut bytes).await?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::usage("the text is not UTF-8, or is longer than a post may be"))
}
