// SPDX-License-Identifier: AGPL-3.0-or-later

use std::collections::BTreeSet;
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(30);

/// A task that says on which thread it is each time that it is asked.
fn asked(
    spawn: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>),
) -> mpsc::Sender<oneshot::Sender<ThreadId>> {
    let (questions, mut asked) = mpsc::channel::<oneshot::Sender<ThreadId>>(1);
    spawn(Box::pin(async move {
        while let Some(answer) = asked.recv().await {
            let _ = answer.send(thread::current().id());
        }
    }));
    questions
}

async fn ask(task: &mpsc::Sender<oneshot::Sender<ThreadId>>) -> ThreadId {
    let (answer, answered) = oneshot::channel();
    task.send(answer).await.unwrap();
    timeout(SOON, answered).await.expect("it answers").expect("it is there")
}

fn control() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn tasks_are_where_they_belong_however_often_that_changes() {
    let threads = DataThreads::start_many(3).unwrap();
    let spread = threads.spread();
    control().block_on(async {
        let tasks: Vec<_> = (0..6).map(|place| asked(|task| spread.spawn_at(place, task))).collect();
        for working in [1, 3, 2, 1, 2, 3, 1] {
            spread.set_working(working);
            let mut places = Vec::new();
            for task in &tasks {
                places.push(ask(task).await);
            }
            let distinct: BTreeSet<_> = places.iter().map(|place| format!("{place:?}")).collect();
            assert_eq!(distinct.len(), working);
            for (number, place) in places.iter().enumerate() {
                assert_eq!(*place, places[number % working], "task {number} with {working} threads at work");
            }
        }
    });
    threads.end();
}

#[test]
fn never_fewer_than_one_nor_more_than_there_are() {
    let threads = DataThreads::start_many(2).unwrap();
    for (wanted, working) in [(0, 1), (1, 1), (2, 2), (usize::MAX, 2)] {
        threads.spread().set_working(wanted);
        assert_eq!(threads.spread().working(), working);
    }
    threads.end();
}

/// What a link does: wait for a socket that another thread watches, and for a clock, while it is moved to and fro.
#[test]
fn sockets_and_timers_go_on_while_a_task_changes_its_thread() {
    const BYTES: usize = 4 * 1024 * 1024;
    let threads = DataThreads::start_many(2).unwrap();
    let (read_in, read) = oneshot::channel();
    let (mut near, far) = threads.first().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    });
    let spread = threads.spread().clone();
    // The second place is the one that moves.
    let reading = Box::pin(async move {
        let (mut far, mut sum, mut places) = (far, 0, Vec::new());
        let mut room = vec![0; 64 * 1024];
        loop {
            match far.read(&mut room).await.unwrap() {
                0 => break,
                count => sum += count,
            }
            spread.set_working(1 + places.len() % 2);
            tokio::time::sleep(Duration::from_micros(10)).await;
            places.push(thread::current().id());
        }
        let moves = places.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let _ = read_in.send((sum, moves));
    });
    threads.spread().spawn_at(1, reading);
    let (sum, moves) = control().block_on(async {
        let writing = threads.first().spawn(async move { near.write_all(&vec![7; BYTES]).await.unwrap() });
        timeout(SOON, writing).await.unwrap().unwrap();
        timeout(SOON, read).await.unwrap().unwrap()
    });
    assert_eq!(sum, BYTES);
    assert!(moves > 20, "it moved {moves} times");
    threads.end();
}

#[test]
fn links_that_come_up_one_after_the_other_are_read_by_different_threads() {
    for working in 2..=4 {
        let threads = DataThreads::start_many(4).unwrap();
        threads.spread().set_working(working);
        control().block_on(async {
            let tasks: Vec<_> = (0..8).map(|_| asked(|task| threads.spread().spawn(task))).collect();
            let mut places = Vec::new();
            for task in &tasks {
                places.push(ask(task).await);
            }
            let (readers, writers): (Vec<_>, Vec<_>) =
                places.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
            for (reader, writer) in readers.iter().zip(&writers) {
                assert_ne!(reader, writer, "{working} threads at work");
            }
            let distinct: BTreeSet<_> = readers.iter().map(|place| format!("{place:?}")).collect();
            assert_eq!(distinct.len(), working, "threads that read");
        });
        threads.end();
    }
}

#[test]
fn tasks_are_dropped_with_their_runtimes_wherever_they_are() {
    let threads = DataThreads::start_many(2).unwrap();
    threads.spread().set_working(2);
    let dropped: Vec<_> = (0..4)
        .map(|place| {
            let (held, dropped) = oneshot::channel::<()>();
            let listener = {
                let _first = threads.first().enter();
                TcpListener::from_std({
                    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                    listener.set_nonblocking(true).unwrap();
                    listener
                })
                .unwrap()
            };
            threads.spread().spawn_at(
                place,
                Box::pin(async move {
                    let _held = held;
                    // Fails once the runtime that watches it is gone.
                    let _ = listener.accept().await;
                }),
            );
            dropped
        })
        .collect();
    threads.end();
    for dropped in dropped {
        let gone = control().block_on(async { timeout(SOON, dropped).await });
        assert!(gone.expect("dropped").is_err());
    }
}
