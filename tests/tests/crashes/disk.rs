//! What a node finds on its disk when it returns.

use std::path::Path;

use carousel_tests::{Cluster, Server, eventually};

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// Keys that a node leads, of so many.
async fn keys_of(node: &Server, count: usize) -> Vec<String> {
    let mut raw = node.raw().await;
    let mut keys = Vec::new();
    for n in 0.. {
        let key = format!("disk:{n}");
        if raw.call(&format!("GET {key}")).await.as_error().is_none() {
            keys.push(key);
        }
        if keys.len() == count {
            return keys;
        }
    }
    unreachable!("every third key is led by it")
}

/// The copy lacks what was acknowledged after it was made, on a system that never stopped. Only a node that knows that
/// waits for the one that has it. (The config group's part of the directory stays: a voter that forgets what it voted
/// for is beyond what Raft can bear while another voter is away too.)
#[tokio::test]
async fn a_directory_restored_from_a_copy_loses_nothing() {
    let mut cluster = Cluster::create(3).await;
    let saved = tempfile::tempdir().unwrap();
    let keys = keys_of(&cluster.nodes[2], 20).await;

    cluster.nodes[2].stop().await;
    copy_directory(&cluster.nodes[2].data_dir(), saved.path());
    cluster.nodes[2].start().await;
    cluster.await_service().await;

    // What is acknowledged now is on the first node and the third.
    cluster.nodes[1].kill();
    let mut raw = cluster.nodes[2].raw().await;
    for key in &keys {
        eventually("it is acknowledged", async || {
            let reply = raw.call(&format!("SET {key} late")).await;
            reply.as_error().map_or(Ok(()), |text| Err(text.to_owned()))
        })
        .await;
    }

    // The third gets its old directory back, and the first is away.
    cluster.nodes[2].kill();
    cluster.nodes[0].kill();
    let directory = cluster.nodes[2].data_dir();
    std::fs::remove_dir_all(saved.path().join("config")).unwrap();
    std::fs::rename(directory.join("config"), saved.path().join("config")).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    copy_directory(saved.path(), &directory);
    cluster.nodes[1].start().await;
    cluster.nodes[2].start().await;
    eventually("the third says what it found", async || {
        let log = cluster.nodes[2].log();
        if log.contains("an older state was restored") { Ok(()) } else { Err(log) }
    })
    .await;

    cluster.nodes[0].start().await;
    cluster.await_service().await;
    let mut client = cluster.client().await;
    for key in &keys {
        let value: Option<String> = redis::cmd("GET").arg(key).query_async(&mut client).await.unwrap();
        assert_eq!(value.as_deref(), Some("late"), "{key}");
    }
}

/// Most of its shards have none of the slots that are recovered, and nothing new in their logs.
#[tokio::test]
async fn a_node_that_leads_few_slots_crashes_and_returns() {
    let settings: [&[(&str, &str)]; 3] = [
        &[("shards", "4"), ("weight", "100")],
        &[("shards", "4"), ("weight", "100")],
        &[("shards", "4"), ("weight", "1")],
    ];
    let mut cluster = Cluster::create_from(settings.map(Server::new).into()).await;
    let led = cluster.led().await;
    assert!((1..=200).contains(&led[2]), "it leads few slots: {led:?}");
    for victim in [2, 0, 2] {
        cluster.nodes[victim].crash_and_restart().await;
        cluster.await_service().await;
    }
}

#[tokio::test]
async fn a_member_that_is_stopped_before_the_others_are_there_stops_cleanly() {
    let mut cluster = Cluster::create(3).await;
    let keys = keys_of(&cluster.nodes[0], 5).await;
    let mut client = cluster.client().await;
    for key in &keys {
        let _: () = redis::cmd("SET").arg(key).arg("kept").query_async(&mut client).await.unwrap();
    }
    drop(client);
    for node in &mut cluster.nodes {
        node.stop().await;
    }
    for node in &mut cluster.nodes {
        node.start().await;
        // Nobody is there to register with.
        node.stop().await;
    }
    cluster.start_all().await;
    cluster.await_service().await;
    let mut client = cluster.client().await;
    for key in &keys {
        let value: Option<String> = redis::cmd("GET").arg(key).query_async(&mut client).await.unwrap();
        assert_eq!(value.as_deref(), Some("kept"), "{key}");
    }
}
