//! `cluster-admin cli` with one node: one command, those of a pipe, and a prompt.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use carousel_tests::cluster::{Said, run_admin_with, try_admin};
use carousel_tests::{Screen, Server, binary};
use tempfile::TempDir;

async fn pipe(node: &Server, options: &[&str], input: &[u8]) -> Said {
    run_admin_with(&[&["--node", &node.address(), "cli"], options].concat(), input).await
}

/// A prompt that keeps its history in `state`.
fn prompt(node: &Server, state: &TempDir) -> Screen {
    let mut cli = Command::new(binary("cluster-admin"));
    cli.args(["--node", &node.address(), "cli"]).env("XDG_STATE_HOME", state.path());
    Screen::start(&mut cli)
}

#[tokio::test]
async fn one_command_prints_its_reply_and_fails_where_that_is_an_error() {
    let node = Server::start_new(&[]).await;
    for (words, code, out) in [
        (&["SET", "k", "-1"][..], 0, "OK\n"),
        (&["GET", "k"], 0, "-1\n"),
        (&["--no-raw", "GET", "k"], 0, "\"-1\"\n"),
        (&["--no-raw", "GET", "nosuch"], 0, "(nil)\n"),
        (&["--resp3", "--no-raw", "CONFIG", "GET", "shards"], 0, "1# \"shards\" => \"1\"\n"),
        (&["--no-raw", "INCR", "k", "2"], 1, "(error) ERR wrong number of arguments for 'incr' command\n"),
        (&["INCR", "k", "2"], 1, "ERR wrong number of arguments for 'incr' command\n\n"),
    ] {
        let said = try_admin(&node, &[&["cli"], words].concat()).await;
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (code, out, ""), "{words:?}");
    }
}

#[tokio::test]
async fn the_last_argument_may_come_from_standard_input_byte_by_byte() {
    let node = Server::start_new(&[]).await;
    let said = pipe(&node, &["-x", "SET", "k"], b"\"a\"\r\n\x00\xff\n").await;
    assert_eq!((said.code, said.out.as_str()), (0, "OK\n"));
    let said = try_admin(&node, &["cli", "--no-raw", "GET", "k"]).await;
    assert_eq!(said.out, "\"\\\"a\\\"\\r\\n\\x00\\xff\\n\"\n");
}

#[tokio::test]
async fn commands_are_read_line_by_line_and_go_on_after_an_error() {
    let node = Server::start_new(&[]).await;
    let said =
        pipe(&node, &[], b"SET k \"a b\\x41\"\n\nGET k\r\nnosuch\nGET 'k\nSTRLEN k\nquit\nDEL k\n").await;
    assert_eq!(said.code, 1);
    assert_eq!(said.out, "OK\na bA\nERR unknown command 'nosuch', with args beginning with: \n\n4\n");
    assert!(said.err.starts_with("cluster-admin: line 5: a quote is not closed"), "{said:?}");
    assert_eq!(
        node.raw().await.call("EXISTS k").await.as_integer(),
        Some(1),
        "what follows quit is not sent"
    );
    let said = pipe(&node, &[], b"PING\nSHUTDOWN\nPING\n").await;
    assert_eq!((said.code, said.out.as_str()), (1, "PONG\n"));
    let line = said.fault();
    assert!(
        line.starts_with(&format!("cluster-admin: line 3: cannot connect to {}", node.address())),
        "{line}"
    );
    assert!(line.ends_with("the lines after it were not sent"), "{line}");
}

#[tokio::test]
async fn a_password_may_be_given_or_typed() {
    let node = Server::start_new(&[("requirepass", "secret")]).await;
    let said = try_admin(&node, &["cli", "PING"]).await;
    assert!(said.fault().ends_with("give its password with --password or CAROUSEL_PASSWORD"), "{said:?}");
    let said = try_admin(&node, &["--password", "secret", "cli", "PING"]).await;
    assert_eq!(said.out, "PONG\n");
    let said = pipe(&node, &[], b"AUTH secret\nPING\n").await;
    assert_eq!((said.code, said.out.as_str()), (0, "OK\nPONG\n"), "{said:?}");

    let state = tempfile::tempdir().expect("files can be made");
    let mut screen = prompt(&node, &state);
    screen.await_text("NOAUTH").await;
    screen.await_text(", or type AUTH PASSWORD").await;
    screen.await_text("not connected> ").await;
    screen.type_keys("auth secret\r");
    screen.await_text("OK").await;
    screen.await_text(&format!("{}> ", node.address())).await;
    screen.type_keys("exit\r");
    assert_eq!(screen.await_end().await, 0);
}

#[tokio::test]
async fn the_prompt_edits_completes_remembers_and_connects_again() {
    let mut node = Server::start_new(&[]).await;
    let state = tempfile::tempdir().expect("files can be made");
    let mut screen = prompt(&node, &state);
    let prompt = format!("{}> ", node.address());
    screen.await_text(&prompt).await;
    screen.type_keys("set k \"a\\x00b\"\r");
    screen.await_text("OK").await;
    // Tab completes a name that is the only one.
    screen.type_keys("strl\t k\r");
    screen.await_text("(integer) 3").await;
    screen.type_keys("get k\r");
    screen.await_text("\"a\\x00b\"").await;
    screen.await_text(&prompt).await;
    // Ctrl-C clears the line and what was typed ahead, the arrow brings the last one back.
    screen.type_keys("nonsense\x03");
    screen.await_text("nonsense").await;
    screen.await_text(&prompt).await;
    screen.type_keys("\x1b[A\r");
    screen.await_text("\"a\\x00b\"").await;
    screen.type_keys("help get\r");
    screen.await_text("summary: Returns the string value").await;
    screen.type_keys("auth secret\r");
    screen.await_text("(error) ERR").await;

    node.kill();
    // The first may still go into the connection that breaks.
    for _ in 0..2 {
        screen.type_keys("get k\r");
        screen.await_text("not connected> ").await;
    }
    screen.type_keys("get k\r");
    screen.await_text("connection refused").await;
    node.start().await;
    screen.type_keys("ping\r");
    screen.await_text("PONG").await;
    screen.await_text(&prompt).await;
    // Whoever waits for a reply in vain need not go on.
    node.suspend();
    screen.type_keys("get k\r");
    screen.interrupt_until("interrupted; the command may have taken effect").await;
    screen.await_text("not connected> ").await;
    node.resume();
    // The signal may have come once more: then it ends the first of these.
    screen.type_keys("ping\r");
    screen.await_text("ping").await;
    screen.await_text("> ").await;
    screen.type_keys("ping\r");
    screen.await_text("PONG").await;
    screen.await_text(&prompt).await;
    // Ctrl-D.
    screen.type_keys("\x04");
    assert_eq!(screen.await_end().await, 0);

    let file = state.path().join("carousel/cli-history");
    assert_eq!(file.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
    let kept = std::fs::read_to_string(file).expect("it is text");
    assert!(kept.contains("strlen k") && kept.contains("ping") && !kept.contains("secret"), "{kept}");
}
