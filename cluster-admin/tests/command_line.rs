//! The program itself: what it prints where, and its exit codes. What it does with a cluster is tested with real nodes.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cluster-admin"))
        .args(words)
        .env_remove("CAROUSEL_PASSWORD")
        .stdin(Stdio::null())
        .output()
        .expect("the program can be executed")
}

/// Standard output, and standard error.
fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it prints text");
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_names_every_command_and_exit_code() {
    let output = run(&["--help"]);
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""));
    for part in
        ["create", "add-node", "rebalance", "status", "playground", "load", "cli", "Exit codes", "--node"]
    {
        assert!(out.contains(part), "{part} is missing:\n{out}");
    }
}

#[test]
fn what_is_not_understood_is_an_exit_code_of_its_own() {
    for words in [
        &["explode"][..],
        &[],
        &["create"],
        &["rebalance", "--dry-run", "--wait"],
        &["--node", "x", "status"],
    ] {
        let output = run(words);
        let (out, err) = texts(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(2), ""), "{words:?}");
        assert!(!err.is_empty(), "{words:?}");
    }
}

#[test]
fn a_node_that_is_not_there_is_one_line_with_what_to_do() {
    // Free a moment ago.
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("it has one").to_string();
    drop(socket);
    for words in [
        &["--node", &address, "status"][..],
        &["--node", &address, "rebalance"],
        &["--node", &address, "add-node", "127.0.0.1:1"],
        &["create", &address],
        &["--node", &address, "cli", "PING"],
    ] {
        let output = run(words);
        let (out, err) = texts(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(1), ""), "{words:?}");
        assert_eq!(err.trim_end().lines().count(), 1, "{words:?}: {err}");
        assert!(err.starts_with("cluster-admin: "), "{words:?}: {err}");
        assert!(err.contains("cannot connect to 127.0.0.1:"), "{words:?}: {err}");
    }
}
