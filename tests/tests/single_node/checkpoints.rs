//! Checkpoints of a node that serves: what clients see of them, and what a restart finds.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use carousel_protocol::resp::Reply;
use carousel_tests::{Server, bulk, eventually};
use redis::AsyncCommands;

use super::durability::{assert_holds, kill_under_load, write};

/// The files of a node's logs with that ending.
pub fn files(server: &Server, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![server.data_dir()];
    while let Some(dir) = dirs.pop() {
        // What is being replaced just now may be gone.
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

async fn info(server: &Server, field: &str) -> String {
    let text = String::from_utf8(bulk(server.raw().await.call("INFO persistence").await)).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")).map(String::from));
    line.unwrap_or_else(|| panic!("no {field} in {text}"))
}

async fn status(server: &Server, command: &str) -> String {
    let reply = server.raw().await.call(command).await;
    reply.as_str().or(reply.as_error()).unwrap_or_else(|| panic!("{command}: {reply:?}")).to_owned()
}

async fn await_checkpoints(server: &Server, count: usize) {
    eventually(format!("{count} checkpoints were taken"), async || {
        let taken = info(server, "rdb_saves").await;
        if taken.parse::<usize>().unwrap() >= count { Ok(()) } else { Err(taken) }
    })
    .await;
}

/// Numbers under some keys, over and over, so that the log is longer than what it leaves. Each is of a kilobyte or so.
pub async fn overwrite(server: &Server, rounds: usize) {
    let mut raw = server.raw().await;
    for round in 0..rounds {
        let mut requests = Vec::new();
        for n in 0..500 {
            let (key, value) = (format!("over:{n}"), format!("{round:01000}"));
            carousel_protocol::resp::encode_request(
                &mut requests,
                &[b"SET", key.as_bytes(), value.as_bytes()],
            );
        }
        raw.send(&requests).await;
        for _ in 0..500 {
            assert_eq!(raw.reply().await.as_str(), Some("OK"));
        }
    }
}

#[tokio::test]
async fn clients_ask_for_checkpoints_in_redis_words() {
    for runtime in ["auto", "epoll"] {
        let server = Server::start_new(&[("shards", "2"), ("runtime", runtime)]).await;
        write(&server, 0..500).await;
        eventually("the changes are counted", async || {
            let changes = info(&server, "rdb_changes_since_last_save").await;
            if changes == "501" { Ok(()) } else { Err(changes) }
        })
        .await;
        assert_eq!(status(&server, "SAVE").await, "OK");
        assert_eq!(info(&server, "rdb_changes_since_last_save").await, "0");
        assert_eq!(files(&server, "checkpoint").len(), 2, "one for each shard");
        assert_eq!(status(&server, "BGSAVE").await, "Background saving started");
        await_checkpoints(&server, 2).await;
        assert_eq!(status(&server, "BGREWRITEAOF").await, "Background append only file rewriting started");
        await_checkpoints(&server, 3).await;
        assert_eq!(files(&server, "checkpoint").len(), 2, "the last ones take the place of those before");
        let Reply::Integer(last) = server.raw().await.call("LASTSAVE").await else { panic!("not a number") };
        assert_eq!(info(&server, "rdb_last_save_time").await, last.to_string());
        for (field, value) in [
            ("rdb_last_bgsave_status", "ok"),
            ("aof_last_bgrewrite_status", "ok"),
            ("rdb_bgsave_in_progress", "0"),
            ("aof_rewrite_in_progress", "0"),
            ("aof_enabled", "1"),
        ] {
            assert_eq!(info(&server, field).await, value, "{field}");
        }
        for (command, error) in [("BGSAVE NOW", "ERR syntax error"), ("SHUTDOWN LATER", "ERR syntax error")] {
            assert_eq!(status(&server, command).await, error);
        }
    }
}

#[tokio::test]
async fn a_log_is_cut_behind_its_checkpoint_and_a_restart_finds_everything() {
    let mut server = Server::start_new(&[
        ("log-retention", "0"),
        ("appendfsync", "no"),
        ("auto-aof-rewrite-percentage", "0"),
    ])
    .await;
    write(&server, 0..500).await;
    overwrite(&server, 280).await;
    assert!(files(&server, "log").len() >= 3, "{:?}", files(&server, "log"));
    assert_eq!(status(&server, "SAVE").await, "OK");
    assert!(files(&server, "log").len() <= 2, "{:?}", files(&server, "log"));
    write(&server, 500..600).await;
    server.crash_and_restart().await;
    let read = server.log().lines().rfind(|line| line.contains("read the log in")).unwrap().to_owned();
    let bytes = read.split("bytes=").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(bytes.parse::<u64>().unwrap() < 4_000_000, "only the checkpoint and what follows it: {read}");
    for first in [0, 500] {
        assert_holds(&server, first..first + 100).await;
    }
    // And again, with another number of shards, which reads the same and writes it anew.
    server.set("shards", "3");
    server.restart().await;
    assert_holds(&server, 500..600).await;
    assert_eq!(files(&server, "checkpoint").len(), 0);
}

#[tokio::test]
async fn a_log_that_has_grown_is_cut_by_itself() {
    let server =
        Server::start_new(&[("auto-aof-rewrite-min-size", "2mb"), ("appendfsync", "no"), ("shards", "2")])
            .await;
    overwrite(&server, 12).await;
    await_checkpoints(&server, 1).await;
    let base: u64 = info(&server, "aof_base_size").await.parse().unwrap();
    assert!((400_000..2_000_000).contains(&base), "about what is live: {base}");
    assert!(server.log().contains("took a checkpoint"), "{}", server.log());
}

/// Checkpoints are taken one after the other while clients count up and the node is killed.
#[tokio::test]
async fn no_acknowledged_write_is_lost_by_kill_9_during_checkpoints() {
    for fsync in ["always", "everysec"] {
        let mut server =
            Server::start_new(&[("appendfsync", fsync), ("shards", "2"), ("log-retention", "0")]).await;
        overwrite(&server, 8).await;
        let taken = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let (mut raw, counter) = (server.raw().await, taken.clone());
            let is_over = Arc::new(AtomicBool::new(false));
            let stop = is_over.clone();
            let saver = tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) && raw.try_call(&[b"SAVE"]).await.is_ok() {
                    counter.fetch_add(1, Ordering::Relaxed);
                    // The disk is to have time for the clients as well.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            });
            kill_under_load(&mut server).await;
            is_over.store(true, Ordering::Relaxed);
            saver.await.unwrap();
        }
        assert!(taken.load(Ordering::Relaxed) > 0, "some were taken");
        assert!(files(&server, "tmp").is_empty(), "what came to nothing was removed at the start");
    }
}

#[tokio::test]
async fn without_a_log_a_restart_finds_the_last_checkpoint() {
    let mut server = Server::start_new(&[("appendonly", "no"), ("shards", "2")]).await;
    write(&server, 0..500).await;
    assert_eq!(status(&server, "SAVE").await, "OK");
    write(&server, 500..600).await;
    for shards in ["2", "3"] {
        server.set("shards", shards);
        server.crash_and_restart().await;
        assert_holds(&server, 0..500).await;
        let late: Option<String> = server.client().await.get("key:550").await.unwrap();
        assert_eq!(late, None, "what came after it is gone");
    }
    write(&server, 500..600).await;
    let mut raw = server.raw().await;
    raw.send(b"SHUTDOWN SAVE\r\n").await;
    assert_eq!(String::from_utf8_lossy(&raw.until_closed().await), "");
    server.await_end().await;
    // A log begins where the checkpoint ends.
    server.set("appendonly", "yes");
    server.start().await;
    assert_holds(&server, 500..600).await;
    write(&server, 600..700).await;
    server.crash_and_restart().await;
    assert_holds(&server, 600..700).await;
    assert_holds(&server, 0..100).await;
}

#[tokio::test]
async fn the_points_of_save_are_kept_and_a_stop_without_a_log_saves() {
    let mut server = Server::start_new(&[("appendonly", "no"), ("save", "1 5")]).await;
    write(&server, 0..50).await;
    await_checkpoints(&server, 1).await;
    server.set("save", "3600 1");
    server.restart().await;
    assert_holds(&server, 0..50).await;
    write(&server, 50..60).await;
    server.restart().await;
    assert_holds(&server, 50..60).await;
}
