//! fred, the other widespread Rust client, against one node: what applications do with it.

use std::collections::{BTreeSet, HashMap};

use carousel_tests::{LIMIT, Server, eventually};
use fred::prelude::*;
use fred::types::scan::Scanner;
use fred::types::{ClusterHash, CustomCommand, Expiration, RespVersion, SetOptions, Value};
use futures::TryStreamExt;

/// A client of `node` that speaks `version`, ready.
async fn connect(node: &Server, version: RespVersion) -> Client {
    let config = Config {
        server: ServerConfig::new_centralized("127.0.0.1", node.port()),
        version,
        ..Config::default()
    };
    let client = Builder::from_config(config)
        .with_performance_config(|performance| performance.default_command_timeout = LIMIT)
        .set_policy(ReconnectPolicy::new_constant(0, 20))
        .build()
        .expect("the options are sound");
    client.init().await.expect("the node takes clients");
    client
}

const VERSIONS: [RespVersion; 2] = [RespVersion::RESP2, RespVersion::RESP3];

#[tokio::test]
async fn values_of_all_types_come_back_as_they_were_sent() {
    for version in VERSIONS {
        let node = Server::start_new(&[("shards", "2")]).await;
        let client = connect(&node, version).await;
        let bytes: Vec<u8> = (0..=255).rev().collect();
        let () = client.set("k", bytes.as_slice(), None, None, false).await.unwrap();
        assert_eq!(client.get::<Vec<u8>, _>("k").await.unwrap(), bytes);
        let set = client.set::<Option<String>, _, _>(
            "k",
            "v",
            Some(Expiration::EX(100)),
            Some(SetOptions::NX),
            false,
        );
        assert_eq!(set.await.unwrap(), None, "it is there");
        let () = client.set("k", "v", Some(Expiration::EX(100)), None, false).await.unwrap();
        assert_eq!(client.ttl::<i64, _>("k").await.unwrap(), 100);
        assert_eq!(client.incr_by_float::<f64, _>("n", 1.5).await.unwrap(), 1.5);

        let () = client.hset("h", [("a", 1), ("b", 2)]).await.unwrap();
        let fields: HashMap<String, i64> = client.hgetall("h").await.unwrap();
        assert_eq!(fields, HashMap::from([("a".into(), 1), ("b".into(), 2)]));
        let () = client.rpush("l", vec!["x", "y", "z"]).await.unwrap();
        assert_eq!(client.lrange::<Vec<String>, _>("l", -2, -1).await.unwrap(), ["y", "z"]);
        let () = client.sadd("s", vec!["a", "b", "a"]).await.unwrap();
        assert_eq!(
            client.smembers::<BTreeSet<String>, _>("s").await.unwrap(),
            BTreeSet::from(["a".into(), "b".into()])
        );
        let scores = vec![(1.5, "a"), (f64::INFINITY, "b")];
        let () = client.zadd("z", None, None, false, false, scores).await.unwrap();
        assert_eq!(client.zscore::<f64, _, _>("z", "b").await.unwrap(), f64::INFINITY);
        let members: Vec<(String, f64)> = client.zrange("z", 0, -1, None, false, None, true).await.unwrap();
        assert_eq!(members, [("a".to_owned(), 1.5), ("b".to_owned(), f64::INFINITY)]);

        let error = client.lpush::<i64, _, _>("h", "x").await.unwrap_err();
        assert!(error.details().starts_with("WRONGTYPE"), "{error:?}");
        client.quit().await.unwrap();
    }
}

#[tokio::test]
async fn pipelines_answer_in_their_order() {
    let node = Server::start_new(&[("shards", "2")]).await;
    let client = connect(&node, RespVersion::RESP3).await;
    let pipeline = client.pipeline();
    for n in 0..500 {
        let () = pipeline.set(format!("k:{n}"), n, None, None, false).await.unwrap();
        let () = pipeline.get(format!("k:{n}")).await.unwrap();
    }
    let replies: Vec<Value> = pipeline.all().await.unwrap();
    let values: Vec<i64> = replies.iter().skip(1).step_by(2).map(|value| value.as_i64().unwrap()).collect();
    assert_eq!(values, (0..500).collect::<Vec<_>>());
}

#[tokio::test]
async fn scans_see_every_key_and_field() {
    let node = Server::start_new(&[("shards", "2")]).await;
    let client = connect(&node, RespVersion::RESP3).await;
    let names: BTreeSet<String> = (0..2_000).map(|n| format!("k:{n}")).collect();
    let pairs: Vec<(String, i64)> = names.iter().map(|name| (name.clone(), 1)).collect();
    let () = client.mset(pairs.clone()).await.unwrap();
    let keys: Vec<_> = client.scan_buffered("k:*", Some(100), None).try_collect().await.unwrap();
    let seen: BTreeSet<String> = keys.iter().map(|key| key.as_str_lossy().into_owned()).collect();
    assert_eq!(seen, names);
    let () = client.hset("h", pairs).await.unwrap();
    let mut seen = BTreeSet::new();
    let mut pages = std::pin::pin!(client.hscan("h", "*", Some(100)));
    while let Some(mut page) = pages.try_next().await.unwrap() {
        let Some(fields) = page.take_results() else { break };
        seen.extend(fields.inner().into_keys().map(|field| field.as_str_lossy().into_owned()));
        page.next();
    }
    assert_eq!(seen, names);
}

#[tokio::test]
async fn a_client_whose_connection_was_cut_goes_on() {
    let node = Server::start_new(&[]).await;
    let client = connect(&node, RespVersion::RESP3).await;
    let () = client.set("k", 1, None, None, false).await.unwrap();
    let id: i64 = client.client_id().await.unwrap();
    let killed = node.raw().await.call(&format!("CLIENT KILL ID {id}")).await;
    assert_eq!(killed.as_integer(), Some(1));
    eventually("it has another connection", async || {
        let now: i64 = client.client_id().await.map_err(|error| error.to_string())?;
        if now == id { Err("the same".to_owned()) } else { Ok(()) }
    })
    .await;
    assert_eq!(client.incr::<i64, _>("k").await.unwrap(), 2);
}

#[tokio::test]
async fn commands_that_it_does_not_know_are_sent_as_they_are() {
    let node = Server::start_new(&[]).await;
    let client = connect(&node, RespVersion::RESP2).await;
    let command = CustomCommand::new_static("OBJECT", ClusterHash::FirstKey, false);
    let () = client.set("k", 12, None, None, false).await.unwrap();
    let encoding: String = client.custom(command, vec!["ENCODING", "k"]).await.unwrap();
    assert_eq!(encoding, "int");
}
