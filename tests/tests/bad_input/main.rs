//! What is refused: with one clear line, a failing exit status, and nothing half done.

mod membership;
mod start;

use carousel_tests::Server;

/// The node takes writes, so whatever was refused has left it as it was.
async fn assert_usable(node: &Server) {
    let mut raw = node.raw().await;
    assert_eq!(raw.call("SET usable yes").await.as_str(), Some("OK"), "{}", node.address());
    assert_eq!(raw.call("DEL usable").await.as_integer(), Some(1), "{}", node.address());
}
