//! Keys of several shards that are always written together, while checkpoints are taken and the node is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use carousel_tests::{Server, eventually};
use redis::aio::MultiplexedConnection;

use super::checkpoints::{files, overwrite};

const GROUPS: usize = 6;
/// Keys of a group: of several slots and, almost certainly, of all shards.
const KEYS: usize = 8;

/// By group, the last number that was acknowledged.
type Acknowledged = Arc<[AtomicU64; GROUPS]>;

fn names(group: usize) -> Vec<String> {
    (0..KEYS).map(|key| format!("group:{group}:{key}")).collect()
}

/// The group's keys count up together, by MSET and by EXEC in turn, until the node is gone.
async fn count_up(mut client: MultiplexedConnection, group: usize, acknowledged: Acknowledged) {
    for number in acknowledged[group].load(Ordering::Relaxed) + 1.. {
        let pairs: Vec<_> = names(group).into_iter().map(|name| (name, number)).collect();
        let written: redis::RedisResult<()> = if number % 2 == 0 {
            redis::cmd("MSET").arg(&pairs).query_async(&mut client).await
        } else {
            let mut transaction = redis::pipe();
            transaction.atomic();
            for (name, number) in &pairs {
                transaction.set(name, number).ignore();
            }
            transaction.query_async(&mut client).await
        };
        if written.is_err() {
            return;
        }
        acknowledged[group].store(number, Ordering::Relaxed);
    }
}

/// No group is mixed, and none is older than what was acknowledged or newer than what was sent.
async fn assert_whole(server: &Server, acknowledged: &Acknowledged) {
    let mut client = server.client().await;
    for (group, known) in acknowledged.iter().enumerate() {
        let held: Vec<Option<u64>> =
            redis::cmd("MGET").arg(names(group)).query_async(&mut client).await.unwrap();
        let held: Vec<u64> = held.into_iter().map(Option::unwrap_or_default).collect();
        let known = known.swap(held[0], Ordering::Relaxed);
        assert!(held.iter().all(|number| *number == held[0]), "group {group} is mixed: {held:?}");
        assert!(held[0] == known || held[0] == known + 1, "group {group} holds {held:?} after {known}");
    }
}

fn sum(acknowledged: &Acknowledged) -> u64 {
    acknowledged.iter().map(|known| known.load(Ordering::Relaxed)).sum()
}

/// One life of the node: groups are written, and checkpoints taken one after the other, until it is killed; with
/// `within` while a checkpoint is being written.
async fn live(server: &mut Server, writes: u64, within: bool, acknowledged: &Acknowledged) {
    let before = sum(acknowledged);
    let mut tasks = Vec::new();
    for group in 0..GROUPS {
        tasks.push(tokio::spawn(count_up(server.client().await, group, acknowledged.clone())));
    }
    let (mut raw, taken) = (server.raw().await, Arc::new(AtomicUsize::new(0)));
    let counter = taken.clone();
    tasks.push(tokio::spawn(async move {
        while raw.try_call(&[b"SAVE"]).await.is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }));
    eventually("groups are written and checkpoints taken", async || {
        let (written, taken) = (sum(acknowledged) - before, taken.load(Ordering::Relaxed));
        let is_time = taken > 0 && (!within || !files(server, "tmp").is_empty());
        if written >= writes && is_time { Ok(()) } else { Err(format!("{written} writes, {taken} taken")) }
    })
    .await;
    server.kill();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Commands on several shards are there wholly or not at all, wherever between two steps of a checkpoint, which every shard
/// takes on its own, the process ends.
#[tokio::test]
async fn no_group_of_keys_is_mixed_by_kill_9_during_checkpoints() {
    for fsync in ["everysec", "always"] {
        let mut server =
            Server::start_new(&[("appendfsync", fsync), ("shards", "3"), ("log-retention", "0")]).await;
        overwrite(&server, 4).await;
        let acknowledged = Acknowledged::default();
        for round in 0..8 {
            live(&mut server, 30 + 37 * round % 60, round % 2 == 0, &acknowledged).await;
            if round == 5 {
                server.set("shards", "2");
            }
            server.start().await;
            assert_whole(&server, &acknowledged).await;
            assert!(files(&server, "tmp").is_empty(), "what came to nothing is removed at the start");
        }
        assert!(sum(&acknowledged) > 200);
    }
}
