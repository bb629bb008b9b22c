//! Nodes that are killed, stand still, and return, under load: no acknowledged write is lost, and every slot is
//! served again without an operator.

mod disk;
mod quorum;
mod rebalance;

use carousel_tests::{Cluster, Load, eventually, keys};

#[tokio::test]
async fn each_node_in_turn_crashes_and_returns() {
    let mut cluster = Cluster::create(3).await;
    let load = Load::start(&cluster, 3).await;
    for victim in [0, 1, 2, 0, 1, 2] {
        cluster.nodes[victim].crash_and_restart().await;
        cluster.await_service().await;
        load.await_progress().await;
    }
    load.stop().await.assert_nothing_lost(&cluster).await;
    let status = cluster.status().await;
    assert!(status.nodes.iter().all(|node| node.incarnation == 3), "each start is counted: {status:?}");
}

#[tokio::test]
async fn a_node_stays_away_while_the_others_write() {
    let mut cluster = Cluster::create(3).await;
    let mut before = Load::start(&cluster, 2).await.stop().await;
    for victim in 0..3 {
        let led_by_others = 16_384 - cluster.led().await[victim];
        cluster.nodes[victim].kill();
        // As many of the keys as of the slots, more or less; at first a copy may not be in step again yet.
        let expected = KEYS_AWAY * led_by_others as usize / 16_384;
        let written = eventually("the others take writes", async || {
            let written = write_where_served(&cluster, victim).await;
            if written.len() > expected * 3 / 4 { Ok(written) } else { Err(written.len()) }
        })
        .await;
        cluster.nodes[victim].start().await;
        cluster.await_service().await;
        let mut client = cluster.client().await;
        for key in &written {
            let held: Option<usize> = redis::cmd("GET").arg(key).query_async(&mut client).await.unwrap();
            assert_eq!(held, Some(victim), "{key}");
        }
    }
    before.assert_nothing_lost(&cluster).await;
}

const KEYS_AWAY: usize = 300;

/// Writes keys of the slots that running nodes lead; returns those that were acknowledged.
async fn write_where_served(cluster: &Cluster, value: usize) -> Vec<String> {
    let mut written = Vec::new();
    for node in cluster.nodes.iter().filter(|node| node.is_running()) {
        let mut raw = node.raw().await;
        for n in 0..KEYS_AWAY {
            let key = format!("away:{n}");
            let reply = raw.call(&format!("SET {key} {value}")).await;
            match reply.as_error() {
                None => written.push(key),
                // Led by the other one, or by the one that is away; or the other one's copy is not in step again yet.
                Some(text) => assert!(
                    ["MOVED ", "CLUSTERDOWN ", "NOQUORUM ", "NOREPLICAS "]
                        .iter()
                        .any(|code| text.starts_with(code)),
                    "{text}"
                ),
            }
        }
    }
    written
}

#[tokio::test]
async fn all_nodes_crash_at_once_and_return() {
    let mut cluster = Cluster::create(3).await;
    keys::write(&cluster, 2_000).await;
    let load = Load::start(&cluster, 3).await;
    for backwards in [false, true] {
        cluster.kill_all();
        if backwards {
            // The last to come finds a cluster that serves without it, or one that waited for it.
            for node in cluster.nodes.iter_mut().rev() {
                node.start().await;
            }
        } else {
            cluster.start_all().await;
        }
        cluster.await_service().await;
        load.await_progress().await;
    }
    load.stop().await.assert_nothing_lost(&cluster).await;
    keys::assert_right(&cluster, 2_000).await;
}

#[tokio::test]
async fn all_nodes_are_stopped_in_order_and_return() {
    let mut cluster = Cluster::create(3).await;
    let mut met = Load::start(&cluster, 3).await.stop().await;
    assert_eq!(met.errors, [""; 0]);
    for node in &mut cluster.nodes {
        node.stop().await;
    }
    cluster.start_all().await;
    cluster.await_service().await;
    met.assert_nothing_lost(&cluster).await;
}

#[tokio::test]
async fn a_node_crashes_again_while_it_comes_back() {
    let mut cluster = Cluster::create(3).await;
    let load = Load::start(&cluster, 2).await;
    for pause_ms in [0, 20, 50, 100, 200, 400] {
        cluster.nodes[1].kill();
        cluster.nodes[1].spawn();
        // The time is what is tried here: the crash falls into different parts of its coming back.
        tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
        cluster.nodes[1].crash_and_restart().await;
    }
    cluster.await_service().await;
    load.await_progress().await;
    load.stop().await.assert_nothing_lost(&cluster).await;
}

#[tokio::test]
async fn a_node_stands_still_and_goes_on() {
    let cluster = Cluster::create(3).await;
    let load = Load::start(&cluster, 3).await;
    for (which, victim) in cluster.nodes.iter().enumerate() {
        victim.suspend();
        // The others notice, and say so; and the config group has a leader that can act.
        let other = &cluster.nodes[(which + 1) % 3];
        eventually("the others miss it and have another leader", async || {
            let status = carousel_tests::cluster::status_at(other).await;
            let seen = status.nodes.iter().find(|node| node.address == victim.address()).expect("a member");
            let led = status.config_leader.as_ref().is_some_and(|leader| *leader != seen.id);
            if led && !seen.reachable { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
        victim.resume();
        eventually("the others find it again", async || {
            let status = carousel_tests::cluster::status_at(other).await;
            if status.nodes.iter().all(|node| node.reachable) { Ok(()) } else { Err("not yet") }
        })
        .await;
        cluster.await_service().await;
        load.await_progress().await;
    }
    load.stop().await.assert_nothing_lost(&cluster).await;
    let status = cluster.status().await;
    assert!(status.nodes.iter().all(|node| node.incarnation == 1), "nobody restarted: {status:?}");
}
