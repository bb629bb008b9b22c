//! A key as the effects that make it: for copies on other nodes, logs that are written anew, and copies under another
//! name.

use super::effect::{Effect, Items, ItemsBuf};
use crate::store::{EntryRef, HashRef, ListRef, SetRef, SortedSetRef, Value};

/// Gives `write` the effects that make this key where there is none of its name: one, but for a big collection, whose
/// items come in several of about `piece_bytes` each, followed by its expiry.
pub fn effects_of(entry: EntryRef<'_>, piece_bytes: usize, mut write: impl FnMut(Effect<'_>)) {
    effects_as(entry, entry.key(), piece_bytes, &mut write);
}

/// As [`effects_of`], under another name.
pub fn effects_as(entry: EntryRef<'_>, key: &[u8], piece_bytes: usize, write: &mut dyn FnMut(Effect<'_>)) {
    let expire_at_ms = entry.expire_at_ms();
    // Each piece names the key: however long that is, all pieces together take at most about twice the value's bytes.
    let piece_bytes = piece_bytes.max(key.len());
    match entry.value() {
        Value::String(value) => return write(Effect::Set { key, value, expire_at_ms }),
        Value::List(ListRef::Packed(_))
        | Value::Hash(HashRef::Packed(_))
        | Value::Set(SetRef::Packed(_) | SetRef::Integers(_))
        | Value::SortedSet(SortedSetRef::Packed(_)) => {
            return write(Effect::Store { key, packed: entry.bytes(), expire_at_ms });
        }
        Value::List(list @ ListRef::Big(_)) => in_pieces(
            list.iter_from(0),
            piece_bytes,
            |items, element| items.push(element.as_bytes()),
            |elements, index| write(Effect::Splice { key, index, removed: 0, elements }),
        ),
        Value::Hash(hash @ HashRef::Big(_)) => in_pieces(
            hash.iter(),
            piece_bytes,
            |items, (field, value)| {
                items.push(field.as_bytes());
                items.push(value.as_bytes());
            },
            |pairs, _| write(Effect::HashSet { key, pairs }),
        ),
        Value::Set(set @ SetRef::Big(_)) => in_pieces(
            set.iter(),
            piece_bytes,
            |items, member| items.push(member.as_bytes()),
            |members, _| write(Effect::SetAdd { key, members }),
        ),
        Value::SortedSet(set @ SortedSetRef::Big(_)) => in_pieces(
            set.iter_from(0),
            piece_bytes,
            |items, (score, member)| {
                items.push_score(score);
                items.push(member.as_bytes());
            },
            |pairs, _| write(Effect::Score { key, pairs }),
        ),
    }
    if expire_at_ms.is_some() {
        write(Effect::Expire { key, expire_at_ms });
    }
}

/// Gives `write` the parts of a collection in pieces, each with the number of parts before it.
fn in_pieces<T>(
    parts: impl Iterator<Item = T>,
    piece_bytes: usize,
    put: impl Fn(&mut ItemsBuf, T),
    mut write: impl FnMut(Items<'_>, u64),
) {
    let mut items = ItemsBuf::new();
    let (mut before, mut count) = (0, 0);
    for part in parts {
        put(&mut items, part);
        count += 1;
        if items.len_bytes() >= piece_bytes {
            write(items.items(), before);
            items.clear();
            before = count;
        }
    }
    if !items.is_empty() {
        write(items.items(), before);
    }
}
