//! Crashes in the middle of a rebalance: it ends all the same, no key is lost and no slot stays behind.

use carousel_tests::cluster::{admin, run_admin, status_at};
use carousel_tests::{Cluster, Load, eventually, keys};

const KEYS: u32 = 10_000;

/// Who is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// A node that gives slots away and does not lead the config group.
    Source,
    /// The newcomer.
    Target,
    /// The leader of the config group.
    ConfigLeader,
    /// Everybody.
    All,
}

async fn crash_in_the_middle(victim: Victim) {
    let mut cluster = Cluster::create(3).await;
    keys::write(&cluster, KEYS).await;
    cluster.add().await;
    let load = Load::start(&cluster, 2).await;
    let leader = cluster.config_leader().await;
    let victims = match victim {
        Victim::Source => vec![(leader + 1) % 3],
        Victim::Target => vec![3],
        Victim::ConfigLeader => vec![leader],
        Victim::All => vec![0, 1, 2, 3],
    };
    // One source stands still: what it leads cannot move, so the rebalance comes to its middle and no further.
    let still = &cluster.nodes[(leader + 2) % 3];
    still.suspend();
    // The operator's tool watches it through the very node that is to die, and must not mind.
    let watched = cluster.nodes[victims[0]].address();
    let watching = tokio::spawn(async move { run_admin(&["--node", &watched, "rebalance", "--wait"]).await });
    let begun =
        eventually("slots have moved", async || match status_at(&cluster.nodes[leader]).await.rebalance {
            Some(progress) if progress.slots_done > 500 => Ok(progress),
            other => Err(format!("{other:?}")),
        })
        .await;
    assert!(begun.slots_done < begun.slots_total, "it is in the middle: {begun:?}");
    // The rest is on its way when they die.
    still.resume();
    for victim in &victims {
        cluster.nodes[*victim].kill();
    }
    cluster.start_all().await;
    cluster.await_service().await;
    cluster.await_rebalanced().await;
    let watched = watching.await.expect("no panic");
    assert_eq!(watched.code, 0, "{watched:?}");
    load.await_progress().await;
    load.stop().await.assert_nothing_lost(&cluster).await;
    keys::assert_right(&cluster, KEYS).await;
    let status = cluster.status().await;
    assert!(status.nodes.iter().all(|node| node.slots == 12_288), "three copies of each slot: {status:?}");

    // Recovery may have made another node of a slot's set its primary; a second rebalance sets that right.
    admin(&cluster.nodes[3], &["rebalance", "--wait"]).await;
    assert_eq!(cluster.led().await, [4_096; 4]);
    keys::assert_right(&cluster, KEYS).await;
}

#[tokio::test]
async fn a_source_crashes() {
    crash_in_the_middle(Victim::Source).await;
}

#[tokio::test]
async fn the_target_crashes() {
    crash_in_the_middle(Victim::Target).await;
}

#[tokio::test]
async fn the_leader_of_the_config_group_crashes() {
    crash_in_the_middle(Victim::ConfigLeader).await;
}

#[tokio::test]
async fn everybody_crashes() {
    crash_in_the_middle(Victim::All).await;
}
