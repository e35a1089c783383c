// SPDX-License-Identifier: AGPL-3.0-or-later
//! `irdest-mblog topics`.

use std::collections::BTreeMap;

use clap::Args;
use irdest_tools::{Exit, GlobalArgs, Result, Table};
use ratman_client::types::WallTime;
use serde_json::{Value, json};

use super::show;
use crate::{KeptPost, Store, Topic, TopicFilter};

/// Which topics.
#[derive(Debug, Args)]
pub(super) struct TopicsArgs {
    /// Only those that begin so
    topic: Option<TopicFilter>,
}

/// Shows the topics of what is here, without asking the router.
pub(super) fn topics(global: &GlobalArgs, arguments: &TopicsArgs, store: &Store) -> Result<Exit> {
    let filter = arguments.topic.clone().unwrap_or_default();
    let topics = count(store.posts(), &filter);
    let row = |(topic, (posts, newest)): (&&Topic, &(u64, WallTime))| {
        [topic.to_string(), posts.to_string(), show::time(*newest)]
    };
    let rows = topics.iter().map(row).collect();
    let table = Table::new(["topic", "posts", "newest"], rows, "no posts: irdest-mblog read looks for some");
    let json = |(topic, (posts, newest)): (&&Topic, &(u64, WallTime))| json!({ "topic": topic, "posts": posts, "newest_us": newest.as_micros() });
    let json: Vec<Value> = topics.iter().map(json).collect();
    global.output().answer(table, &json)?;
    Ok(Exit::Done)
}

/// How many posts each has, and the time of the newest.
fn count<'a>(posts: &'a [KeptPost], filter: &TopicFilter) -> BTreeMap<&'a Topic, (u64, WallTime)> {
    let mut topics = BTreeMap::new();
    for kept in posts.iter().filter(|kept| filter.matches(kept.post.topic())) {
        let (posts, newest) = topics.entry(kept.post.topic()).or_insert((0, kept.when()));
        *posts += 1;
        *newest = kept.when().max(*newest);
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Post;
    use crate::kept_post::tests::sample;

    #[test]
    fn topics_are_counted() {
        let other = Post::new("/a/b/d".parse().unwrap(), "", "x").unwrap();
        let posts = [sample(2), sample(1), KeptPost { post: other, ..sample(3) }];
        let counted: Vec<_> = count(&posts, &TopicFilter::default()).into_values().collect();
        assert_eq!(counted, [(2, sample(2).when()), (1, sample(3).when())]);
        assert_eq!(count(&posts, &"/a/b/d".parse().unwrap()).len(), 1);
    }
}
