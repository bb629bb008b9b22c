//! Clusters that cannot be made, and nodes that cannot join.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use carousel_tests::cluster::{admin, status_at, try_admin};
use carousel_tests::{Cluster, Server, bulk, eventually, free_port, keys};

use super::assert_usable;

/// Something else than Carousel that listens, and what it does with a connection. Lives as long as the test process.
fn stranger(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("it has one").to_string();
    std::thread::spawn(move || {
        // One thread per connection: the silent ones stay.
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn is_silent(mut stream: TcpStream) {
    // Until the other side gives up.
    let _ = stream.read_to_end(&mut Vec::new());
}

fn speaks_http(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 512]);
    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
}

fn speaks_redis(mut stream: TcpStream) {
    while matches!(stream.read(&mut [0; 512]), Ok(1..)) {
        let _ = stream.write_all(b"-ERR unknown command 'CAROUSEL'\r\n");
    }
}

fn hangs_up(stream: TcpStream) {
    drop(stream);
}

/// Answers as a node that says `who` it is, and has nothing reserved.
fn speaks_as(who: Vec<u8>) -> impl Fn(TcpStream) + Clone + Send + 'static {
    move |mut stream| {
        let mut request = [0; 512];
        while let Ok(length @ 1..) = stream.read(&mut request) {
            let text = String::from_utf8_lossy(&request[..length]);
            assert!(!text.contains("RESERVE"), "nothing is begun");
            let _ = if text.contains("PROBE") {
                let head = format!("${}\r\n", who.len());
                stream.write_all(&[head.as_bytes(), &who, b"\r\n"].concat())
            } else {
                stream.write_all(b"+PONG\r\n")
            };
        }
    }
}

/// Addresses at which no Carousel node is.
fn no_nodes() -> Vec<String> {
    let mut addresses: Vec<_> =
        [is_silent as fn(TcpStream), speaks_http, speaks_redis, hangs_up].into_iter().map(stranger).collect();
    addresses.push(format!("127.0.0.1:{}", free_port()));
    addresses
}

#[tokio::test]
async fn create_with_something_else_than_a_node_leaves_the_nodes_alone() {
    let node = Server::start_new(&[]).await;
    for other in no_nodes() {
        let said = try_admin(&node, &["create", &node.address(), &other]).await;
        assert!(said.fault().contains(&other), "{said:?}");
        assert_usable(&node).await;
    }
    let said = try_admin(&node, &["create", &node.address(), &node.address()]).await;
    assert!(said.fault().ends_with("is named twice; name each node once"), "{said:?}");
    assert_usable(&node).await;
    admin(&node, &["create", &node.address()]).await;
    assert_eq!(status_at(&node).await.slots_served, 16_384);
}

#[tokio::test]
async fn create_with_a_node_that_holds_keys_leaves_all_of_them_as_they_were() {
    let nodes = [Server::start_new(&[("shards", "2")]).await, Server::start_new(&[("shards", "2")]).await];
    let addresses = nodes.each_ref().map(Server::address);
    // Just written: no published count of keys knows it yet.
    nodes[1].raw().await.call("SET precious 1").await;
    let words = ["create", &addresses[0], &addresses[1]];
    for _ in 0..2 {
        let said = try_admin(&nodes[0], &words).await;
        let line = said.fault();
        assert!(line.contains(&addresses[1]) && line.contains("FLUSHALL it first"), "{line}");
        // Moments later, for its shards are told one by one.
        for node in &nodes {
            eventually("the node is its own again", async || {
                let reply = node.raw().await.call("SET usable yes").await;
                reply.as_error().map_or(Ok(()), |text| Err(text.to_owned()))
            })
            .await;
            assert_eq!(node.raw().await.call("DEL usable").await.as_integer(), Some(1));
        }
    }
    assert_eq!(nodes[1].raw().await.call("GET precious").await.as_str(), Some("1"));
    nodes[1].raw().await.call("FLUSHALL").await;
    eventually("a flushed node can be used", async || {
        let said = try_admin(&nodes[0], &words).await;
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    })
    .await;
}

