//! Three nodes and more, through stock clients and the operator's tool.

mod fred;
mod growth;
mod playground;
mod prompt;
mod topology;

use carousel_tests::{Cluster, Server, eventually, keys};
use redis::AsyncCommands;

#[tokio::test]
async fn an_acknowledged_write_is_in_the_logs_of_a_quorum() {
    let mut cluster = Cluster::create(3).await;
    let client = cluster.client().await;
    let mut values = Vec::new();
    for n in 0..50 {
        // Found in a log by its bytes, wherever they lie.
        let value = format!("<unmistakable value {n}>");
        let () = client.clone().set(format!("key:{n}"), &value).await.unwrap();
        values.push(value);
        if n % 10 == 9 {
            // Nothing that would come after the acknowledgement counts.
            cluster.kill_all();
            let logs: Vec<Vec<u8>> = cluster
                .nodes
                .iter()
                .map(|node| node.log_files().into_iter().flat_map(|(_, bytes)| bytes).collect())
                .collect();
            for value in &values {
                let copies = logs.iter().filter(|log| contains(log, value.as_bytes())).count();
                assert!(copies >= 2, "{value} is in the logs of {copies} nodes");
            }
            cluster.start_all().await;
            cluster.await_service().await;
        }
    }
}

fn contains(log: &[u8], needle: &[u8]) -> bool {
    log.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn every_node_comes_to_hold_every_key() {
    let cluster = Cluster::create(3).await;
    keys::write(&cluster, 1_000).await;
    keys::assert_right(&cluster, 1_000).await;
    for node in &cluster.nodes {
        eventually(format!("{} holds its copies", node.address()), async || {
            let probe = carousel_tests::bulk(node.raw().await.call("CAROUSEL PROBE").await);
            let probe: serde_json::Value =
                serde_json::from_slice(&probe).map_err(|error| error.to_string())?;
            carousel_tests::wait::same(probe["keys"].as_u64(), Some(1_000))
        })
        .await;
    }
    let status = cluster.status().await;
    assert_eq!(status.nodes.iter().map(|node| node.keys).sum::<u64>(), 1_000, "{status:?}");
    assert!(
        status.nodes.iter().all(|node| node.slots == 16_384 && node.voter && node.reachable),
        "{status:?}"
    );
}

#[tokio::test]
async fn nodes_may_have_different_numbers_of_shards() {
    let nodes = ["1", "2", "3"].map(|shards| Server::new(&[("shards", shards)]));
    let mut cluster = Cluster::create_from(nodes.into()).await;
    keys::write(&cluster, 3_000).await;
    keys::assert_right(&cluster, 3_000).await;
    // A node's part is as large as it is.
    let led = cluster.led().await;
    assert_eq!(led.iter().sum::<u32>(), 16_384);
    for (led, part) in led.iter().zip([1, 2, 3]) {
        assert!(led.abs_diff(16_384 * part / 6) <= 1, "{led} of shares {part}/6");
    }
    // Records find the shard of their slot after any restart.
    for victim in 0..3 {
        cluster.nodes[victim].crash_and_restart().await;
        cluster.await_service().await;
        keys::assert_right(&cluster, 3_000).await;
    }
    // Also when that node has another number of shards than when it wrote them.
    cluster.nodes[2].kill();
    cluster.nodes[2].set("shards", "2");
    cluster.nodes[2].start().await;
    cluster.await_service().await;
    keys::assert_right(&cluster, 3_000).await;
}

#[tokio::test]
async fn a_key_that_expires_is_gone_on_all_copies() {
    let mut cluster = Cluster::create(3).await;
    let mut client = cluster.client().await;
    for n in 0..100 {
        let () = client.pset_ex(format!("short:{n}"), "x", 100).await.unwrap();
    }
    for node in &cluster.nodes {
        eventually(format!("{} holds none of them", node.address()), async || {
            let probe = carousel_tests::bulk(node.raw().await.call("CAROUSEL PROBE").await);
            let probe: serde_json::Value =
                serde_json::from_slice(&probe).map_err(|error| error.to_string())?;
            carousel_tests::wait::same(probe["keys"].as_u64(), Some(0))
        })
        .await;
    }
    cluster.kill_all();
    cluster.start_all().await;
    cluster.await_service().await;
    let mut client = cluster.client().await;
    for n in 0..100 {
        assert_eq!(client.get::<_, Option<String>>(format!("short:{n}")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_single_node_cluster_grows_to_three() {
    let mut cluster = Cluster::create(1).await;
    keys::write(&cluster, 2_000).await;
    for _ in 0..2 {
        cluster.add().await;
        carousel_tests::cluster::admin(&cluster.nodes[0], &["rebalance", "--wait"]).await;
        keys::assert_right(&cluster, 2_000).await;
    }
    let status = cluster.status().await;
    assert!(status.nodes.iter().all(|node| node.slots == 16_384), "every node has a copy of all: {status:?}");
    // The copies that came last are good ones: two of three acknowledge and serve what they lead.
    cluster.nodes[0].kill();
    let mut raw = cluster.nodes[1].raw().await;
    let mut written = 0;
    for n in 0..100 {
        written += usize::from(raw.call(&format!("SET key:{n} again")).await.as_str() == Some("OK"));
    }
    assert!(written > 10, "a third of the slots is led there: {written}");
}
