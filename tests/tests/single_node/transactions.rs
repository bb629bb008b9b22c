//! Transactions, commands over several slots and shards, and clients that wait for elements.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use carousel_protocol::resp::Reply;
use carousel_tests::wait::same;
use carousel_tests::{Server, eventually};

use crate::each_kind;

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

fn at_least(least: u64, seen: u64) -> Result<(), String> {
    if seen >= least { Ok(()) } else { Err(format!("{seen} of {least}")) }
}

#[tokio::test]
async fn commands_on_keys_of_all_shards_work_as_on_one_server() {
    for server in each_kind().await {
        let mut client = server.raw().await;
        for (words, reply) in [
            ("MSET a 1 b 2 c 3 d 4 e 5 f 6", Reply::Simple("OK".into())),
            ("MSETNX x 1 y 2 a 3", Reply::Integer(0)),
            ("MSETNX x 1 y 2 z 3", Reply::Integer(1)),
            ("EXISTS a b c d e f x y z none", Reply::Integer(9)),
            ("DEL a b x none", Reply::Integer(3)),
            ("SADD s1 a b c", Reply::Integer(3)),
            ("SADD s2 b c d", Reply::Integer(3)),
            ("SADD s3 c", Reply::Integer(1)),
            ("SINTER s1 s2 s3", Reply::Array(vec![bulk("c")])),
            ("SUNIONSTORE union s1 s2 s3", Reply::Integer(4)),
            ("SMOVE s1 s3 a", Reply::Integer(1)),
            (
                "SMOVE s1 c a",
                Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".into()),
            ),
            ("RENAME union renamed", Reply::Simple("OK".into())),
            ("SCARD renamed", Reply::Integer(4)),
            ("COPY renamed copied", Reply::Integer(1)),
            ("RPUSH l1 1 2 3", Reply::Integer(3)),
            ("LMOVE l1 l2 LEFT RIGHT", bulk("1")),
            ("RPOPLPUSH l1 l3", bulk("3")),
            ("LMPOP 3 none l3 l1 LEFT", Reply::Array(vec![bulk("l3"), Reply::Array(vec![bulk("3")])])),
            ("ZADD z1 1 a 2 b", Reply::Integer(2)),
            ("ZADD z2 10 a", Reply::Integer(1)),
            ("ZUNIONSTORE z3 2 z1 z2", Reply::Integer(2)),
            ("ZSCORE z3 a", bulk("11")),
            ("MSET w_1 3 w_2 2 w_3 1", Reply::Simple("OK".into())),
            ("RPUSH ids 1 2 3", Reply::Integer(3)),
            ("SORT ids BY w_* STORE sorted", Reply::Integer(3)),
            ("LRANGE sorted 0 -1", Reply::Array(vec![bulk("3"), bulk("2"), bulk("1")])),
            ("BITOP OR bits w_1 w_2", Reply::Integer(1)),
            ("SWAPDB 0 1", Reply::Simple("OK".into())),
            ("DBSIZE", Reply::Integer(0)),
            ("SWAPDB 0 1", Reply::Simple("OK".into())),
            ("FLUSHALL", Reply::Simple("OK".into())),
            ("DBSIZE", Reply::Integer(0)),
        ] {
            assert_eq!(client.call(words).await, reply, "{words}");
        }
    }
}

