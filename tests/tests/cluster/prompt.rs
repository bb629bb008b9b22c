//! `cluster-admin cli` goes where a key is.

use std::process::Command;

use carousel_tests::cluster::{run_admin_with, try_admin};
use carousel_tests::{Cluster, Screen, Server, binary};

#[tokio::test]
async fn redirections_are_followed_unless_told_otherwise() {
    let cluster = Cluster::create(3).await;
    let node = &cluster.nodes[0];
    // Of ten keys each node leads some.
    let commands: String = (0..10).map(|n| format!("SET key:{n} {n}\nGET key:{n}\n")).collect();
    let said = run_admin_with(&["--node", &node.address(), "cli"], commands.as_bytes()).await;
    let expected: String = (0..10).map(|n| format!("OK\n{n}\n")).collect();
    assert_eq!((said.code, said.out), (0, expected), "{}", said.err);

    let (mut here, mut elsewhere) = (None, None);
    for n in 0..10 {
        let key = format!("key:{n}");
        let said = try_admin(node, &["cli", "--no-follow", "--no-raw", "GET", &key]).await;
        match said.out.strip_prefix("(error) MOVED ") {
            Some(to) => {
                assert_eq!(said.code, 1, "{said:?}");
                elsewhere = Some((key, to.trim_end().rsplit(' ').next().expect("an address").to_owned()));
            }
            None => here = Some(key),
        }
    }
    assert!(here.is_some(), "the node leads a third of the slots");
    let (key, address) = elsewhere.expect("others lead two thirds");
    let target = cluster.nodes.iter().find(|node| node.address() == address).expect("one of ours");
    assert_eq!(try_admin(node, &["cli", "EXISTS", &key]).await.out, "1\n");
    the_prompt_says_where_it_goes(node, target, &key).await;
}

async fn the_prompt_says_where_it_goes(node: &Server, target: &Server, key: &str) {
    let state = tempfile::tempdir().expect("files can be made");
    let mut cli = Command::new(binary("cluster-admin"));
    cli.args(["--node", &node.address(), "cli"]).env("XDG_STATE_HOME", state.path());
    let mut screen = Screen::start(&mut cli);
    screen.await_text(&format!("{}> ", node.address())).await;
    screen.type_keys(&format!("exists {key}\r"));
    screen.await_text("-> Redirected to slot [").await;
    screen.await_text(&format!("] located at {}", target.address())).await;
    screen.await_text("(integer) 1").await;
    screen.await_text(&format!("{}> ", target.address())).await;
    screen.type_keys("quit\r");
    assert_eq!(screen.await_end().await, 0);
}
