//! W = 2 of N = 3: what is acknowledged, and what is not, while nodes are away.

use std::collections::BTreeMap;

use carousel_tests::{Cluster, Raw, eventually};

/// What a node answers to a write of each key: the value of those acknowledged, the error of the others.
async fn write(raw: &mut Raw, keys: &[String], value: &str) -> BTreeMap<String, Result<(), String>> {
    let mut answers = BTreeMap::new();
    for key in keys {
        let reply = raw.call(&format!("SET {key} {value}")).await;
        answers.insert(key.clone(), reply.as_error().map_or(Ok(()), |text| Err(text.to_owned())));
    }
    answers
}

fn some_keys() -> Vec<String> {
    (0..30).map(|n| format!("quorum:{n}")).collect()
}

#[tokio::test]
async fn one_node_alone_acknowledges_nothing() {
    let mut cluster = Cluster::create(3).await;
    let keys = some_keys();
    let mut known = BTreeMap::new();
    for node in &cluster.nodes {
        for (key, answer) in write(&mut node.raw().await, &keys, "before").await {
            if answer.is_ok() {
                known.insert(key, "before");
            }
        }
    }
    assert_eq!(known.len(), keys.len());

    // One is away: what the two others lead goes on.
    cluster.nodes[2].kill();
    let mut on_two = 0;
    for node in 0..2 {
        for (key, answer) in write(&mut cluster.nodes[node].raw().await, &keys, "two").await {
            match answer {
                Ok(()) => {
                    known.insert(key, "two");
                    on_two += 1;
                }
                Err(text) => {
                    assert!(text.starts_with("MOVED ") || text.starts_with("CLUSTERDOWN "), "{key}: {text}");
                }
            }
        }
    }
    assert!(on_two > keys.len() / 3, "two thirds of the slots take writes: {on_two} of {}", keys.len());

    // Two are away: nothing is acknowledged any more, from the first write on.
    cluster.nodes[1].kill();
    let mut raw = cluster.nodes[0].raw().await;
    let mut refusals = Vec::new();
    for _ in 0..2 {
        for (key, answer) in write(&mut raw, &keys, "alone").await {
            let text = answer.expect_err(&key);
            let states = ["NOREPLICAS ", "NOQUORUM ", "CLUSTERDOWN ", "MOVED "];
            assert!(states.iter().any(|state| text.starts_with(state)), "{key}: {text}");
            refusals.push(text);
        }
    }
    assert!(refusals.iter().any(|text| text.starts_with("NOREPLICAS ")), "{refusals:?}");
    drop(raw);

    // They return, in either order, and everything acknowledged is there.
    for back in [1, 2] {
        cluster.nodes[back].start().await;
    }
    cluster.await_service().await;
    let mut client = cluster.client().await;
    for (key, value) in &known {
        let held: String = redis::cmd("GET").arg(key).query_async(&mut client).await.unwrap();
        // A write that got NOQUORUM may have happened, and says so; no other may.
        assert!(held == *value || held == "alone", "{key} holds {held}, acknowledged was {value}");
    }
    for node in &cluster.nodes {
        let mut raw = node.raw().await;
        eventually("the slots of the node take writes again", async || {
            let answers = write(&mut raw, &keys, "after").await;
            let faults: Vec<_> = answers
                .values()
                .filter_map(|answer| answer.as_ref().err())
                .filter(|text| !text.starts_with("MOVED"))
                .collect();
            if faults.is_empty() { Ok(()) } else { Err(format!("{faults:?}")) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_write_that_is_refused_beforehand_does_not_happen() {
    let mut cluster = Cluster::create(3).await;
    let keys = some_keys();
    for node in &cluster.nodes {
        write(&mut node.raw().await, &keys, "before").await;
    }
    for away in [1, 2] {
        cluster.nodes[away].kill();
    }
    let mut raw = cluster.nodes[0].raw().await;
    let led: Vec<String> = eventually("writes are refused beforehand", async || {
        let answers = write(&mut raw, &keys, "doubtful").await;
        let doubtful = answers
            .values()
            .filter_map(|answer| answer.as_ref().err())
            .find(|text| text.starts_with("NOQUORUM"));
        match doubtful {
            Some(text) => Err(text.clone()),
            None => Ok(answers
                .into_iter()
                .filter(|(_, answer)| answer.as_ref().is_err_and(|text| text.starts_with("NOREPLICAS")))
                .map(|(key, _)| key)
                .collect()),
        }
    })
    .await;
    assert!(led.len() > 3, "a third of the slots is led here: {led:?}");
    for key in &led {
        for command in [
            format!("SET {key} never"),
            format!("DEL {key}"),
            format!("APPEND {key} !"),
            format!("PEXPIRE {key} 1"),
        ] {
            let reply = raw.call(&command).await;
            assert!(
                reply.as_error().is_some_and(|text| text.starts_with("NOREPLICAS ")),
                "{command}: {reply:?}"
            );
        }
    }
    for back in [1, 2] {
        cluster.nodes[back].start().await;
    }
    cluster.await_service().await;
    let mut client = cluster.client().await;
    for key in &led {
        let held: String = redis::cmd("GET").arg(key).query_async(&mut client).await.unwrap();
        assert!(held == "before" || held == "doubtful", "{key} holds {held}");
        let ttl: i64 = redis::cmd("TTL").arg(key).query_async(&mut client).await.unwrap();
        assert_eq!(ttl, -1, "{key}");
    }
}

#[tokio::test]
async fn two_nodes_keep_the_data_when_one_is_lost_and_say_so() {
    let mut cluster = Cluster::create(2).await;
    let notes = cluster.status().await.notes.join("\n");
    assert!(notes.contains("Two nodes: data survives the loss of one, service does not"), "{notes}");
    let keys = some_keys();
    for node in &cluster.nodes {
        write(&mut node.raw().await, &keys, "kept").await;
    }
    cluster.nodes[1].kill();
    let mut raw = cluster.nodes[0].raw().await;
    for _ in 0..2 {
        for (key, answer) in write(&mut raw, &keys, "alone").await {
            assert!(answer.is_err(), "{key}: every write needs both");
        }
    }
    cluster.nodes[1].start().await;
    cluster.await_service().await;
    let mut client = cluster.client().await;
    for key in &keys {
        let held: String = redis::cmd("GET").arg(key).query_async(&mut client).await.unwrap();
        assert!(held == "kept" || held == "alone", "{key} holds {held}");
        eventually("both nodes are in step", async || {
            redis::cmd("SET").arg(key).arg("both").query_async::<()>(&mut client).await
        })
        .await;
    }
}
