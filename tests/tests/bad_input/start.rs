//! Nodes that cannot start.

use std::fs;
use std::net::TcpListener;

use carousel_tests::{Cluster, Server, eventually, free_port};

/// Starts it, and returns the one line that it ends with.
async fn fault(server: &mut Server) -> String {
    let (status, said) = server.start_in_vain().await;
    assert_eq!(status.code(), Some(1), "{said}");
    let line = said.trim_end();
    assert_eq!(line.lines().count(), 1, "not one line:\n{said}");
    let line =
        line.strip_prefix("carousel-server: ").unwrap_or_else(|| panic!("it does not say who: {line}"));
    line.to_owned()
}

#[tokio::test]
async fn settings_that_do_not_parse_are_named() {
    let cases = [
        ("port", "abc", "argument couldn't be parsed into an integer: 1-65535"),
        ("port", "0", "argument must be between 1 and 65535 inclusive"),
        ("shards", "100000", "argument must be between 0 and 1024 inclusive"),
        ("appendfsync", "sometimes", "argument(s) must be one of the following: everysec, always, no"),
        ("appendonly", "maybe", "argument must be 'yes' or 'no'"),
        ("runtime", "fast", "argument(s) must be one of the following: auto, uring, epoll, glommio"),
        ("bind", "nonsense", "'nonsense' is not an IP address"),
        ("proto-max-bulk-len", "lots", "argument must be a memory value: 1mb-1gb"),
        ("cluster-announce-ip", "kv.example", "'kv.example' is not an IPv4 address"),
        ("no-such-setting", "1", "unknown setting (see --help)"),
    ];
    for (name, value, wrong) in cases {
        let mut server = Server::new(&[(name, value)]);
        assert_eq!(fault(&mut server).await, format!("argument '--{name}': {wrong}"));
        assert!(!server.data_dir().exists(), "nothing was begun");
    }
    let mut server = Server::new(&[("port", "60000")]);
    assert_eq!(fault(&mut server).await, "settings: port 60000 + 10000 is no port: set peer-port");
}

