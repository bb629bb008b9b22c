//! Collections of all types, small and big, whose items follow from their names.

use std::collections::{BTreeMap, BTreeSet};

use redis::RedisResult;
use redis::cluster_async::ClusterConnection;

use crate::cluster::Cluster;
use crate::wait::within;

/// How many keys there are.
pub const KEYS: u32 = 48;

/// Items of a small collection, which lies in one piece.
const FEW: u32 = 20;
/// Items of a big one.
const MANY: u32 = 3_000;
/// Items that one request adds.
const AT_ONCE: u32 = 500;
/// Every third key has an expiry, far away.
const VOLATILE_EVERY: u32 = 3;
const EXPIRE_S: i64 = 100_000;

fn len(n: u32) -> u32 {
    if n.is_multiple_of(2) { FEW } else { MANY }
}

fn item(i: u32) -> String {
    format!("item:{i}")
}

/// A quarter of the keys each.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Hash,
    List,
    Set,
    SortedSet,
}

impl Kind {
    fn of(n: u32) -> Self {
        [Self::Hash, Self::List, Self::Set, Self::SortedSet][(n / 2 % 4) as usize]
    }

    fn key(self, n: u32) -> String {
        format!("{self:?}:{n}")
    }

    /// The request that adds the items of that range to a key.
    fn add(self, key: &str, items: std::ops::Range<u32>) -> redis::Cmd {
        let name = match self {
            Self::Hash => "HSET",
            Self::List => "RPUSH",
            Self::Set => "SADD",
            Self::SortedSet => "ZADD",
        };
        let mut request = redis::cmd(name);
        request.arg(key);
        for i in items {
            match self {
                Self::Hash => request.arg(item(i)).arg(i),
                Self::List | Self::Set => request.arg(item(i)),
                // The highest score first.
                Self::SortedSet => request.arg(MANY - i).arg(item(i)),
            };
        }
        request
    }

    /// What is wrong with a key that has these items and nothing else.
    async fn fault(self, client: &mut ClusterConnection, key: &str, len: u32) -> RedisResult<Option<String>> {
        let expected = (0..len).map(item);
        let right = match self {
            Self::Hash => {
                let held: BTreeMap<String, u32> = redis::cmd("HGETALL").arg(key).query_async(client).await?;
                held == expected.zip(0..).collect()
            }
            Self::List => {
                let mut request = redis::cmd("LRANGE");
                let held: Vec<String> = request.arg(key).arg(0).arg(-1).query_async(client).await?;
                held == expected.collect::<Vec<_>>()
            }
            Self::Set => {
                let held: BTreeSet<String> = redis::cmd("SMEMBERS").arg(key).query_async(client).await?;
                held == expected.collect()
            }
            Self::SortedSet => {
                let mut request = redis::cmd("ZRANGE");
                request.arg(key).arg(0).arg(-1).arg("WITHSCORES");
                let held: Vec<(String, u32)> = request.query_async(client).await?;
                held == expected.zip((0..len).map(|i| MANY - i)).rev().collect::<Vec<_>>()
            }
        };
        Ok((!right).then(|| format!("the items of {key} are wrong")))
    }
}

/// Writes all of them.
///
/// # Panics
/// If the client meets an error.
pub async fn write(cluster: &Cluster) {
    let mut client = cluster.client().await;
    for n in 0..KEYS {
        let (kind, len) = (Kind::of(n), len(n));
        let key = kind.key(n);
        for first in (0..len).step_by(AT_ONCE as usize) {
            let add = kind.add(&key, first..len.min(first + AT_ONCE));
            let added = within("an answer", add.query_async::<()>(&mut client)).await;
            added.expect("the client meets no error");
        }
        if n.is_multiple_of(VOLATILE_EVERY) {
            let mut expire = redis::cmd("EXPIRE");
            let set = within("an answer", expire.arg(&key).arg(EXPIRE_S).query_async(&mut client)).await;
            assert_eq!(set, Ok(1), "EXPIRE {key}");
        }
    }
}

/// Asserts that the cluster holds exactly what [`write()`] wrote: items, their order where they have one, and expiries.
///
/// # Panics
/// If not.
pub async fn assert_right(cluster: &Cluster) {
    let mut client = cluster.client().await;
    for n in 0..KEYS {
        let kind = Kind::of(n);
        let key = kind.key(n);
        let fault = within("an answer", kind.fault(&mut client, &key, len(n))).await;
        assert_eq!(fault.expect("the client meets no error"), None);
        let ttl: i64 = redis::cmd("TTL").arg(&key).query_async(&mut client).await.expect("no error");
        let lives = if n.is_multiple_of(VOLATILE_EVERY) { (1..=EXPIRE_S).contains(&ttl) } else { ttl == -1 };
        assert!(lives, "{key} lives {ttl} s");
    }
}
