//! The cluster that the operator's tool runs by itself, and the tour through it: load, add, rebalance, verify.

use std::process::Stdio;

use carousel_tests::cluster::{Said, run_admin};
use carousel_tests::{Raw, binary, bulk, eventually, free_ports, within};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

struct Playground {
    child: Child,
    port: u16,
}

impl Playground {
    async fn start() -> Self {
        // One more for the node that is added.
        Self::start_with(free_ports(4), &["--nodes", "3"], 3).await
    }

    /// Starts one with these arguments and waits until it serves with `nodes` nodes.
    async fn start_with(port: u16, args: &[&str], nodes: usize) -> Self {
        let child = Command::new(binary("cluster-admin"))
            .args(["playground", "--port", &port.to_string()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it can be executed");
        let playground = Self { child, port };
        eventually("the playground serves", async || {
            let mut raw = Raw::connect(port).await.map_err(|error| error.to_string())?;
            let reply = raw.try_call(&[b"CLUSTER", b"INFO"]).await.map_err(|error| error.to_string())?;
            if let Some(error) = reply.as_error() {
                return Err(error.to_string());
            }
            let info = String::from_utf8_lossy(&bulk(reply)).into_owned();
            let whole = info.contains("cluster_state:ok")
                && info.contains(&format!("cluster_known_nodes:{nodes}\r\n"));
            if whole { Ok(()) } else { Err(info) }
        })
        .await;
        playground
    }

    async fn admin(&self, words: &str) -> Said {
        let node = format!("127.0.0.1:{}", self.port);
        let words: Vec<_> = ["--node", &node].into_iter().chain(words.split(' ')).collect();
        let said = run_admin(&words).await;
        assert_eq!(said.code, 0, "{words:?}: {said:?}");
        said
    }

    /// Ctrl-C, which stops all of it; returns what it printed.
    async fn stop(self) -> String {
        let pid = Pid::from_raw(self.child.id().expect("it runs").cast_signed()).expect("positive");
        kill_process(pid, Signal::INT).expect("a child can be signalled");
        let ended = within("the playground ends", self.child.wait_with_output()).await.expect("a child");
        assert!(ended.status.success(), "{ended:?}");
        String::from_utf8(ended.stdout).expect("it prints text")
    }
}

#[tokio::test]
async fn the_tour_through_a_playground_works() {
    let playground = Playground::start().await;
    let port = playground.port;
    playground.admin("load --fill --keys 3000").await;
    let added = run_admin(&["playground", "add", "--port", &port.to_string()]).await;
    assert_eq!(added.code, 0, "{added:?}");
    assert!(added.out.contains(&format!("127.0.0.1:{} runs and is a member", port + 3)), "{added:?}");

    // Every value read is checked, every failed request counts: either would be another exit code.
    let load = playground.admin("load --rate 2000 --duration 3s --keys 3000 --verify --json");
    let rebalance = playground.admin("rebalance --wait");
    let (load, rebalance) = tokio::join!(load, rebalance);
    let report: serde_json::Value = serde_json::from_str(&load.out).expect("a report");
    assert!(report.is_object(), "{report}");
    assert!(rebalance.out.contains("rebalanced"), "{rebalance:?}");
    let status: carousel_protocol::admin::Status =
        serde_json::from_str(&playground.admin("status --json").await.out).expect("a status");
    assert_eq!(status.nodes.iter().map(|node| node.primaries).collect::<Vec<_>>(), [4_096; 4]);
    playground.admin("load --verify --keys 3000").await;

    playground.stop().await;
    for port in port..port + 4 {
        assert!(Raw::connect(port).await.is_err(), "port {port} is free again");
    }
}

#[tokio::test]
async fn a_playground_that_is_kept_starts_again_with_all_that_it_had() {
    let files = tempfile::tempdir().expect("files can be made");
    let directory = files.path().to_str().expect("a path of text");
    let port = free_ports(3);
    let args = ["--nodes", "2", "--keep", directory];
    let playground = Playground::start_with(port, &args, 2).await;
    // It takes requests a moment after its nodes serve.
    eventually("a node is added", async || {
        let added = run_admin(&["playground", "add", "--port", &port.to_string()]).await;
        if added.code == 0 { Ok(()) } else { Err(added.err) }
    })
    .await;
    playground.admin("rebalance --wait").await;
    playground.admin("load --fill --keys 1000").await;
    playground.stop().await;

    let playground = Playground::start_with(port, &args, 3).await;
    playground.admin("load --verify --keys 1000").await;
    let printed = playground.stop().await;
    assert!(printed.contains(&format!("starting 3 nodes kept in {directory}\n")), "{printed}");
}

#[tokio::test]
async fn a_playground_outlives_its_nodes_and_says_how_to_start_them_again() {
    let port = free_ports(2);
    let mut playground = Playground::start_with(port, &["--nodes", "2"], 2).await;
    // Until it has said what to do, a node that ends is a start that failed.
    let mut said = BufReader::new(playground.child.stdout.take().expect("it is piped")).lines();
    within("the playground is ready", async {
        while !said.next_line().await.expect("it prints text").expect("it goes on").starts_with("Ctrl-C") {}
    })
    .await;
    for port in port..port + 2 {
        let mut node = Raw::connect(port).await.expect("the node serves");
        node.send(b"SHUTDOWN\r\n").await;
        node.until_closed().await;
        eventually("the node has ended", async || match Raw::connect(port).await {
            Ok(_) => Err("it answers"),
            Err(_) => Ok(()),
        })
        .await;
    }
    let mut notes = BufReader::new(playground.child.stderr.take().expect("it is piped")).lines();
    let noted = within("the playground has noticed", async {
        let mut commands = Vec::new();
        loop {
            let line = notes.next_line().await.expect("it prints text").expect("it goes on");
            if let Some((_, command)) = line.split_once("start it again with: ") {
                commands.push(command.to_owned());
            }
            if line.contains("no node is left") {
                return commands;
            }
        }
    });
    let commands = noted.await;
    assert_eq!(commands.len(), 2);
    for (port, command) in (port..).zip(&commands) {
        assert!(command.contains(&format!("--port {port} ")), "{commands:?}");
    }
    playground.stop().await;
}
