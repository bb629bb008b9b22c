//! Which ports a playground takes: one per node for clients, and the one 10000 above for the other nodes.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Result, bail};
use carousel_protocol::PEER_PORT_OFFSET;

/// How many ports `playground add` tries.
const NEXT_TRIES: u16 = 100;

/// The ports of `nodes` nodes from `first` on.
///
/// # Errors
/// Where they do not fit below 65536.
pub fn range(first: u16, nodes: u16) -> Result<Vec<u16>> {
    let most = u16::MAX - PEER_PORT_OFFSET - (nodes - 1);
    if first > most {
        bail!(
            "--port {first} is too high: {nodes} nodes, each with a port 10000 above its own, need at most {most}"
        );
    }
    Ok((first..first + nodes).collect())
}

/// The ports of the nodes whose data `directory` holds, lowest first; none where it cannot be read.
pub fn kept_in(directory: &Path) -> Vec<u16> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut ports: Vec<u16> = entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| {
            let name = entry.file_name();
            let port: u16 = name.to_str()?.parse().ok()?;
            // A node's directory is its port as it is written, and it had room for its peer port.
            (name.to_str() == Some(&port.to_string()) && (1..=u16::MAX - PEER_PORT_OFFSET).contains(&port))
                .then_some(port)
        })
        .collect();
    ports.sort_unstable();
    ports
}

/// The ports of all `kept` nodes, and of further ones from `first` on where there are fewer than `nodes`.
///
/// # Errors
/// As [`range`].
pub fn with_kept(kept: &[u16], first: u16, nodes: u16) -> Result<Vec<u16>> {
    let mut ports = kept.to_vec();
    if ports.len() < usize::from(nodes) {
        // So many contain enough that are not kept.
        let more = range(first, nodes)?;
        let missing = usize::from(nodes) - ports.len();
        ports.extend(more.into_iter().filter(|port| !kept.contains(port)).take(missing));
    }
    Ok(ports)
}

/// Makes sure that a node can listen at `port`.
///
/// # Errors
/// One line that names the port and the option.
pub fn check(port: u16) -> Result<()> {
    for port in [port, port + PEER_PORT_OFFSET] {
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                bail!("port {port} is in use; stop what listens there, or choose other ports with --port")
            }
            Err(error) => bail!("cannot listen at port {port}: {error}; choose other ports with --port"),
        }
    }
    Ok(())
}

/// The first free port after `last`.
///
/// # Errors
/// Where the ports that follow are all taken.
pub fn next_free(last: u16) -> Result<u16> {
    let end = last.saturating_add(NEXT_TRIES).min(u16::MAX - PEER_PORT_OFFSET);
    match (last.saturating_add(1)..=end).find(|port| check(*port).is_ok()) {
        Some(port) => Ok(port),
        None => bail!("no port from {} to {end} is free for a further node", last.saturating_add(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_nodes_are_the_directories_named_by_a_port() {
        let root = tempfile::tempdir().unwrap();
        for name in ["7001", "7000", "07002", "70000", "60000", "0", "other"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        std::fs::write(root.path().join("7003"), "").unwrap();
        std::fs::write(root.path().join("7000.log"), "").unwrap();
        assert_eq!(kept_in(root.path()), [7000, 7001]);
        assert!(kept_in(&root.path().join("none")).is_empty());
    }

    #[test]
    fn all_kept_nodes_start_and_others_only_where_more_are_wanted() {
        assert_eq!(with_kept(&[], 7000, 2).unwrap(), [7000, 7001]);
        assert_eq!(with_kept(&[7000, 7001, 7002, 7003], 7000, 3).unwrap(), [7000, 7001, 7002, 7003]);
        assert_eq!(with_kept(&[8000, 8001, 8002], 7000, 3).unwrap(), [8000, 8001, 8002]);
        assert_eq!(with_kept(&[7000, 7002], 7000, 4).unwrap(), [7000, 7002, 7001, 7003]);
    }

    #[test]
    fn ports_leave_room_for_those_of_the_other_nodes() {
        assert_eq!(range(7000, 3).unwrap(), [7000, 7001, 7002]);
        assert_eq!(range(55_535, 1).unwrap(), [55_535]);
        let error = range(55_534, 3).unwrap_err().to_string();
        assert!(error.starts_with("--port 55534 is too high") && error.ends_with("at most 55533"), "{error}");
    }

    #[test]
    fn a_port_in_use_is_named_be_it_the_nodes_or_that_for_its_peers() {
        let (taken, port) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            if (11_000..65_000).contains(&port) {
                break (listener, port);
            }
        };
        let expected =
            format!("port {port} is in use; stop what listens there, or choose other ports with --port");
        if port <= u16::MAX - PEER_PORT_OFFSET {
            assert_eq!(check(port).unwrap_err().to_string(), expected);
            assert_ne!(next_free(port - 1).unwrap_or(0), port);
        }
        // Its own port may be taken by chance as well; then that one is named.
        let error = check(port - PEER_PORT_OFFSET).unwrap_err().to_string();
        assert!(
            error.ends_with("is in use; stop what listens there, or choose other ports with --port"),
            "{error}"
        );
        drop(taken);
    }
}
