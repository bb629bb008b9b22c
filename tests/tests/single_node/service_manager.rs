//! What a node tells systemd, or whoever else sets `NOTIFY_SOCKET`.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use carousel_tests::{LIMIT, Server};
use tempfile::TempDir;

/// The socket of a service manager.
struct Manager {
    files: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let files = tempfile::tempdir().expect("files can be made");
        let socket = UnixDatagram::bind(files.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a time is set");
        Self { files, socket }
    }

    fn path(&self) -> String {
        self.files.path().join("notify").display().to_string()
    }

    /// The lines of messages up to the one that has `wanted`.
    fn until(&self, wanted: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while !lines.iter().any(|line| line == wanted) {
            let mut message = [0; 1024];
            let count = self
                .socket
                .recv(&mut message)
                .unwrap_or_else(|error| panic!("no {wanted}: {error}; only {lines:?}"));
            let text = std::str::from_utf8(&message[..count]).expect("text");
            lines.extend(text.lines().map(str::to_owned));
        }
        lines
    }
}

#[tokio::test]
async fn a_node_is_ready_when_it_serves_and_says_when_it_stops() {
    let manager = Manager::new();
    let mut node = Server::new(&[]);
    node.set_environment("NOTIFY_SOCKET", &manager.path());
    node.spawn();
    let told = manager.until("READY=1");
    assert!(told[0].starts_with("STATUS=") && told[0] != "STATUS=", "{told:?}");
    // Nothing is waited for here: whoever is told may connect at once.
    assert_eq!(node.raw().await.call("SET k v").await.as_str(), Some("OK"));
    let ready = format!("STATUS=ready at port {} with 1 shard(s)", node.port());
    assert!(told.last().is_some_and(|line| line.starts_with(&ready)), "{told:?}");
    node.stop().await;
    let told = manager.until("STOPPING=1");
    assert!(!told.contains(&"WATCHDOG=1".to_owned()), "nobody asked for it: {told:?}");
}

#[tokio::test]
async fn a_watchdog_is_fed_while_the_shards_go_on() {
    let manager = Manager::new();
    let mut node = Server::new(&[("shards", "2")]);
    node.set_environment("NOTIFY_SOCKET", &manager.path());
    node.set_environment("WATCHDOG_USEC", "400000");
    node.start().await;
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
    node.suspend();
    while manager.socket.set_nonblocking(true).is_ok() && manager.socket.recv(&mut [0; 1024]).is_ok() {}
    manager.socket.set_nonblocking(false).expect("a mode is set");
    manager.socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a time is set");
    assert!(manager.socket.recv(&mut [0; 1024]).is_err(), "a node that stands still says nothing");
    node.resume();
    manager.socket.set_read_timeout(Some(LIMIT)).expect("a time is set");
    manager.until("WATCHDOG=1");
    node.stop().await;
}

#[tokio::test]
async fn a_service_manager_that_is_not_there_stops_nobody() {
    let mut node = Server::new(&[]);
    node.set_environment("NOTIFY_SOCKET", "/nonexistent/notify");
    node.start().await;
    assert!(node.log().contains("NOTIFY_SOCKET"), "{}", node.log());
    node.stop().await;
}
