//! A node joins and takes its part while clients go on.

use carousel_protocol::resp::Reply;
use carousel_tests::cluster::admin;
use carousel_tests::{Cluster, Load, collections, keys};
use redis::AsyncCommands as _;

const KEYS: u32 = 20_000;

#[tokio::test]
async fn a_fourth_node_takes_its_part_and_no_client_notices() {
    let mut cluster = Cluster::create(3).await;
    keys::write(&cluster, KEYS).await;
    collections::write(&cluster).await;
    let load = Load::start(&cluster, 4).await;
    cluster.add().await;
    assert!(admin(&cluster.nodes[3], &["rebalance", "--dry-run"]).await.contains("4,096"));
    assert_eq!(cluster.status().await.rebalance, None, "a dry run begins nothing");

    admin(&cluster.nodes[0], &["rebalance", "--wait"]).await;
    load.await_progress().await;
    let mut met = load.stop().await;
    assert_eq!(met.errors, [""; 0], "no client meets an error");
    met.assert_nothing_lost(&cluster).await;
    keys::assert_right(&cluster, KEYS).await;
    collections::assert_right(&cluster).await;

    assert_eq!(cluster.led().await, [4_096; 4]);
    let status = cluster.status().await;
    assert!(status.nodes.iter().all(|node| node.slots == 12_288), "three copies of each slot: {status:?}");
    assert_eq!((status.rebalance, status.slots_served), (None, 16_384));
    assert_eq!(
        status.nodes.iter().map(|node| node.keys).sum::<u64>(),
        u64::from(KEYS + collections::KEYS) + met.keys() as u64
    );
    assert!(admin(&cluster.nodes[0], &["rebalance"]).await.contains("nothing to do"));

    // What left a node has left its disk too, and what is on disk is enough.
    cluster.kill_all();
    cluster.start_all().await;
    cluster.await_service().await;
    keys::assert_right(&cluster, KEYS).await;
    collections::assert_right(&cluster).await;
    met.assert_nothing_lost(&cluster).await;
}

#[tokio::test]
async fn an_exec_whose_slot_has_moved_redirects_and_changes_nothing() {
    let mut cluster = Cluster::create(3).await;
    let mut open = Vec::new();
    for n in 0..90 {
        let mut raw = cluster.nodes[n % 3].raw().await;
        assert_eq!(raw.call("MULTI").await.as_str(), Some("OK"));
        if raw.call(&format!("SET queued:{n} new")).await.as_str() == Some("QUEUED") {
            open.push((n, raw));
        }
    }
    cluster.add().await;
    admin(&cluster.nodes[0], &["rebalance", "--wait"]).await;
    let mut client = cluster.client().await;
    let mut moved = 0;
    for (n, mut raw) in open {
        let executed = match raw.call("EXEC").await {
            Reply::Array(replies) => replies == [Reply::Simple("OK".into())],
            Reply::Error(text) if text.starts_with("MOVED ") => {
                moved += 1;
                assert_eq!(raw.call("EXEC").await, Reply::Error("ERR EXEC without MULTI".into()));
                false
            }
            other => panic!("EXEC answers what it did or where to go, not {other:?}"),
        };
        let value: Option<String> = client.get(format!("queued:{n}")).await.unwrap();
        assert_eq!(value.is_some(), executed, "queued:{n}");
    }
    assert!(moved > 0, "a quarter of the slots has moved");
}