#[tokio::test]
async fn a_node_whose_peer_port_is_closed_or_another_nodes_does_not_join() {
    let (node, other) = (Server::start_new(&[]).await, Server::start_new(&[]).await);
    let mut who: serde_json::Value =
        serde_json::from_slice(&bulk(other.raw().await.call("CAROUSEL PROBE").await)).expect("JSON");
    // Nobody listens on the one; on the other, somebody else does.
    for port in [free_port(), node.port() + carousel_protocol::PEER_PORT_OFFSET] {
        who["peer_port"] = port.into();
        let cut_off = stranger(speaks_as(serde_json::to_vec(&who).expect("JSON")));
        let said = try_admin(&node, &["create", &node.address(), &cut_off]).await;
        let line = format!(
            "cluster-admin: {cut_off}: its peer port {port} cannot be reached from here: open it between all nodes, and \
             see --bind"
        );
        assert_eq!(said.fault(), line);
        assert_usable(&node).await;
    }
    let cut_off = stranger(speaks_as(serde_json::to_vec(&who).expect("JSON")));
    admin(&node, &["create", &node.address()]).await;
    let said = try_admin(&node, &["add-node", &cut_off]).await;
    assert!(said.fault().contains("open it between all nodes"), "{said:?}");
    assert_eq!(status_at(&node).await.nodes.len(), 1);
}

#[tokio::test]
async fn of_two_clusters_that_want_the_same_node_one_gets_it_and_the_other_leaves_its_nodes_usable() {
    for _ in 0..5 {
        let nodes =
            [Server::start_new(&[]).await, Server::start_new(&[]).await, Server::start_new(&[]).await];
        let [left, wanted, right] = nodes.each_ref().map(Server::address);
        let (one, two): ([&str; 3], [&str; 3]) = (["create", &left, &wanted], ["create", &right, &wanted]);
        let (one, two) = tokio::join!(try_admin(&nodes[0], &one), try_admin(&nodes[2], &two));
        let (winner, loser, said) =
            if one.code == 0 { (&nodes[0], &nodes[2], two) } else { (&nodes[2], &nodes[0], one) };
        let line = said.fault();
        assert!(
            line.ends_with("is just being joined by another node: try again in 20 s")
                || line.contains("is a member of"),
            "{line}"
        );
        assert_usable(loser).await;
        let status = status_at(winner).await;
        assert_eq!((status.nodes.len(), status.slots_served), (2, 16_384));
        assert_eq!(status_at(&nodes[1]).await.cluster_id, status.cluster_id);
    }
}

#[tokio::test]
async fn a_node_that_is_being_joined_listens_to_nobody_else() {
    let node = Server::start_new(&[("shards", "2")]).await;
    let reserve = async |words: &str| node.raw().await.call(&format!("CAROUSEL RESERVE {words}")).await;
    assert_eq!(bulk(reserve("20000 7").await), b"\"reserved\"");
    let taken = Some("ERR is just being joined by another node: try again in 20 s");
    assert_eq!(reserve("20000 8").await.as_error(), taken);
    // Nor can another one release it.
    assert_eq!(bulk(reserve("0 8").await), b"\"released\"");
    assert_eq!(reserve("20000 8").await.as_error(), taken);
    assert_eq!(bulk(reserve("20000 7").await), b"\"reserved\"", "the same one again");
    let said = try_admin(&node, &["create", &node.address()]).await;
    assert!(said.fault().ends_with("is just being joined by another node: try again in 20 s"), "{said:?}");
    assert_eq!(bulk(reserve("0 7").await), b"\"released\"");
    assert_usable(&node).await;
}

