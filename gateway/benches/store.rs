// SPDX-License-Identifier: AGPL-3.0-or-later
//! The journal's work, beside the same bytes appended to a file and synced: `cargo bench -p irdest-gateway --bench store`, with
//! MiB per stream (256) and a directory on the disk in question as arguments after `--`.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use irdest_gateway::store::{Change, Completion, Key, Store, StoreConfig, StoreThread, Table};

const BLOCK: usize = 32 * 1024;
/// Blocks of a commit: 4 MiB.
const GROUP: u32 = 128;
/// How many wait for their small message to be durable, and for how long they go on.
const PRODUCERS: u64 = 16;
const SMALL: Duration = Duration::from_secs(3);

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[allow(clippy::print_stdout, reason = "a bench says what it found")]
fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mebibytes: u32 = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let within = arguments.next().unwrap_or_else(|| ".".to_owned());
    let dir = tempfile::tempdir_in(within)?;
    let (blocks, pool) = (mebibytes * 32, noise(BLOCK * 129));
    let megabytes = f64::from(mebibytes) * 1.048_576;
    let rate = |time: Duration| format!("{:.0} MB/s", megabytes / time.as_secs_f64());

    println!("append and sync     {}", rate(append(&dir.path().join("file"), blocks, &pool)?));
    let store = Store::open(dir.path(), &StoreConfig::default())?;
    println!("store a stream      {}", rate(timed(|| fill(&store, 1, blocks, &pool))?));
    println!("read it in order    {}", rate(timed(|| read(&store, 1, blocks))?));
    let (reading, writing) = std::thread::scope(|scope| {
        let writer =
            scope.spawn(|| timed(|| fill(&store, 2, blocks, &pool)).map_err(|error| error.to_string()));
        let reading = timed(|| read(&store, 1, blocks));
        (reading, writer.join().expect("the writer does not panic"))
    });
    println!("both at once        read {}, stored {}", rate(reading?), rate(writing?));
    println!("remove it           {:.2} s", timed(|| remove(&store, 1))?.as_secs_f64());
    let before = store.bytes_on_disk()?;
    println!("store in its place  {}", rate(timed(|| fill(&store, 3, blocks, &pool))?));
    println!("on disk             {before} before that, {} after", store.bytes_on_disk()?);
    println!("messages of 1 KiB   {}", small(store)?);
    Ok(())
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// What is committed at once.
fn groups(blocks: u32) -> impl Iterator<Item = Range<u32>> {
    (0..blocks / GROUP).map(|group| group * GROUP..(group + 1) * GROUP)
}

/// A block that no other one is like, at little cost.
fn block(pool: &[u8], stream: u64, number: u32) -> Vec<u8> {
    let at = usize::try_from(number % GROUP).expect("small") * BLOCK;
    let mut block = pool[at..at + BLOCK].to_vec();
    block[..12].copy_from_slice(Key::entry(stream, number).as_bytes());
    block
}

fn timed(act: impl FnOnce() -> Outcome) -> Outcome<Duration> {
    let began = Instant::now();
    act()?;
    Ok(began.elapsed())
}

fn append(path: &Path, blocks: u32, pool: &[u8]) -> Outcome<Duration> {
    let mut file = File::create(path)?;
    timed(|| {
        for group in groups(blocks) {
            let group: Vec<u8> = group.flat_map(|number| block(pool, 0, number)).collect();
            file.write_all(&group)?;
            file.sync_data()?;
        }
        Ok(())
    })
}

fn fill(store: &Store, stream: u64, blocks: u32, pool: &[u8]) -> Outcome {
    for group in groups(blocks) {
        let changes = group.flat_map(|number| {
            let (key, value) = (Key::entry(stream, number), block(pool, stream, number));
            let reference = value[..36].to_vec();
            [
                Change::Put { table: Table::Blocks, key, value },
                Change::Put { table: Table::References, key, value: reference },
            ]
        });
        store.commit(&changes.collect::<Vec<_>>())?;
    }
    Ok(())
}

fn read(store: &Store, stream: u64, blocks: u32) -> Outcome {
    let mut number = 0;
    for entry in store.scan(Table::Blocks, Key::group(stream)) {
        assert_eq!(entry?.0, Key::entry(stream, number));
        number += 1;
    }
    assert_eq!(number, blocks);
    Ok(())
}

fn remove(store: &Store, stream: u64) -> Outcome {
    let prefix = Key::group(stream);
    let remove = |table| Change::RemovePrefix { table, prefix };
    Ok(store.commit(&[Table::Blocks, Table::References].map(remove))?)
}

/// How many a second are durable where each producer waits for its own, and how long that takes.
fn small(store: Store) -> Outcome<String> {
    let (said, heard) = channel();
    let threads = StoreThread::start(store, move |completion| {
        // Nobody listens any more at the end.
        let _ = said.send(completion);
    })?;
    let message = |id| vec![Change::Put { table: Table::Streams, key: Key::group(id), value: vec![7; 1024] }];
    let began = Instant::now();
    let mut times = Vec::new();
    let mut sent = Vec::new();
    for id in 0..PRODUCERS {
        sent.push(Instant::now());
        threads.commit(id, message(id)).map_err(|(refused, _)| refused)?;
    }
    while began.elapsed() < SMALL {
        let Completion::Committed { id, result } = heard.recv()? else { continue };
        result?;
        times.push(sent[usize::try_from(id)?].elapsed());
        let next = u64::try_from(sent.len())?;
        sent.push(Instant::now());
        threads.commit(next, message(next)).map_err(|(refused, _)| refused)?;
    }
    times.sort();
    let (seconds, status) = (SMALL.as_secs(), threads.status());
    let part = |hundredths: usize| times[times.len() * hundredths / 100].as_secs_f64() * 1000.0;
    Ok(format!(
        "{} a second in {} commits; median {:.2} ms, p99 {:.2} ms",
        u64::try_from(times.len())? / seconds,
        status.commits / seconds,
        part(50),
        part(99)
    ))
}
