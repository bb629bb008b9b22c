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
