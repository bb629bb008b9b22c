//! What a node logs.

use carousel_tests::Server;

#[tokio::test]
async fn the_log_level_can_be_changed_while_the_node_runs() {
    for (before, after, is_said) in [("warning", "notice", true), ("notice", "warning", false)] {
        let mut server = Server::start_new(&[("loglevel", before)]).await;
        assert_eq!(server.log().contains("is ready"), before == "notice", "{}", server.log());
        let reply = server.raw().await.call(&format!("CONFIG SET loglevel {after}")).await;
        assert_eq!(reply.as_str(), Some("OK"));
        server.stop().await;
        assert_eq!(server.log().contains("everything is on disk"), is_said, "{}", server.log());
    }
}

#[tokio::test]
async fn a_disk_too_full_for_the_log_of_events_ends_no_process() {
    let mut server = Server::new(&[("shards", "2"), ("loglevel", "debug")]);
    server.print_in_vain();
    server.start().await;
    let mut raw = server.raw().await;
    for command in ["SET key value", "SAVE", "CONFIG SET loglevel notice"] {
        assert_eq!(raw.call(command).await.as_str(), Some("OK"), "{command}");
    }
    server.stop().await;

    let mut refused = Server::new(&[("dir", "/dev/null/nowhere")]);
    refused.print_in_vain();
    assert_eq!(refused.start_in_vain().await.0.code(), Some(1), "no panic, which would be 101");
}
