//! What a restart finds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use carousel_tests::{Server, bulk, eventually};
use redis::AsyncCommands;

const SYNC: [&str; 3] = ["always", "everysec", "no"];

pub async fn write(server: &Server, keys: std::ops::Range<usize>) {
    let mut client = server.client().await;
    let pairs: Vec<_> = keys.clone().map(|n| (format!("key:{n}"), n)).collect();
    let () = client.mset(&pairs).await.unwrap();
    let () = client.set_ex(format!("volatile:{}", keys.start), "x", 1_000).await.unwrap();
}

pub async fn assert_holds(server: &Server, keys: std::ops::Range<usize>) {
    let mut client = server.client().await;
    let names: Vec<_> = keys.clone().map(|n| format!("key:{n}")).collect();
    let values: Vec<Option<usize>> = client.mget(&names).await.unwrap();
    assert!(values.iter().zip(keys.clone()).all(|(held, n)| *held == Some(n)), "{values:?}");
    let ttl: i64 = client.ttl(format!("volatile:{}", keys.start)).await.unwrap();
    assert!((900..=1_000).contains(&ttl), "{ttl}");
}

/// What is timed is the waiting for the log, not what came before it.
#[tokio::test]
async fn a_request_that_takes_longer_than_write_timeout_is_confirmed_all_the_same() {
    for server in crate::each_kind().await {
        let mut client = server.client().await;
        let () =
            redis::cmd("CONFIG").arg(&["SET", "write-timeout", "1"]).exec_async(&mut client).await.unwrap();
        // Of whichever shard; each takes some milliseconds.
        for key in 0..8 {
            let mut long = redis::cmd("HSET");
            long.arg(key);
            (0..20_000).for_each(|field| _ = long.arg(field).arg("a value of some bytes"));
            let new: usize = long.query_async(&mut client).await.unwrap();
            assert_eq!(new, 20_000);
        }
    }
}