#[tokio::test]
async fn a_line_of_a_settings_file_is_named() {
    for (text, wrong) in [
        ("port 7000\nappendonly maybe\n", "line 2: 'appendonly maybe': argument must be 'yes' or 'no'"),
        ("# fine\nport 7000 \"x\n", "line 2: 'port 7000 \"x': unbalanced quotes"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.conf");
        fs::write(&file, text).unwrap();
        let output = std::process::Command::new(carousel_tests::binary("carousel-server"))
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("carousel-server: {} {wrong}\n", file.display()));
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    for (offset, which, setting) in [(0, "", "--port"), (10_000, "for other nodes: ", "--peer-port")] {
        let mut server = Server::new(&[]);
        let port = server.port() + offset;
        let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let line = fault(&mut server).await;
        let expected = format!(
            "{which}port {port} is in use on 127.0.0.1: stop what listens there, or choose another with {setting}"
        );
        assert_eq!(line, expected);
        assert!(!server.data_dir().exists(), "nothing was begun");
        drop(taken);
        server.start().await;
    }
}

#[tokio::test]
async fn a_data_directory_has_one_server_at_a_time() {
    let first = Server::start_new(&[]).await;
    let dir = first.data_dir().display().to_string();
    let mut second = Server::new(&[("dir", &dir)]);
    let expected = format!(
        "data directory {dir} is in use by process {}; stop that server or give another directory with --dir",
        first.pid()
    );
    assert_eq!(fault(&mut second).await, expected);
    super::assert_usable(&first).await;
    drop(first);
}

#[tokio::test]
async fn a_data_directory_of_another_version_is_left_as_it_is() {
    let mut server = Server::start_new(&[]).await;
    server.raw().await.call("SET a 1").await;
    server.stop().await;
    let version = server.data_dir().join("VERSION");
    let text = fs::read(&version).unwrap();
    for (other, what) in
        [("carousel 999\n", "has format 999"), ("something\n", "VERSION is missing or damaged")]
    {
        fs::write(&version, other).unwrap();
        let line = fault(&mut server).await;
        assert!(line.starts_with(&format!("data directory {}", server.data_dir().display())), "{line}");
        assert!(line.contains(what), "{line}");
    }
    // Whoever brings back the version that the data is of has it all.
    fs::write(&version, text).unwrap();
    server.start().await;
    assert_eq!(server.raw().await.call("GET a").await.as_str(), Some("1"));
}

#[tokio::test]
async fn a_data_directory_must_be_one() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("file");
    fs::write(&file, "precious").unwrap();
    let mut server = Server::new(&[("dir", file.to_str().unwrap())]);
    let line = fault(&mut server).await;
    let expected =
        format!("data directory {}: it is not a directory; give another with --dir", file.display());
    assert_eq!(line, expected);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn damage_in_the_middle_of_a_log_is_not_passed_over() {
    let mut server = Server::start_new(&[]).await;
    let mut raw = server.raw().await;
    for n in 0..1_000 {
        raw.call(&format!("SET key:{n} value:{n}")).await;
    }
    server.stop().await;
    let (path, mut bytes) = server
        .log_files()
        .into_iter()
        .find(|(_, bytes)| bytes.windows(9).any(|window| window == b"value:500"))
        .expect("a log has it");
    let at = bytes.windows(9).position(|window| window == b"value:500").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let line = fault(&mut server).await;
    assert!(line.contains(&path.display().to_string()), "the file is named: {line}");
    assert!(line.contains("offset") || line.contains("byte"), "the place is named: {line}");
    // Put right, nothing is missing.
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    server.start().await;
    assert_eq!(server.raw().await.call("DBSIZE").await.as_integer(), Some(1_000));
}

#[tokio::test]
async fn a_torn_end_of_a_log_is_cut_and_said() {
    let mut server = Server::start_new(&[]).await;
    let mut raw = server.raw().await;
    for n in 0..100 {
        raw.call(&format!("SET key:{n} value:{n}")).await;
    }
    server.kill();
    let (path, mut bytes) = server
        .log_files()
        .into_iter()
        .find(|(_, bytes)| bytes.windows(8).any(|window| window == b"value:99"))
        .expect("a log has it");
    // The last write as a crash of the machine may leave it: it began to arrive.
    let at = bytes.windows(8).position(|window| window == b"value:99").unwrap();
    bytes[at..].fill(0);
    fs::write(&path, &bytes).unwrap();
    server.start().await;
    assert_eq!(server.raw().await.call("DBSIZE").await.as_integer(), Some(99));
    assert!(server.log().contains("WARN"), "it says so: {}", server.log());
}

#[tokio::test]
async fn a_password_that_the_others_do_not_have_is_found_out_before_anything_is_done() {
    let nodes = [Server::start_new(&[]).await, Server::start_new(&[("requirepass", "secret")]).await];
    let addresses = nodes.each_ref().map(Server::address);
    let said = carousel_tests::cluster::try_admin(&nodes[0], &["create", &addresses[0], &addresses[1]]).await;
    let line = said.fault();
    assert!(line.contains(&addresses[1]) && line.contains("password"), "{line}");
    super::assert_usable(&nodes[0]).await;
    // Nobody listens on this one at all.
    let nowhere = format!("127.0.0.1:{}", free_port());
    let said = carousel_tests::cluster::try_admin(&nodes[0], &["create", &addresses[0], &nowhere]).await;
    assert!(said.fault().contains(&nowhere), "{said:?}");
    super::assert_usable(&nodes[0]).await;
}

#[tokio::test]
async fn a_member_that_comes_back_at_the_port_of_another_says_so_once_and_what_to_do() {
    let mut cluster = Cluster::create(3).await;
    let (own, taken) = (cluster.nodes[1].port(), cluster.nodes[2].port());
    cluster.nodes[2].kill();
    cluster.nodes[1].stop().await;
    cluster.nodes[1].set("port", &taken.to_string());
    // The config group reaches it as before, so it is heard and refused.
    cluster.nodes[1].set("peer-port", &(own + carousel_protocol::PEER_PORT_OFFSET).to_string());
    cluster.nodes[1].spawn();
    let said = "this node cannot register: the address ";
    eventually("it says so", async || {
        let log = cluster.nodes[1].log();
        if log.contains(said) { Ok(()) } else { Err(log) }
    })
    .await;
    cluster.nodes[1].stop().await;
    let log = cluster.nodes[1].log();
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert!(log.contains("start it with its old --port"), "{log}");
    // As it was, it is a member again.
    cluster.nodes[1].set("port", &own.to_string());
    cluster.nodes[1].start().await;
    cluster.nodes[2].start().await;
    cluster.await_service().await;
}
