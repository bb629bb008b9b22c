//! `cluster-admin load` with one node.

use std::collections::BTreeSet;

use carousel_tests::Server;
use carousel_tests::cluster::try_admin;
use serde_json::Value;

/// What `load` reports of each phase: the commands that it sent.
async fn load(node: &Server, line: &str) -> Vec<BTreeSet<String>> {
    let words: Vec<&str> = std::iter::once("load").chain(line.split(' ')).chain(["--json"]).collect();
    let said = try_admin(node, &words).await;
    assert_eq!(said.code, 0, "{said:?}");
    let report: Value = serde_json::from_str(&said.out).expect("the report is JSON");
    assert_eq!((&report["errors"], &report["violations"]), (&0.into(), &0.into()), "{report}");
    let phases = report["phases"].as_array().expect("phases");
    let operations = |phase: &Value| phase["operations"].as_array().expect("operations").clone();
    let name = |row: &Value| row["operation"].as_str().expect("a name").to_owned();
    phases.iter().map(|phase| operations(phase).iter().map(name).collect()).collect()
}

fn names(text: &str) -> BTreeSet<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn a_load_of_all_types_is_filled_mixed_and_verified() {
    let node = Server::start_new(&[("shards", "2")]).await;
    let line = "--types all --keys 500 --items 20 --fill --closed --pipeline 8 --duration 500ms --mix 1:1 \
                --value-size 60-90 --distribution zipf --verify";
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let phases = load(&node, &line).await;
    assert_eq!(phases[0], names("SET HSET RPUSH SADD ZADD all"));
    let mixed = "GET SET HGET HSET LRANGE RPUSH LPOP SISMEMBER SADD SREM ZSCORE ZRANGE ZADD all";
    assert_eq!(phases[1], names(mixed));
    assert_eq!(phases[2], names("GET HGETALL LRANGE SMEMBERS ZRANGE all"));
    let mut raw = node.raw().await;
    for (key, kind) in
        [("load:0000000000", "string"), ("load:hash:0000000001", "hash"), ("load:zset:0000000004", "zset")]
    {
        assert_eq!(raw.call(&format!("TYPE {key}")).await.as_str(), Some(kind), "{key}");
    }
    assert_eq!(raw.call("HLEN load:hash:0000000001").await.as_integer(), Some(20));
}

#[tokio::test]
async fn a_hot_slot_is_one_slot() {
    let node = Server::start_new(&[("shards", "2")]).await;
    load(&node, "--keys 200 --fill --distribution hot-slot --rate 1000 --duration 200ms --verify").await;
    let mut raw = node.raw().await;
    let slot = raw.call("CLUSTER KEYSLOT load:").await.as_integer().expect("a slot");
    assert_eq!(raw.call(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).await.as_integer(), Some(200));
    assert_eq!(raw.call("DBSIZE").await.as_integer(), Some(200));
}
