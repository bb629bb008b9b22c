//! Several nodes, and `cluster-admin` to make a cluster of them.

use std::process::Stdio;

use carousel_protocol::admin::Status;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use tokio::io::AsyncWriteExt;

use crate::binaries::binary;
use crate::server::Server;
use crate::wait::{eventually, same, within};

/// What `cluster-admin` said.
#[derive(Debug)]
pub struct Said {
    /// Exit status; 0 is success.
    pub code: i32,
    /// What it printed for the operator.
    pub out: String,
    /// Faults and progress.
    pub err: String,
}

impl Said {
    /// The fault, which must be one line of a failed run.
    ///
    /// # Panics
    /// If it is not.
    pub fn fault(&self) -> &str {
        assert_ne!(self.code, 0, "it succeeded: {self:?}");
        let text = self.err.trim_end();
        assert!(!text.is_empty() && !text.contains('\n'), "not one line: {self:?}");
        text
    }
}

/// Runs `cluster-admin WORDS`.
///
/// # Panics
/// If it does not end.
pub async fn run_admin(words: &[&str]) -> Said {
    run_admin_with(words, b"").await
}

/// As [`run_admin`], with `input` on its standard input.
///
/// # Panics
/// If it does not end.
pub async fn run_admin_with(words: &[&str], input: &[u8]) -> Said {
    let mut child = tokio::process::Command::new(binary("cluster-admin"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it can be executed");
    let mut stdin = child.stdin.take().expect("it is piped");
    let feed = async move {
        // It may end before it has read all.
        let _ = stdin.write_all(input).await;
    };
    let ended = async { tokio::join!(feed, child.wait_with_output()).1 };
    let output = within(format!("cluster-admin {words:?} ends"), ended).await.expect("a child");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `cluster-admin --node NODE WORDS`.
///
/// # Panics
/// If it does not end.
pub async fn try_admin(node: &Server, words: &[&str]) -> Said {
    run_admin(&[&["--node", &node.address()], words].concat()).await
}

/// As [`try_admin`]; returns what it printed.
///
/// # Panics
/// If it fails.
pub async fn admin(node: &Server, words: &[&str]) -> String {
    let said = try_admin(node, words).await;
    assert_eq!(said.code, 0, "cluster-admin {words:?}: {said:?}");
    said.out
}

/// Exit status of `cluster-admin status` where slots are down.
const TROUBLE: i32 = 3;

/// A cluster's state as one of its nodes sees it.
///
/// # Panics
/// If it does not answer, or something else than what `cluster-admin` documents.
pub async fn status_at(node: &Server) -> Status {
    let said = try_admin(node, &["status", "--json"]).await;
    assert!([0, TROUBLE].contains(&said.code), "no status: {said:?}");
    let status: Status = serde_json::from_str(&said.out).expect("the status is as documented");
    assert_eq!(
        said.code == TROUBLE,
        !status.slots_down.is_empty(),
        "trouble is slots that are down: {said:?}"
    );
    status
}

/// Nodes that form one cluster.
pub struct Cluster {
    /// The nodes, in the order in which they came.
    pub nodes: Vec<Server>,
}

impl Cluster {
    /// A new cluster of `count` nodes with one shard each.
    pub async fn create(count: usize) -> Self {
        Self::create_from((0..count).map(|_| Server::new(&[])).collect()).await
    }

    /// A new cluster of nodes that are not started yet.
    pub async fn create_from(mut nodes: Vec<Server>) -> Self {
        for node in &mut nodes {
            node.spawn();
        }
        for node in &mut nodes {
            node.await_answer().await;
        }
        let addresses: Vec<_> = nodes.iter().map(Server::address).collect();
        let mut words = vec!["create"];
        words.extend(addresses.iter().map(String::as_str));
        admin(&nodes[0], &words).await;
        let cluster = Self { nodes };
        cluster.await_service().await;
        cluster
    }

    /// Starts one more node and makes it a member; it holds nothing yet. Returns its index.
    pub async fn add(&mut self) -> usize {
        let node = Server::start_new(&[]).await;
        admin(&self.nodes[0], &["add-node", &node.address()]).await;
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The state as the first running node sees it.
    ///
    /// # Panics
    /// If none runs.
    pub async fn status(&self) -> Status {
        status_at(self.nodes.iter().find(|node| node.is_running()).expect("a node runs")).await
    }

    /// Waits until every running node says that every slot is served.
    pub async fn await_service(&self) {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            eventually(format!("all slots are served, says {}", node.address()), async || {
                let seen = (node.info("cluster_state").await, node.info("cluster_slots_ok").await);
                same(seen, ("ok".to_string(), "16384".to_string()))
            })
            .await;
        }
    }

    /// Waits until no rebalance is under way, as every node sees it.
    pub async fn await_rebalanced(&self) {
        for node in &self.nodes {
            eventually(format!("the rebalance ends, says {}", node.address()), async || {
                match status_at(node).await.rebalance {
                    None => Ok(()),
                    Some(progress) => Err(format!("{progress:?}")),
                }
            })
            .await;
        }
    }

    /// The node with that id.
    ///
    /// # Panics
    /// If the status does not know it.
    pub fn index_of(&self, status: &Status, id: &str) -> usize {
        let address = &status.nodes.iter().find(|node| node.id == id).expect("a member").address;
        self.nodes.iter().position(|node| node.address() == *address).expect("one of ours")
    }

    /// The node that leads the config group.
    pub async fn config_leader(&self) -> usize {
        let status = eventually("a leader of the config group is known", async || {
            let status = self.status().await;
            if status.config_leader.is_some() { Ok(status) } else { Err("none") }
        })
        .await;
        self.index_of(&status, status.config_leader.as_ref().expect("just seen"))
    }

    /// How many slots each node leads, in the order of [`Self::nodes`].
    pub async fn led(&self) -> Vec<u32> {
        let status = self.status().await;
        let led = |node: &Server| {
            let seen = status.nodes.iter().find(|seen| seen.address == node.address());
            seen.map_or(0, |seen| seen.primaries)
        };
        self.nodes.iter().map(led).collect()
    }

    /// A stock cluster client.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn client(&self) -> ClusterConnection {
        connect(self.nodes.iter().map(Server::address).collect()).await.expect("the cluster takes clients")
    }

    /// Kills every node as with one power switch.
    pub fn kill_all(&mut self) {
        self.nodes.iter_mut().filter(|node| node.is_running()).for_each(Server::kill);
    }

    /// Starts every node that does not run, all at once.
    pub async fn start_all(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| !node.is_running()) {
            node.spawn();
        }
        for node in &mut self.nodes {
            node.await_answer().await;
        }
    }
}

/// Connects a stock cluster client to the nodes at these addresses.
///
/// It waits for answers longer than its default of half a second, for the machine may be busy; and less long between
/// retries than its default, which grows to eleven minutes.
///
/// # Errors
/// Of the client.
pub async fn connect(addresses: Vec<String>) -> redis::RedisResult<ClusterConnection> {
    let nodes = addresses.iter().map(|address| format!("redis://{address}/"));
    let client = ClusterClient::builder(nodes)
        .response_timeout(crate::LIMIT)
        .connection_timeout(std::time::Duration::from_secs(5))
        .min_retry_wait(5)
        .max_retry_wait(100)
        .build()?;
    client.get_async_connection().await
}
