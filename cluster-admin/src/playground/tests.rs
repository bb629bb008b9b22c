//! The playground with scripts instead of servers.

use super::*;

#[test]
fn the_server_beside_the_program_comes_before_one_in_the_path() {
    let root = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = ["beside", "path"].map(|name| root.path().join(name)).to_vec();
    for folder in &folders {
        std::fs::create_dir(folder).unwrap();
    }
    assert_eq!(find_in(&folders, "carousel-server"), None);
    std::fs::write(folders[1].join("carousel-server"), "").unwrap();
    assert_eq!(find_in(&folders, "carousel-server"), Some(folders[1].join("carousel-server")));
    std::fs::write(folders[0].join("carousel-server"), "").unwrap();
    assert_eq!(find_in(&folders, "carousel-server"), Some(folders[0].join("carousel-server")));
}

#[tokio::test]
async fn a_node_that_dies_at_the_start_ends_the_playground_with_one_line_and_stops_the_others() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("nodes");
    std::fs::create_dir(&directory).unwrap();
    let script = "case \"$2\" in *1) echo no luck; exit 3;; *) exec sleep 1000;; esac";
    let launch = node::tests::launch(&directory, script);
    let (tell, deaths) = mpsc::unbounded_channel();
    let mut playground = Playground { launch, private: None, nodes: Vec::new(), tell, deaths };
    let registry = Registry::at(root.path().join("registry")).unwrap();
    // Nothing listens at these ports; the scripts do not either.
    let first = ports::next_free(20_000).unwrap() / 10 * 10 + 10;
    let error = playground.serve(&[first, first + 1], &registry).await.unwrap_err();
    let expected = format!("the node at port {} ended while the playground was starting", first + 1);
    assert_eq!(error.to_string(), expected);
    assert_eq!(playground.nodes.len(), 1);
    let pid = rustix::process::Pid::from_raw(playground.nodes[0].pid as i32).unwrap();
    playground.stop().await.unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "the other one was stopped");
    assert_eq!(registry.running().unwrap(), []);
}