#[tokio::test]
async fn an_orderly_restart_keeps_everything() {
    for fsync in SYNC {
        let mut server = Server::start_new(&[("appendfsync", fsync), ("shards", "2")]).await;
        write(&server, 0..500).await;
        let mut client = server.client().await;
        let () = client.del("key:7").await.unwrap();
        let () = client.append("key:8", "!").await.unwrap();
        server.restart().await;
        let mut client = server.client().await;
        assert_eq!(client.get::<_, Option<String>>("key:7").await.unwrap(), None);
        assert_eq!(client.get::<_, String>("key:8").await.unwrap(), "8!");
        let () = client.mset(&[("key:7", 7), ("key:8", 8)]).await.unwrap();
        server.restart().await;
        assert_holds(&server, 0..500).await;
        assert_eq!(redis::cmd("DBSIZE").query_async::<i64>(&mut server.client().await).await.unwrap(), 501);
    }
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_by_kill_9() {
    for fsync in SYNC {
        for shards in ["1", "4"] {
            let mut server = Server::start_new(&[("appendfsync", fsync), ("shards", shards)]).await;
            for _ in 0..3 {
                kill_under_load(&mut server).await;
            }
        }
    }
}

/// Clients count up; the node is killed while they do.
pub async fn kill_under_load(server: &mut Server) {
    const CLIENTS: usize = 4;
    const KEYS: usize = 10;
    let acknowledged: Arc<Vec<AtomicUsize>> =
        Arc::new((0..CLIENTS * KEYS).map(|_| AtomicUsize::new(0)).collect());
    let mut tasks = Vec::new();
    for number in 0..CLIENTS {
        let mut client = server.client().await;
        let acknowledged = acknowledged.clone();
        tasks.push(tokio::spawn(async move {
            for value in 1.. {
                let keys = number * KEYS..(number + 1) * KEYS;
                if number == 0 {
                    // All keys of this one at once: they lie on all shards.
                    let pairs: Vec<_> = keys.clone().map(|key| (format!("count:{key}"), value)).collect();
                    if client.mset::<_, _, ()>(&pairs).await.is_err() {
                        return;
                    }
                    keys.for_each(|key| acknowledged[key].store(value, Ordering::Relaxed));
                    continue;
                }
                for key in keys {
                    if client.set::<_, _, ()>(format!("count:{key}"), value).await.is_err() {
                        return;
                    }
                    acknowledged[key].store(value, Ordering::Relaxed);
                }
            }
        }));
    }
    eventually("every client has written a while", async || {
        let least = acknowledged.iter().map(|value| value.load(Ordering::Relaxed)).min().unwrap_or(0);
        if least >= 20 { Ok(()) } else { Err(format!("{least} times")) }
    })
    .await;
    server.kill();
    for task in tasks {
        task.await.unwrap();
    }
    server.start().await;
    let mut client = server.client().await;
    for (key, value) in acknowledged.iter().enumerate() {
        let held: usize = client.get(format!("count:{key}")).await.unwrap();
        let known = value.load(Ordering::Relaxed);
        // The one after it was sent, and may or may not have been written.
        assert!(held == known || held == known + 1, "count:{key} holds {held}, acknowledged was {known}");
    }
}

#[tokio::test]
async fn a_node_may_start_with_another_number_of_shards() {
    let mut server = Server::start_new(&[("shards", "1")]).await;
    let mut written = 0;
    for (round, shards) in ["4", "3", "1", "5"].into_iter().enumerate() {
        write(&server, written..written + 200).await;
        written += 200;
        if round % 2 == 0 {
            server.kill();
        } else {
            server.stop().await;
        }
        server.set("shards", shards);
        server.start().await;
        for first in (0..written).step_by(200) {
            assert_holds(&server, first..first + 200).await;
        }
        // What the new logs hold is right too.
        server.crash_and_restart().await;
        for first in (0..written).step_by(200) {
            assert_holds(&server, first..first + 200).await;
        }
    }
}

#[tokio::test]
async fn without_a_log_or_a_checkpoint_a_restart_is_empty() {
    let mut server = Server::start_new(&[("appendonly", "no"), ("shards", "2")]).await;
    write(&server, 0..100).await;
    assert!(server.log().contains("no log: a restart finds the last checkpoint, if any"), "{}", server.log());
    server.restart().await;
    assert_eq!(redis::cmd("DBSIZE").query_async::<i64>(&mut server.client().await).await.unwrap(), 0);
    write(&server, 0..100).await;
    server.crash_and_restart().await;
    assert_eq!(redis::cmd("DBSIZE").query_async::<i64>(&mut server.client().await).await.unwrap(), 0);
}

#[tokio::test]
async fn what_expired_while_the_node_was_down_does_not_come_back() {
    let mut server = Server::start_new(&[]).await;
    let mut client = server.client().await;
    let () = client.set("stays", "x").await.unwrap();
    let at = std::time::SystemTime::now() + std::time::Duration::from_millis(300);
    let unix_ms = at.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let () = redis::cmd("SET")
        .arg("goes")
        .arg("x")
        .arg("PXAT")
        .arg(unix_ms)
        .query_async(&mut client)
        .await
        .unwrap();
    server.kill();
    eventually(
        "its time has come",
        async || {
            if std::time::SystemTime::now() > at { Ok(()) } else { Err("not yet") }
        },
    )
    .await;
    server.start().await;
    let mut client = server.client().await;
    assert_eq!(
        client.mget::<_, Vec<Option<String>>>(&["goes", "stays"]).await.unwrap(),
        [None, Some("x".into())]
    );
}

#[tokio::test]
async fn flushing_lasts() {
    let mut server = Server::start_new(&[("shards", "3")]).await;
    write(&server, 0..300).await;
    let () = redis::cmd("FLUSHALL").query_async(&mut server.client().await).await.unwrap();
    write(&server, 1_000..1_010).await;
    server.crash_and_restart().await;
    assert_eq!(redis::cmd("DBSIZE").query_async::<i64>(&mut server.client().await).await.unwrap(), 11);
    assert_holds(&server, 1_000..1_010).await;
}

#[tokio::test]
async fn shutdown_closes_the_connection_without_a_reply_and_keeps_everything() {
    let mut server = Server::start_new(&[("shards", "2")]).await;
    let mut raw = server.raw().await;
    raw.call("SET kept yes").await;
    raw.send(b"SHUTDOWN\r\n").await;
    assert_eq!(String::from_utf8_lossy(&raw.until_closed().await), "");
    server.await_end().await;
    server.start().await;
    assert_eq!(bulk(server.raw().await.call("GET kept").await), b"yes");
}

/// A node with so much in its log that reading it takes a while. It does not run.
async fn node_with_a_long_log(shards: &str) -> Server {
    let mut server = Server::start_new(&[("appendfsync", "no"), ("shards", shards)]).await;
    let mut raw = server.raw().await;
    for round in 0..LONG_LOG_KEYS / 1000 {
        let mut requests = Vec::new();
        for n in 0..1000 {
            let (key, value) = (format!("long:{}", round * 1000 + n), [b'x'; 100]);
            carousel_protocol::resp::encode_request(&mut requests, &[b"SET", key.as_bytes(), &value]);
        }
        raw.send(&requests).await;
        for _ in 0..1000 {
            assert_eq!(raw.reply().await.as_str(), Some("OK"));
        }
    }
    server.kill();
    server
}

const LONG_LOG_KEYS: usize = 100_000;

/// Connects as soon as the node listens.
async fn connect_at_once(server: &Server) -> carousel_tests::Raw {
    eventually("the node listens", async || {
        carousel_tests::Raw::connect(server.port()).await.map_err(|error| error.to_string())
    })
    .await
}

#[tokio::test]
async fn a_node_that_reads_its_log_says_so_and_answers_what_needs_no_keys() {
    let mut server = node_with_a_long_log("2").await;
    server.spawn();
    let mut raw = connect_at_once(&server).await;
    let info = String::from_utf8(bulk(raw.call("INFO persistence").await)).unwrap();
    assert!(info.contains("\r\nloading:1\r\n") && info.contains("\r\nloading_total_bytes:"), "{info}");
    for command in
        ["PING", "GET long:1", "SET long:1 y", "MGET long:1 long:2", "DBSIZE", "KEYS *", "CONFIG GET x"]
    {
        let reply = raw.call(command).await;
        let allowed = command.starts_with("CONFIG");
        let loading = Some("LOADING Redis is loading the dataset in memory");
        assert_eq!(reply.as_error(), if allowed { None } else { loading }, "{command}");
    }
    server.await_answer().await;
    assert_eq!(bulk(raw.call("GET long:1").await), [b'x'; 100]);
    assert_eq!(raw.call("DBSIZE").await, carousel_protocol::resp::Reply::Integer(LONG_LOG_KEYS as i64));
    assert!(bulk(raw.call("INFO persistence").await).windows(11).any(|line| line == b"\r\nloading:0"));
    assert!(server.log().contains("read the log in"), "{}", server.log());
}

#[tokio::test]
async fn a_node_that_is_stopped_while_it_reads_its_log_leaves_it_as_it_was() {
    let mut server = node_with_a_long_log("1").await;
    for shards in ["1", "3"] {
        server.set("shards", shards);
        server.spawn();
        let mut raw = connect_at_once(&server).await;
        assert!(raw.call("PING").await.as_error().is_some_and(|text| text.starts_with("LOADING")));
        raw.send(b"SHUTDOWN\r\n").await;
        assert_eq!(String::from_utf8_lossy(&raw.until_closed().await), "");
        server.await_end().await;
        assert!(server.log().contains("stopped before what is on disk was read"), "{}", server.log());
    }
    server.start().await;
    assert_eq!(
        redis::cmd("DBSIZE").query_async::<usize>(&mut server.client().await).await.unwrap(),
        LONG_LOG_KEYS
    );
}
