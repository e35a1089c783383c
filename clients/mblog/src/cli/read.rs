// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-mblog read`.

use std::time::Duration;

use clap::Args;
use irdest_tools::output::{Form, Output, print};
use irdest_tools::{Exit, Failure, GlobalArgs, Interrupt, Result};
use tokio::time::{MissedTickBehavior, interval};

use super::show;
use crate::{Feed, KeptPost, Store, TopicFilter};

/// How often it is looked whether another program has added something.
const LOOK: Duration = Duration::from_secs(1);

/// What is to be shown.
#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    /// Only topics that begin so: /category, /category/namespace, or a whole one
    topic: Option<TopicFilter>,
    /// Go on with what comes, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many of those that have come, the newest; 0 for all
    #[arg(short, long, value_name = "N", default_value_t = 20)]
    count: usize,
    /// Only what was taken from the router before; it is not asked
    #[arg(long, conflicts_with = "follow")]
    offline: bool,
}

impl ReadArgs {
    /// Shows what comes, and nothing of before.
    pub(super) const fn following(topic: Option<TopicFilter>) -> Self {
        Self { topic, follow: true, count: 20, offline: false }
    }
}

/// Takes from the router what has come, and shows it.
pub(super) async fn read(
    global: &GlobalArgs,
    arguments: ReadArgs,
    store: Store,
    mut interrupt: Interrupt,
) -> Result<Exit> {
    let (output, filter) = (global.output(), arguments.topic.unwrap_or_default());
    if arguments.offline {
        return show_newest(output, &filter, arguments.count, &store);
    }
    let joining = async {
        let session = match global.session().await {
            Ok(session) => session,
            // What is here is worth something without a router.
            Err(failure) if failure.exit == Exit::NoRouter && !arguments.follow => {
                output.note(format_args!("irdest-mblog: {failure}; what is here:"));
                return Ok(Err(store));
            }
            Err(failure) => return Err(failure),
        };
        let mut feed = Feed::join(session, store, arguments.follow).await?;
        if !arguments.follow {
            while feed.next().await? {}
        }
        Ok(Ok(feed))
    };
    let joined = tokio::select! {
        joined = Box::pin(joining) => joined?,
        () = interrupt.came() => return Err(Failure::interrupted("")),
    };
    match joined {
        Err(store) => show_newest(output, &filter, arguments.count, &store),
        Ok(mut feed) if arguments.follow => {
            Box::pin(follow(output, &filter, arguments.count, &mut feed, interrupt)).await
        }
        Ok(mut feed) => show_newest(output, &filter, arguments.count, feed.store()),
    }
}

/// The newest, the newest last; all with a count of 0.
fn newest<'a>(posts: &'a [KeptPost], filter: &TopicFilter, count: usize) -> Vec<&'a KeptPost> {
    let mut posts: Vec<_> = posts.iter().filter(|kept| filter.matches(kept.post.topic())).collect();
    posts.sort_by_key(|kept| kept.when());
    let older = if count == 0 { 0 } else { posts.len().saturating_sub(count) };
    posts.split_off(older)
}

fn show_newest(output: Output, filter: &TopicFilter, count: usize, store: &Store) -> Result<Exit> {
    let posts = newest(store.posts(), filter, count);
    let lines: Vec<String> = posts.iter().map(|kept| show::post(kept)).collect();
    if output.form == Form::Json || !lines.is_empty() {
        output.answer(lines.join("\n\n"), &posts)?;
    } else {
        output.note("no posts");
    }
    Ok(Exit::Done)
}

/// Shows posts one after the other, as JSON one in each line.
async fn follow(
    output: Output,
    filter: &TopicFilter,
    count: usize,
    feed: &mut Feed,
    mut interrupt: Interrupt,
) -> Result<Exit> {
    for kept in newest(feed.store().posts(), filter, count) {
        show_one(output, kept)?;
    }
    let mut last = feed.store().posts().last().map(KeptPost::key);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = interrupt.came() => return Ok(Exit::Done),
            come = feed.next() => drop(come?),
            _ = looks.tick() => {}
        }
        feed.store().refresh()?;
        let store = feed.store();
        for kept in store.after(last).iter().filter(|kept| filter.matches(kept.post.topic())) {
            show_one(output, kept)?;
        }
        last = store.posts().last().map(KeptPost::key);
    }
}

fn show_one(output: Output, kept: &KeptPost) -> Result<()> {
    match output.form {
        Form::Lines => print(format_args!("{}\n", show::post(kept))),
        Form::Json => output.answer("", kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept_post::tests::sample;

    #[test]
    fn the_newest_come_last_whatever_came_first() {
        let posts = [sample(3), sample(1), sample(2)];
        let numbers = |count| {
            let newest = newest(&posts, &TopicFilter::default(), count);
            newest.iter().map(|kept| kept.created.as_micros() - 1000).collect::<Vec<_>>()
        };
        assert_eq!(numbers(0), [1, 2, 3]);
        assert_eq!(numbers(2), [2, 3]);
        assert!(newest(&posts, &"/other".parse().unwrap(), 0).is_empty());
    }
}
