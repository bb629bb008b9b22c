//! What clients are told about who leads which slot.

use std::collections::{BTreeMap, BTreeSet};

use carousel_protocol::resp::Reply;
use carousel_protocol::{SlotId, key_slot};
use carousel_tests::cluster::admin;
use carousel_tests::{Cluster, Raw, bulk, eventually, keys};

/// One key for each slot, by slot.
fn a_key_of_each_slot() -> Vec<String> {
    let mut keys = BTreeMap::new();
    for n in 0.. {
        let key = format!("k{n}");
        keys.entry(key_slot(key.as_bytes())).or_insert(key);
        if keys.len() == usize::from(SlotId::COUNT) {
            break;
        }
    }
    keys.into_values().collect()
}

/// What a node answers to GETs of all keys.
async fn ask_all(raw: &mut Raw, keys: &[String]) -> Vec<Reply> {
    let mut replies = Vec::with_capacity(keys.len());
    for keys in keys.chunks(1_024) {
        let requests: String = keys.iter().map(|key| format!("GET {key}\r\n")).collect();
        raw.send(requests.as_bytes()).await;
        for _ in keys {
            replies.push(raw.reply().await);
        }
    }
    replies
}

/// Each slot is served by exactly one node, and all others send clients there and nowhere else.
async fn assert_redirects_are_right(cluster: &Cluster) {
    let keys = a_key_of_each_slot();
    let mut answers = Vec::new();
    for node in &cluster.nodes {
        answers.push(ask_all(&mut node.raw().await, &keys).await);
    }
    for slot in 0..keys.len() {
        let serving: Vec<_> = (0..answers.len()).filter(|node| answers[*node][slot] == Reply::Null).collect();
        let [primary] = serving[..] else { panic!("slot {slot} is served by {serving:?}") };
        let expected = format!("MOVED {slot} {}", cluster.nodes[primary].address());
        for node in (0..answers.len()).filter(|node| *node != primary) {
            assert_eq!(answers[node][slot].as_error(), Some(expected.as_str()), "node {node}");
        }
    }
}

/// A node's `CLUSTER NODES` without what is about the asking itself: `myself`, and times.
fn without_view(nodes: &str) -> BTreeSet<String> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split(' ').collect();
        assert!(fields.len() >= 8, "{line}");
        let flags = fields[2].replace("myself,", "");
        format!("{} {} {flags} {} {:?}", fields[0], fields[1], fields[3], &fields[6..])
    };
    nodes.lines().map(line).collect()
}

async fn assert_views_are_one(cluster: &Cluster) {
    let mut views = Vec::new();
    for node in &cluster.nodes {
        let mut raw = node.raw().await;
        let nodes = String::from_utf8(bulk(raw.call("CLUSTER NODES").await)).unwrap();
        let myself = nodes.lines().find(|line| line.contains("myself")).expect("one is itself");
        assert!(myself.contains(&node.address()), "{myself}");
        let id = String::from_utf8(bulk(raw.call("CLUSTER MYID").await)).unwrap();
        assert!(myself.starts_with(&id), "{myself}");
        let info = String::from_utf8(bulk(raw.call("CLUSTER INFO").await)).unwrap();
        let info: Vec<_> = info
            .lines()
            .filter(|line| !line.contains("my_epoch") && !line.contains("stats"))
            .map(String::from)
            .collect();
        views.push((
            raw.call("CLUSTER SLOTS").await,
            raw.call("CLUSTER SHARDS").await,
            without_view(&nodes),
            info,
        ));
    }
    for view in &views[1..] {
        assert_eq!(view.0, views[0].0, "CLUSTER SLOTS");
        assert_eq!(view.1, views[0].1, "CLUSTER SHARDS");
        assert_eq!(view.2, views[0].2, "CLUSTER NODES");
        assert_eq!(view.3, views[0].3, "CLUSTER INFO");
    }
    let covered: i64 = views[0].0.as_array().unwrap().iter().map(slots_of_row).sum();
    assert_eq!(covered, 16_384, "each slot is in exactly one row");
}