#[tokio::test]
async fn a_node_is_a_member_of_one_cluster_only() {
    let cluster = Cluster::create(2).await;
    let newcomer = Server::start_new(&[]).await;
    let before = cluster.status().await;
    for words in [
        vec!["create".to_string(), cluster.nodes[0].address(), newcomer.address()],
        vec!["create".to_string(), newcomer.address(), cluster.nodes[0].address()],
        vec!["add-node".to_string(), cluster.nodes[1].address()],
    ] {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let said = try_admin(&cluster.nodes[0], &words).await;
        assert!(said.fault().contains("is a member of cluster"), "{said:?}");
        assert_usable(&newcomer).await;
    }
    let said = try_admin(&cluster.nodes[0], &["add-node", &cluster.nodes[0].address()]).await;
    assert!(said.fault().contains("cannot be added to itself"), "{said:?}");
    let after = cluster.status().await;
    assert_eq!((after.nodes.len(), after.config_version), (before.nodes.len(), before.config_version));
}

#[tokio::test]
async fn only_an_empty_carousel_node_can_be_added() {
    let cluster = Cluster::create(1).await;
    for other in no_nodes() {
        let said = try_admin(&cluster.nodes[0], &["add-node", &other]).await;
        assert!(said.fault().contains(&other), "{said:?}");
    }
    let newcomer = Server::start_new(&[]).await;
    newcomer.raw().await.call("SET precious 1").await;
    let said = try_admin(&cluster.nodes[0], &["add-node", &newcomer.address()]).await;
    assert!(said.fault().contains("FLUSHALL it first"), "{said:?}");
    assert_eq!(newcomer.raw().await.call("GET precious").await.as_str(), Some("1"));
    assert_eq!(cluster.status().await.nodes.len(), 1, "nobody joined");

    newcomer.raw().await.call("FLUSHALL").await;
    eventually("it can join when it is empty", async || {
        let said = try_admin(&cluster.nodes[0], &["add-node", &newcomer.address()]).await;
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    })
    .await;
    assert_eq!(cluster.status().await.nodes.len(), 2);
}

#[tokio::test]
async fn a_node_that_is_being_joined_and_is_not_comes_back_by_itself() {
    let node = Server::start_new(&[("shards", "2")]).await;
    // As a coordinator does that dies right after.
    assert_eq!(bulk(node.raw().await.call("CAROUSEL RESERVE 300 1").await), b"\"reserved\"");
    let reply = node.raw().await.call("SET a 1").await;
    assert_eq!(reply.as_error(), Some("CLUSTERDOWN The node is joining a cluster"));
    eventually("it is its own again", async || {
        let reply = node.raw().await.call("SET a 1").await;
        reply.as_error().map_or(Ok(()), |text| Err(text.to_owned()))
    })
    .await;
}

#[tokio::test]
async fn what_needs_a_cluster_says_so() {
    let node = Server::start_new(&[]).await;
    for words in [&["rebalance"][..], &["rebalance", "--wait"], &["add-node", "127.0.0.1:1"]] {
        let said = try_admin(&node, words).await;
        let line = said.fault();
        assert!(
            line.contains("is in no cluster") || line.contains("cannot connect to 127.0.0.1:1"),
            "{line}"
        );
    }
    assert_eq!(status_at(&node).await.cluster_id, None);
    assert_usable(&node).await;
}

#[tokio::test]
async fn one_rebalance_at_a_time() {
    let mut cluster = Cluster::create(3).await;
    keys::write(&cluster, 5_000).await;
    cluster.add().await;
    // Suspended, the newcomer takes nothing: the first rebalance is still there for certain.
    cluster.nodes[3].suspend();
    admin(&cluster.nodes[0], &["rebalance"]).await;
    for node in &cluster.nodes[..3] {
        for words in [&["rebalance"][..], &["rebalance", "--wait"], &["rebalance", "--dry-run"]] {
            let said = try_admin(node, words).await;
            assert!(said.fault().contains("a rebalance is in progress: "), "{said:?}");
        }
    }
    cluster.nodes[3].resume();
    cluster.await_rebalanced().await;
    cluster.await_service().await;
    keys::assert_right(&cluster, 5_000).await;
    assert!(admin(&cluster.nodes[0], &["rebalance"]).await.contains("nothing to do"));
}
