//! The reply of `CLUSTER SLOTS`.

use carousel_protocol::SlotId;
use carousel_protocol::resp::Reply;

use crate::Address;

/// Neighbouring slots with one primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRange {
    /// First slot.
    pub first: SlotId,
    /// Last slot, inclusive.
    pub last: SlotId,
    /// Who serves them.
    pub primary: Address,
}

/// The reply is not a slot map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// The server answered with an error.
    #[error("{0}")]
    Refused(String),
    /// Not the documented shape; says where.
    #[error("CLUSTER SLOTS answered something that is no slot map: {0}")]
    Shape(&'static str),
}

impl TopologyError {
    /// Does the answer mean that the server knows no cluster at all, so that all slots are its own?
    pub fn is_single_server(&self) -> bool {
        match self {
            Self::Refused(text) => {
                text.contains("cluster support disabled")
                    || text.to_lowercase().starts_with("err unknown command")
            }
            Self::Shape(_) => false,
        }
    }
}

/// Reads the reply that `asked` gave to `CLUSTER SLOTS`.
///
/// Entries are `[first, last, [host, port, ...], replicas...]`. A null or empty host means the host that was
/// asked (as in the Redis documentation), `?` an unknown one; ranges of the latter are left out.
pub fn parse_cluster_slots(reply: &Reply, asked: &Address) -> Result<Vec<SlotRange>, TopologyError> {
    let entries = match reply {
        Reply::Array(entries) => entries,
        Reply::Error(text) => return Err(TopologyError::Refused(text.to_string())),
        _ => return Err(TopologyError::Shape("not an array")),
    };
    let mut ranges = Vec::with_capacity(entries.len());
    for entry in entries {
        let Reply::Array(fields) = entry else {
            return Err(TopologyError::Shape("an entry is not an array"));
        };
        let [first, last, primary, ..] = fields.as_slice() else {
            return Err(TopologyError::Shape("an entry has less than three fields"));
        };
        let (Some(first), Some(last)) = (slot(first), slot(last)) else {
            return Err(TopologyError::Shape("a slot is not a number below 16384"));
        };
        if first > last {
            return Err(TopologyError::Shape("a range ends before it starts"));
        }
        let Reply::Array(node) = primary else { return Err(TopologyError::Shape("a node is not an array")) };
        let [host, Reply::Integer(port), ..] = node.as_slice() else {
            return Err(TopologyError::Shape("a node has no host and port"));
        };
        let host = match host {
            Reply::Null => "",
            Reply::Bulk(bytes) => {
                std::str::from_utf8(bytes).map_err(|_| TopologyError::Shape("a host is not text"))?
            }
            _ => return Err(TopologyError::Shape("a host is not a string")),
        };
        if host == "?" {
            continue;
        }
        let host = if host.is_empty() { asked.host() } else { host };
        let primary = u16::try_from(*port)
            .ok()
            .and_then(|port| Address::new(host, port))
            .ok_or(TopologyError::Shape("a node's address is not one"))?;
        ranges.push(SlotRange { first, last, primary });
    }
    Ok(ranges)
}

fn slot(reply: &Reply) -> Option<SlotId> {
    match reply {
        Reply::Integer(raw) => u16::try_from(*raw).ok().and_then(SlotId::new),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carousel_protocol::resp::parse_reply;

    fn parse(wire: &str) -> Result<Vec<SlotRange>, TopologyError> {
        let (reply, _) = parse_reply(wire.as_bytes()).unwrap().unwrap();
        parse_cluster_slots(&reply, &"asked:7000".parse().unwrap())
    }

    #[test]
    fn ranges_and_primaries_are_read_and_replicas_ignored() {
        let wire = "*2\r\n\
            *4\r\n:0\r\n:5460\r\n*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n$2\r\nid\r\n*3\r\n$1\r\nr\r\n:7003\r\n$2\r\nid\r\n\
            *3\r\n:5461\r\n:16383\r\n*2\r\n$0\r\n\r\n:7001\r\n";
        let ranges = parse(wire).unwrap();
        assert_eq!(ranges.len(), 2);
        assert_eq!((ranges[0].first.get(), ranges[0].last.get()), (0, 5460));
        assert_eq!(ranges[0].primary.as_str(), "127.0.0.1:7000");
        assert_eq!(ranges[1].primary.as_str(), "asked:7001", "an empty host is the one asked");
    }

    #[test]
    fn unknown_hosts_are_left_out() {
        assert_eq!(parse("*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\n?\r\n:7001\r\n"), Ok(vec![]));
    }

    #[test]
    fn a_server_without_cluster_is_told_from_a_fault() {
        for (wire, single) in [
            ("-ERR This instance has cluster support disabled\r\n", true),
            ("-ERR unknown command 'CLUSTER', with args\r\n", true),
            ("-LOADING Redis is loading the dataset in memory\r\n", false),
            ("-CLUSTERDOWN no\r\n", false),
            ("+OK\r\n", false),
            ("*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\nh\r\n:1\r\n", false),
            ("*1\r\n*3\r\n:9\r\n:1\r\n*2\r\n$1\r\nh\r\n:1\r\n", false),
            ("*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\nh\r\n:0\r\n", false),
        ] {
            assert_eq!(parse(wire).unwrap_err().is_single_server(), single, "{wire}");
        }
    }
}