/// Writers set all keys to one value, by MSET and by EXEC in turns; readers must never see two.
#[tokio::test]
async fn nobody_sees_half_of_a_transaction() {
    const KEYS: usize = 8;
    for server in each_kind().await {
        let (over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let names: Vec<String> = (0..KEYS).map(|n| format!("key:{n}")).collect();
        let mut tasks = Vec::new();
        for writer in 0..3 {
            let (mut client, over, names) = (server.raw().await, over.clone(), names.clone());
            tasks.push(tokio::spawn(async move {
                let mut round = 0;
                while !over.load(Ordering::Relaxed) {
                    round += 1;
                    let value = format!("{writer}-{round}");
                    if round % 2 == 0 {
                        let pairs: Vec<_> = names.iter().map(|name| format!("{name} {value}")).collect();
                        let reply = client.call(&format!("MSET {}", pairs.join(" "))).await;
                        assert_eq!(reply, Reply::Simple("OK".into()));
                        continue;
                    }
                    client.call("MULTI").await;
                    for name in &names {
                        client.call(&format!("SET {name} {value}")).await;
                    }
                    let reply = client.call("EXEC").await;
                    assert_eq!(reply, Reply::Array(vec![Reply::Simple("OK".into()); KEYS]));
                }
            }));
        }
        for _ in 0..3 {
            let (mut client, over, rounds) = (server.raw().await, over.clone(), rounds.clone());
            let mget = format!("MGET {}", names.join(" "));
            tasks.push(tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let Reply::Array(values) = client.call(&mget).await else {
                        panic!("MGET answers an array")
                    };
                    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        eventually("many readers have looked", async || at_least(500, rounds.load(Ordering::Relaxed))).await;
        over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.unwrap();
        }
    }
}

/// The node is killed while writers set groups of keys; afterwards each group has one value, the last acknowledged or a
/// later one.
#[tokio::test]
async fn after_kill_9_a_transaction_is_there_wholly_or_not_at_all() {
    const KEYS: usize = 6;
    const WRITERS: u64 = 4;
    for shards in ["1", "3"] {
        let mut server = Server::start_new(&[("shards", shards)]).await;
        let acknowledged: Vec<_> = (0..WRITERS).map(|_| Arc::new(AtomicU64::new(0))).collect();
        for _ in 0..6 {
            let mut tasks = Vec::new();
            for (writer, acknowledged) in acknowledged.iter().enumerate() {
                let (mut client, acknowledged) = (server.raw().await, acknowledged.clone());
                tasks.push(tokio::spawn(async move {
                    loop {
                        let value = (acknowledged.load(Ordering::Relaxed) + 1).to_string();
                        let mut args: Vec<Vec<u8>> = vec![b"MSET".to_vec()];
                        for n in 0..KEYS {
                            args.extend([
                                format!("group:{writer}:{n}").into_bytes(),
                                value.clone().into_bytes(),
                            ]);
                        }
                        let args: Vec<_> = args.iter().map(Vec::as_slice).collect();
                        match client.try_call(&args).await {
                            Ok(reply) => assert_eq!(reply, Reply::Simple("OK".into())),
                            Err(_) => return,
                        }
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                }));
            }
            let before: u64 = acknowledged.iter().map(|count| count.load(Ordering::Relaxed)).sum();
            eventually("all write", async || {
                at_least(before + 200, acknowledged.iter().map(|count| count.load(Ordering::Relaxed)).sum())
            })
            .await;
            server.crash_and_restart().await;
            for task in tasks {
                task.await.unwrap();
            }
            let mut client = server.raw().await;
            for (writer, acknowledged) in acknowledged.iter().enumerate() {
                let names: Vec<_> = (0..KEYS).map(|n| format!("group:{writer}:{n}")).collect();
                let Reply::Array(values) = client.call(&format!("MGET {}", names.join(" "))).await else {
                    panic!("MGET answers an array")
                };
                assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
                let held = values[0]
                    .as_bytes()
                    .map_or(0, |text| String::from_utf8_lossy(text).parse::<u64>().unwrap());
                let known = acknowledged.load(Ordering::Relaxed);
                assert!(held == known || held == known + 1, "{held} where {known} was acknowledged");
                acknowledged.store(held, Ordering::Relaxed);
            }
        }
    }
}

#[tokio::test]
async fn a_watched_key_that_changes_anywhere_stops_exec() {
    for server in each_kind().await {
        let (mut client, mut other) = (server.raw().await, server.raw().await);
        for change in ["SET k2 x", "DEL k2", "EXPIRE k2 100", "FLUSHALL", "MSET k9 1 k2 1"] {
            other.call("MSET k1 1 k2 1").await;
            client.call("WATCH k1 k2 k3").await;
            other.call("GET k2").await;
            client.call("MULTI").await;
            client.call("SET done 1").await;
            other.call(change).await;
            assert_eq!(client.call("EXEC").await, Reply::Null, "{change}");
            client.call("MULTI").await;
            client.call("PING").await;
            assert_eq!(
                client.call("EXEC").await,
                Reply::Array(vec![Reply::Simple("PONG".into())]),
                "it is over"
            );
        }
        assert_eq!(client.call("EXISTS done").await, Reply::Integer(0));
    }
}

/// Consumers wait on four lists, a producer pushes to each; every element is taken once. The end is in the list that is
/// looked at last.
#[tokio::test]
async fn each_element_is_popped_once_by_those_who_wait() {
    const ELEMENTS: usize = 400;
    for server in each_kind().await {
        let (sender, mut taken) = tokio::sync::mpsc::unbounded_channel();
        let mut consumers = Vec::new();
        for _ in 0..5 {
            let (mut client, sender) = (server.raw().await, sender.clone());
            consumers.push(tokio::spawn(async move {
                loop {
                    let Reply::Array(popped) = client.call("BLPOP q1 q2 q3 q4 end 0").await else {
                        panic!("a pair")
                    };
                    let element = String::from_utf8(popped[1].as_bytes().unwrap().to_vec()).unwrap();
                    if element == "end" {
                        return;
                    }
                    sender.send(element).unwrap();
                }
            }));
        }
        let mut producer = server.raw().await;
        for n in 0..ELEMENTS {
            producer.call(&format!("RPUSH q{} {n}", n % 4 + 1)).await;
        }
        for _ in &consumers {
            producer.call("RPUSH end end").await;
        }
        for consumer in consumers {
            consumer.await.unwrap();
        }
        drop(sender);
        let mut all = Vec::new();
        while let Some(element) = taken.recv().await {
            all.push(element.parse::<usize>().unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (0..ELEMENTS).collect::<Vec<_>>());
        assert_eq!(producer.call("EXISTS q1 q2 q3 q4").await, Reply::Integer(0));
    }
}

/// Waits until so many clients wait.
async fn blocked(server: &Server, count: usize) {
    eventually("clients wait", async || same(server.info("blocked_clients").await, count.to_string())).await;
}

#[tokio::test]
async fn a_client_that_has_gone_takes_nothing() {
    for server in each_kind().await {
        let mut gone = server.raw().await;
        let waits = async { gone.try_call(&[b"BLPOP", b"a", b"b", b"c", b"0"]).await };
        // Given up once it waits, and with it the connection.
        tokio::select! {
            reply = waits => panic!("there is nothing to pop, and yet {reply:?}"),
            () = blocked(&server, 1) => {}
        }
        drop(gone);
        blocked(&server, 0).await;
        let mut client = server.raw().await;
        client.call("RPUSH b x").await;
        assert_eq!(client.call("LRANGE b 0 -1").await, Reply::Array(vec![bulk("x")]));
    }
}

#[tokio::test]
async fn moves_between_shards_wait_in_their_turn() {
    for server in each_kind().await {
        let (mut first, mut second, mut producer) =
            (server.raw().await, server.raw().await, server.raw().await);
        let first = tokio::spawn(async move { first.call("BLMOVE source target LEFT RIGHT 0").await });
        blocked(&server, 1).await;
        let second = tokio::spawn(async move { second.call("BLPOP source 0").await });
        blocked(&server, 2).await;
        producer.call("RPUSH source 1").await;
        assert_eq!(first.await.unwrap(), bulk("1"));
        producer.call("RPUSH source 2").await;
        assert_eq!(second.await.unwrap(), Reply::Array(vec![bulk("source"), bulk("2")]));
        assert_eq!(producer.call("LRANGE target 0 -1").await, Reply::Array(vec![bulk("1")]));
        let started = std::time::Instant::now();
        assert_eq!(producer.call("BLMOVE source target LEFT RIGHT 0.2").await, Reply::Null);
        assert!(started.elapsed() >= Duration::from_millis(200));
        assert_eq!(producer.call("BZPOPMIN source other 0.01").await, Reply::Null);
        // What was sent meanwhile is answered afterwards.
        let mut patient = server.raw().await;
        patient.send(b"BLPOP later 0\r\nPING\r\n").await;
        blocked(&server, 1).await;
        producer.call("LPUSH later x").await;
        assert_eq!(patient.reply().await, Reply::Array(vec![bulk("later"), bulk("x")]));
        assert_eq!(patient.reply().await, Reply::Simple("PONG".into()));
    }
}

#[tokio::test]
async fn a_waiting_client_can_be_told_to_stop() {
    for server in each_kind().await {
        let mut admin = server.raw().await;
        for (how, answer) in [
            ("", Reply::Null),
            (" TIMEOUT", Reply::Null),
            (" ERROR", Reply::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".into())),
        ] {
            let mut patient = server.raw().await;
            let Reply::Integer(id) = patient.call("CLIENT ID").await else { panic!("an id") };
            let unblock = format!("CLIENT UNBLOCK {id}{how}");
            assert_eq!(admin.call(&unblock).await, Reply::Integer(0), "it does not wait");
            let waits = tokio::spawn(async move { patient.call("BLPOP a b c 0").await });
            blocked(&server, 1).await;
            assert_eq!(admin.call(&unblock).await, Reply::Integer(1));
            assert_eq!(waits.await.unwrap(), answer, "{how}");
            blocked(&server, 0).await;
        }
        assert_eq!(admin.call("RPUSH a 1").await, Reply::Integer(1), "nobody takes it");
    }
}

#[tokio::test]
async fn paused_writes_wait_also_those_of_transactions_and_reads_go_on() {
    for server in each_kind().await {
        let (mut admin, mut early) = (server.raw().await, server.raw().await);
        for words in ["MULTI", "INCR a", "INCR b"] {
            early.call(words).await;
        }
        let mut reads = server.raw().await;
        for words in ["MULTI", "GET a"] {
            reads.call(words).await;
        }
        assert_eq!(admin.call("CLIENT PAUSE 60000 WRITE").await, Reply::Simple("OK".into()));
        let early = tokio::spawn(async move { early.call("EXEC").await });
        blocked(&server, 1).await;
        let mut late = server.raw().await;
        let late = tokio::spawn(async move { late.call("INCR a").await });
        blocked(&server, 2).await;
        assert_eq!(reads.call("EXEC").await, Reply::Array(vec![Reply::Null]), "nothing was written");
        assert_eq!(admin.call("EXISTS a b").await, Reply::Integer(0));
        assert_eq!(admin.call("CLIENT UNPAUSE").await, Reply::Simple("OK".into()));
        let both = (early.await.unwrap(), late.await.unwrap());
        let (first, second) = (Reply::Integer(1), Reply::Integer(2));
        let early_first = (Reply::Array(vec![first.clone(), first.clone()]), second.clone());
        let late_first = (Reply::Array(vec![second, first.clone()]), first);
        assert!(both == early_first || both == late_first, "{both:?}");
        blocked(&server, 0).await;
    }
}

#[tokio::test]
async fn each_command_of_a_client_is_counted_once_wherever_its_keys_are() {
    for server in each_kind().await {
        let mut client = server.raw().await;
        client.call("CONFIG RESETSTAT").await;
        for words in [
            "MSET a 1 b 2 c 3 d 4",
            "SADD s1 x y",
            "SMOVE s1 s2 x",
            "MULTI",
            "INCR a",
            "INCR b",
            "LPUSH c nothing",
            "EXEC",
            "BLPOP c l1 l2 0",
        ] {
            client.call(words).await;
        }
        let stats = carousel_tests::bulk(client.call("INFO commandstats").await);
        let stats = String::from_utf8(stats).expect("INFO is text");
        let counts = |name: &str, field: &str| {
            let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
            let line = line.unwrap_or_else(|| panic!("{name} in {stats}"));
            let value = line.split([':', ',']).find_map(|part| part.strip_prefix(&format!("{field}=")));
            value.expect("the field").parse::<u64>().expect("a number")
        };
        for (name, calls, failed) in [
            ("mset", 1, 0),
            ("sadd", 1, 0),
            ("smove", 1, 0),
            ("incr", 2, 0),
            ("lpush", 1, 1),
            ("exec", 1, 0),
            ("blpop", 1, 1),
        ] {
            assert_eq!(
                (counts(name, "calls"), counts(name, "failed_calls")),
                (calls, failed),
                "calls and failures of {name}"
            );
        }
        assert!(!stats.contains("cmdstat_type:"), "what a command is made of is not counted: {stats}");
    }
}