fn slots_of_row(row: &Reply) -> i64 {
    let row = row.as_array().expect("a row");
    assert_eq!(row.len(), 3, "primaries only: {row:?}");
    row[1].as_integer().unwrap() - row[0].as_integer().unwrap() + 1
}

#[tokio::test]
async fn all_nodes_tell_the_same_and_the_truth() {
    let mut cluster = Cluster::create(3).await;
    assert_redirects_are_right(&cluster).await;
    assert_views_are_one(&cluster).await;

    cluster.add().await;
    admin(&cluster.nodes[0], &["rebalance", "--wait"]).await;
    // The tool waits for its own node to know; the others hear within moments.
    for node in &cluster.nodes {
        eventually("the newcomer's slots are known", async || {
            let Reply::Array(rows) = node.raw().await.call("CLUSTER SLOTS").await else {
                return Err("no rows");
            };
            let leads = |row: &Reply| row.as_array().unwrap()[2].as_array().unwrap()[1].as_integer();
            let newcomer = cluster.nodes[3].port().into();
            let led: i64 = rows.iter().filter(|row| leads(row) == Some(newcomer)).map(slots_of_row).sum();
            if led == 4_096 { Ok(()) } else { Err("not all of them") }
        })
        .await;
    }
    assert_redirects_are_right(&cluster).await;
    assert_views_are_one(&cluster).await;

    for victim in 0..cluster.nodes.len() {
        cluster.nodes[victim].crash_and_restart().await;
    }
    cluster.await_service().await;
    assert_views_are_one(&cluster).await;
}

#[tokio::test]
async fn several_keys_must_share_a_slot() {
    let cluster = Cluster::create(3).await;
    for node in &cluster.nodes {
        let mut raw = node.raw().await;
        for command in
            ["MSET a 1 b 2", "MGET a b", "DEL a b", "EXISTS a b", "MSETNX a 1 b 2", "TOUCH a b", "UNLINK a b"]
        {
            let reply = raw.call(command).await;
            let expected = "CROSSSLOT Keys in request don't hash to the same slot";
            assert_eq!(reply.as_error(), Some(expected), "{command}");
        }
    }
    let primary = {
        let mut found = None;
        for node in &cluster.nodes {
            if node.raw().await.call("MSET {t}a 1 {t}b 2").await.as_str() == Some("OK") {
                assert!(found.replace(node).is_none(), "one node leads the slot");
            }
        }
        found.expect("a node leads the slot")
    };
    let mut raw = primary.raw().await;
    assert_eq!(raw.call("EXISTS {t}a {t}b {t}c").await.as_integer(), Some(2));
    let values = raw.call("MGET {t}a {t}c {t}b").await;
    let values: Vec<_> = values.as_array().unwrap().iter().map(Reply::as_integer).collect();
    assert_eq!(values, [Some(1), None, Some(2)]);
}

#[tokio::test]
async fn a_slot_says_its_keys_where_it_is_led() {
    let cluster = Cluster::create(3).await;
    keys::write(&cluster, 2_000).await;
    let (mut counted, mut listed) = (0, 0);
    for node in &cluster.nodes {
        let mut raw = node.raw().await;
        for slot in (0..SlotId::COUNT).step_by(16) {
            let keys = raw.call(&format!("CLUSTER GETKEYSINSLOT {slot} 100")).await;
            let Reply::Array(keys) = keys else { panic!("{keys:?}") };
            for key in &keys {
                assert_eq!(key_slot(key.as_bytes().unwrap()).get(), slot);
            }
            listed += keys.len() as i64;
            counted += raw.call(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).await.as_integer().unwrap();
        }
    }
    let expected =
        (0..2_000u32).filter(|n| key_slot(format!("key:{n}").as_bytes()).get().is_multiple_of(16)).count();
    assert_eq!((counted, listed), (expected as i64, expected as i64));
}
