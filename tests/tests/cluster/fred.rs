//! fred against a cluster: requests go where their keys are, alone and in pipelines.

use carousel_tests::{Cluster, LIMIT};
use fred::prelude::*;
use futures::future::try_join_all;

const KEYS: i64 = 1_000;

async fn connect(cluster: &Cluster) -> Client {
    let nodes = cluster.nodes.iter().map(|node| ("127.0.0.1", node.port())).collect();
    let config = Config { server: ServerConfig::new_clustered(nodes), ..Config::default() };
    let client = Builder::from_config(config)
        .with_performance_config(|performance| performance.default_command_timeout = LIMIT)
        .build()
        .expect("the options are sound");
    client.init().await.expect("the cluster takes clients");
    client
}

#[tokio::test]
async fn keys_of_all_slots_are_counted_up_alone_and_in_a_pipeline() {
    let cluster = Cluster::create(3).await;
    let client = connect(&cluster).await;
    let counts = (0..KEYS).map(|n| client.incr_by::<i64, _>(format!("k:{n}"), n));
    assert_eq!(try_join_all(counts).await.unwrap(), (0..KEYS).collect::<Vec<_>>());
    let pipeline = client.pipeline();
    for n in 0..KEYS {
        let () = pipeline.hincrby(format!("h:{n}"), "f", n).await.unwrap();
    }
    assert_eq!(pipeline.all::<Vec<i64>>().await.unwrap(), (0..KEYS).collect::<Vec<_>>());
    // A client that begins anew finds everything.
    let client = connect(&cluster).await;
    let values = (0..KEYS).map(|n| client.get::<i64, _>(format!("k:{n}")));
    assert_eq!(try_join_all(values).await.unwrap(), (0..KEYS).collect::<Vec<_>>());
    let error = client.mget::<Vec<i64>, _>(vec!["k:1", "k:2"]).await.unwrap_err();
    assert!(error.details().contains("CROSSSLOT") || error.details().contains("slot"), "{error:?}");
    let () = client.mset(vec![("{t}1", 1), ("{t}2", 2)]).await.unwrap();
    assert_eq!(client.mget::<Vec<i64>, _>(vec!["{t}1", "{t}2"]).await.unwrap(), [1, 2]);
}
