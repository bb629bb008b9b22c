//! The cluster that the operator's tool runs by itself, and the tour through it: load, add, rebalance, verify.

use std::process::Stdio;

use carousel_tests::cluster::{Said, run_admin};
use carousel_tests::{Raw, binary, bulk, eventually, free_ports, within};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

struct Playground {
    child: Child,
    port: u16,
}

impl Playground {
    async fn start() -> Self {
        // One more for the node that is added.
        let port = free_ports(4);
        let child = Command::new(binary("cluster-admin"))
            .args(["playground", "--nodes", "3", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it can be executed");
        let playground = Self { child, port };
        eventually("the playground serves", async || {
            let mut raw = Raw::connect(port).await.map_err(|error| error.to_string())?;
            let info = bulk(raw.try_call(&[b"CLUSTER", b"INFO"]).await.map_err(|error| error.to_string())?);
            let info = String::from_utf8_lossy(&info).into_owned();
            let whole = info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3");
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

    // Ctrl-C stops all of it.
    let pid = Pid::from_raw(playground.child.id().expect("it runs").cast_signed()).expect("positive");
    kill_process(pid, Signal::INT).expect("a child can be signalled");
    let ended = within("the playground ends", playground.child.wait_with_output()).await.expect("a child");
    assert!(ended.status.success(), "{ended:?}");
    for port in port..port + 4 {
        assert!(Raw::connect(port).await.is_err(), "port {port} is free again");
    }
}
