//! Commands whose keys belong to several shards, and the merging of their parts.
//!
//! On a lone node a command may name keys of any slots: each shard gets the part with its own keys, while the slots of
//! all of them are locked.

use std::collections::BTreeMap;

use carousel_protocol::command_table::{CommandId, CommandSpec, Merge};
use carousel_protocol::resp::number::parse_i64;
use carousel_protocol::resp::{Argv, Reply, ReplyWriter, Version, parse_reply};
use carousel_protocol::{Database, ShardId, SlotId, key_slot};

use crate::command::{parse_scan_cursor, scan_cursor_shard};
use crate::shard::drive::ShardHandle;
use crate::shard::encoded::Encoded;

/// Redis' words where slots cannot be crossed.
pub(super) const CROSS_SLOT: &str = "CROSSSLOT Keys in request don't hash to the same slot";

/// Things that belong to slots, by the shards of those.
pub(super) fn by_shard<T>(
    handle: &ShardHandle,
    things: impl IntoIterator<Item = T>,
    slot: impl Fn(&T) -> SlotId,
) -> BTreeMap<ShardId, Vec<T>> {
    let mut by_shard = BTreeMap::<_, Vec<_>>::new();
    for thing in things {
        by_shard.entry(handle.owner(slot(&thing))).or_default().push(thing);
    }
    by_shard
}

/// The slot of a request's first key; `None` where it has none.
#[inline]
pub(super) fn slot_of(spec: &CommandSpec, argv: Argv<'_>) -> Option<SlotId> {
    let first = spec.keys.first;
    (first > 0 && (first as usize) < argv.len()).then(|| key_slot(argv.get(first as usize)))
}

/// The shard that a request of [`Place::Slot`] goes to: that of its cursor, or of the slot that it names. One that
/// makes no sense goes to the first, which says what is wrong with it.
///
/// [`Place::Slot`]: carousel_protocol::command_table::Place::Slot
pub(super) fn shard_of(spec: &CommandSpec, argv: Argv<'_>, shard_count: u16) -> ShardId {
    let shard = match spec.id {
        CommandId::Scan => {
            parse_scan_cursor(argv.get(1)).map(|cursor| scan_cursor_shard(cursor, shard_count))
        }
        CommandId::Debug if argv.len() > 2 => Some(ShardId::of_slot(key_slot(argv.get(2)), shard_count)),
        _ => (argv.len() > 2)
            .then(|| parse_i64(argv.get(2)))
            .flatten()
            .and_then(|slot| SlotId::new(u16::try_from(slot).ok()?))
            .map(|slot| ShardId::of_slot(slot, shard_count)),
    };
    shard.unwrap_or(ShardId(0))
}

/// Do all keys share one slot?
pub(super) fn one_slot(spec: &CommandSpec, argv: Argv<'_>, first: SlotId) -> bool {
    spec.key_indices(argv).all(|i| key_slot(argv.get(i)) == first)
}

/// The part of a command that one shard executes.
pub(super) struct Share {
    /// Which shard.
    pub(super) shard: ShardId,
    /// The request with this shard's keys only.
    pub(super) request: Encoded,
    /// Places of those keys among all keys.
    pub(super) keys: Vec<usize>,
}

/// Splits a command by the shards of its keys; or to all shards, where it has none.
pub(super) fn split(
    spec: &'static CommandSpec,
    database: Database,
    argv: Argv<'_>,
    shard_count: u16,
) -> Vec<Share> {
    if spec.keys.first == 0 {
        let request = Encoded::of(spec, database, argv);
        return (0..shard_count)
            .map(|shard| Share { shard: ShardId(shard), request: request.clone(), keys: Vec::new() })
            .collect();
    }
    let step = usize::from(spec.keys.step);
    let mut parts: Vec<(ShardId, Arguments<'_>)> = Vec::new();
    for (n, i) in spec.key_indices(argv).enumerate() {
        let shard = ShardId::of_slot(key_slot(argv.get(i)), shard_count);
        let at = parts.iter().position(|part| part.0 == shard).unwrap_or_else(|| {
            parts.push((shard, Arguments { args: vec![argv.get(0)], keys: Vec::new() }));
            parts.len() - 1
        });
        let part = &mut parts[at].1;
        part.args.extend((i..i + step).map(|i| argv.get(i)));
        part.keys.push(n);
    }
    let share = |(shard, Arguments { args, keys }): (ShardId, Arguments<'_>)| Share {
        shard,
        request: Encoded::new(spec, database, &args),
        keys,
    };
    parts.into_iter().map(share).collect()
}

/// A share before it is encoded.
struct Arguments<'a> {
    args: Vec<&'a [u8]>,
    keys: Vec<usize>,
}

/// The one reply that the parts' replies make, each with the places of its keys among all keys. The first error among
/// them is the whole reply.
pub(super) fn merge(merge: Merge, version: Version, parts: &[(Vec<u8>, Vec<usize>)]) -> Vec<u8> {
    if let Some((error, _)) = parts.iter().find(|(bytes, _)| bytes.first() == Some(&b'-')) {
        return error.clone();
    }
    let replies = parts.iter().map(|(bytes, keys)| {
        let (reply, _) = parse_reply(bytes).ok().flatten().expect("shards answer whole replies");
        (reply, keys)
    });
    let mut out = Vec::new();
    let mut writer = ReplyWriter::new(&mut out, version);
    match merge {
        Merge::Sum => writer.integer(replies.map(|(reply, _)| integer(&reply)).sum()),
        Merge::Ok => writer.ok(),
        Merge::PerKey | Merge::Concat => {
            let mut elements: Vec<(usize, Reply)> = Vec::new();
            for (reply, keys) in replies {
                let Reply::Array(items) = reply else { unreachable!("the command answers an array") };
                let base = elements.len();
                let place = |i: usize| keys.get(i).copied().unwrap_or(base + i);
                elements.extend(items.into_iter().enumerate().map(|(i, item)| (place(i), item)));
            }
            elements.sort_by_key(|element| element.0);
            writer.array(elements.len());
            for (_, element) in elements {
                match element {
                    Reply::Bulk(bytes) => writer.bulk(&bytes),
                    Reply::Null => writer.null(),
                    other => unreachable!("elements are strings or nil, not {other:?}"),
                }
            }
        }
        Merge::Any => {
            let found = replies.map(|(reply, _)| reply).find(|reply| *reply != Reply::Null);
            match found {
                Some(Reply::Bulk(bytes)) => writer.bulk(&bytes),
                None => writer.null(),
                Some(other) => unreachable!("the command answers a string or nil, not {other:?}"),
            }
        }
        Merge::None => unreachable!("a command without a merge rule is not split"),
    }
    out
}

fn integer(reply: &Reply) -> i64 {
    match reply {
        Reply::Integer(n) => *n,
        other => unreachable!("the command answers an integer, not {other:?}"),
    }
}
