//! Ports for nodes.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::sync::Mutex;

use carousel_protocol::PEER_PORT_OFFSET;

/// Client ports are taken from here; they and their peer ports lie below the range of outgoing connections.
const FIRST: u16 = 11_000;
const COUNT: u16 = 10_000;

/// A client port that is free on 127.0.0.1 together with its peer port, and that no other test of this process gets.
///
/// Taken at random, so that test processes that run side by side do not meet.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of `count` client ports in a row, each as that of [`free_port`].
///
/// # Panics
/// If they do not fit.
pub fn free_ports(count: u16) -> u16 {
    assert!(count < COUNT, "fewer than there are");
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().expect("nothing panics while it is held");
    let any = || FIRST + (RandomState::new().hash_one(0) % u64::from(COUNT - count)) as u16;
    let is_good = |port: u16| !given.contains(&port) && is_free(port) && is_free(port + PEER_PORT_OFFSET);
    let first = std::iter::repeat_with(any)
        .find(|first| (*first..first + count).all(is_good))
        .expect("the iterator has no end");
    given.extend(first..first + count);
    first
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
