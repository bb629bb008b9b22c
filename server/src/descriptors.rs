//! How many files and sockets the process may have open, and how many clients that is.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything that is not a client: the runtime, the config group, links to other nodes.
const RESERVED: u64 = 128;
/// And for each shard: its log's segments, its event loop, its links.
const RESERVED_PER_SHARD: u64 = 64;

/// Raises the limit of open files as far as this process may, and returns how many clients it is enough for. Running out
/// would cost more than a client: a log without its next segment takes nothing more.
pub fn clients_possible(shards: u16) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
    }
    clients_within(getrlimit(Resource::Nofile).current, shards)
}

/// The clients that fit in so many descriptors, `None` being no limit; at least one, so that an operator gets in.
fn clients_within(descriptors: Option<u64>, shards: u16) -> usize {
    let Some(descriptors) = descriptors else { return usize::MAX };
    let reserved = RESERVED + RESERVED_PER_SHARD * u64::from(shards);
    descriptors.saturating_sub(reserved).max(1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_and_links_come_before_clients() {
        assert_eq!(clients_within(None, 4), usize::MAX);
        assert_eq!(clients_within(Some(1024), 1), 1024 - 192);
        assert_eq!(clients_within(Some(100), 4), 1);
    }
}
