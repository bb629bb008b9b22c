//! Which ports a playground takes: one per node for clients, and the one 10000 above for the other nodes.

use std::io::ErrorKind;
use std::net::TcpListener;

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
