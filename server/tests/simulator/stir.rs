//! Writes to big collections that no model follows: they keep whoever copies a slot busy in the middle of a key, and in
//! the end all copies must be the same.

use carousel_protocol::SlotId;

use super::random::Rng;
use super::scenario::tag_of;

/// Distinct items of the collections of one key.
const ITEMS: u64 = 30;

/// A change of one of a slot's big collections, at Unix time `now_ms`.
pub fn request(rng: &mut Rng, slot: SlotId, now_ms: u64) -> Vec<Vec<u8>> {
    let kinds = [Kind::Hash, Kind::Set, Kind::SortedSet, Kind::List, Kind::List];
    let kind = rng.pick(&kinds);
    let key = format!("{{{}}}{kind:?}", tag_of(slot)).into_bytes();
    let word = |name: &str| name.as_bytes().to_vec();
    let mut request = match rng.below(60) {
        0 => return vec![word("DEL"), key],
        1 => {
            let at = now_ms + rng.between(0, 500);
            return vec![word("PEXPIREAT"), key, at.to_string().into_bytes()];
        }
        2 => return vec![word("PERSIST"), key],
        _ => vec![key],
    };
    let mut count = rng.between(1, 8);
    let name = match (kind, rng.below(10)) {
        (Kind::Hash, 0..6) => "HSET",
        (Kind::Hash, _) => "HDEL",
        (Kind::Set, 0..6) => "SADD",
        (Kind::Set, _) => "SREM",
        (Kind::SortedSet, 0..6) => "ZADD",
        (Kind::SortedSet, _) => "ZREM",
        (Kind::List, 0..2) => "LPUSH",
        (Kind::List, 2..5) => "RPUSH",
        (Kind::List, 5) => "LPOP",
        (Kind::List, 6) => "RPOP",
        (Kind::List, 7) => "LREM",
        (Kind::List, 8) => "LTRIM",
        (Kind::List, _) => "LINSERT",
    };
    match name {
        "LPOP" | "RPOP" => request.push(count.to_string().into_bytes()),
        "LTRIM" => {
            request.push(rng.below(4).to_string().into_bytes());
            request.push(format!("-{}", rng.between(1, 4)).into_bytes());
        }
        "LREM" => request.extend([word("0"), item(rng, kind)]),
        "LINSERT" => request.extend([word("BEFORE"), item(rng, kind), item(rng, kind)]),
        _ => {
            while count > 0 {
                match name {
                    "HSET" => request.extend([item(rng, kind), item(rng, kind)]),
                    "ZADD" => request.extend([rng.below(5).to_string().into_bytes(), item(rng, kind)]),
                    _ => request.push(item(rng, kind)),
                }
                count -= 1;
            }
        }
    }
    request.insert(0, word(name));
    request
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Hash,
    Set,
    SortedSet,
    List,
}

/// So long that what holds one, or a dozen in a list, is big.
fn item(rng: &mut Rng, kind: Kind) -> Vec<u8> {
    let width = if matches!(kind, Kind::List) { 700 } else { 70 };
    format!("{:0>width$}", rng.below(ITEMS)).into_bytes()
}
