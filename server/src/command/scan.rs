//! SCAN: the keys of a node, some at a time.
//!
//! A node's slots are walked shard by shard, on each in ascending order, so that one call stays on one shard. A
//! cursor says where to go on, and nothing else is kept between calls:
//!
//! ```text
//! cursor = number of the slot in that order (14 bits) | position in the slot's table (39 bits)
//! ```
//!
//! That is below 2^53, so it survives clients that read it into a double. A position is of hashes, not of a
//! table's memory, so every key that is there from the first call to the last is returned, however the tables
//! grow; each exactly once, unless its slot moves.

use carousel_protocol::ShardId;
use carousel_protocol::resp::{Argv, ReplyWriter};

use super::error::CommandError;
use super::exec::{Exec, Outcome, integer};
use super::glob::{Case, glob_match};
use super::tables::{LocalSlots, is_due};
use crate::store::{EntryRef, KeyHasher, ScanPosition, Table};

const POSITION_BITS: u32 = ScanPosition::BITS - ScanPosition::SPARE_BITS;
const _: () = assert!(POSITION_BITS + 14 <= 53, "a cursor survives a double");

/// Keys that a call looks at unless COUNT says otherwise.
const COUNT_DEFAULT: usize = 10;

/// The cursor that `text` is, read as Redis reads it (`strtoul`); `None` where it is none.
pub fn parse_scan_cursor(text: &[u8]) -> Option<u64> {
    let (is_negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = std::str::from_utf8(digits).ok()?.parse::<u64>().ok()?;
    Some(if is_negative { value.wrapping_neg() } else { value })
}

/// The shard that a SCAN with this cursor goes to, on a node of `shard_count` shards.
///
/// Any number has one: those that are no cursors go to the last, where the scan ends at once.
pub fn scan_cursor_shard(cursor: u64, shard_count: u16) -> ShardId {
    let mut ordinal = cursor >> POSITION_BITS;
    for shard in (0..shard_count).map(ShardId) {
        let len = LocalSlots::new(shard, shard_count).len() as u64;
        if ordinal < len {
            return shard;
        }
        ordinal -= len;
    }
    ShardId(shard_count - 1)
}

/// The number of a shard's first slot in the order of the walk.
fn first_ordinal(slots: &LocalSlots) -> u64 {
    let before = (0..slots.shard().0).map(|shard| LocalSlots::new(ShardId(shard), slots.shard_count()).len());
    before.sum::<usize>() as u64
}

/// What the SCAN family is told besides the cursor.
pub(super) struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    type_name: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Those of `HSCAN key cursor [MATCH pattern] [COUNT count]` and its like.
    ///
    /// # Errors
    /// An unknown option, one without its value, or a count that is none.
    pub(super) fn of_items(argv: Argv<'a>) -> Result<Self, CommandError> {
        let options = Self::parse(argv, 3)?;
        if options.type_name.is_some() { Err(CommandError::Syntax) } else { Ok(options) }
    }

    /// Those from that argument on.
    fn parse(argv: Argv<'a>, first: usize) -> Result<Self, CommandError> {
        let mut options = Self { pattern: None, count: COUNT_DEFAULT, type_name: None };
        for at in (first..argv.len()).step_by(2) {
            let is = |name: &str| argv.get(at).eq_ignore_ascii_case(name.as_bytes());
            if at + 1 == argv.len() {
                return Err(CommandError::Syntax);
            }
            let argument = argv.get(at + 1);
            if is("COUNT") {
                let count = integer(argument)?;
                if count < 1 {
                    return Err(CommandError::Syntax);
                }
                options.count = usize::try_from(count).unwrap_or(usize::MAX);
            } else if is("MATCH") {
                options.pattern = (argument != b"*").then_some(argument);
            } else if is("TYPE") {
                options.type_name = Some(argument);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Whether an item, or a key, of that name is to be returned.
    pub(super) fn wants(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob_match(pattern, name, Case::Sensitive))
    }
}

/// The next items of a big hash, set or sorted set from a cursor on, and the cursor behind them.
pub(super) fn step<'t, T>(
    table: &'t Table,
    hasher: &KeyHasher,
    cursor: u64,
    options: &ScanOptions<'_>,
    item: impl Fn(EntryRef<'t>) -> T,
) -> (u64, Vec<T>) {
    let position = ScanPosition::new(cursor << ScanPosition::SPARE_BITS & ((1 << ScanPosition::BITS) - 1));
    let mut found = Vec::new();
    let from = position.unwrap_or(ScanPosition::START);
    let next = table.scan(hasher, from, options.count, &mut |entry| found.push(item(entry)));
    (next.map_or(0, |next| next.get() >> ScanPosition::SPARE_BITS), found)
}

/// The head of a reply of the SCAN family: a cursor, then so many elements, which follow.
pub(super) fn reply_items(reply: &mut ReplyWriter<'_>, cursor: u64, len: usize) {
    reply.array(2);
    reply.bulk(cursor.to_string().as_bytes());
    reply.array(len);
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(super) fn scan(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let cursor = parse_scan_cursor(argv.get(1)).ok_or(CommandError::Cursor)?;
    let options = ScanOptions::parse(argv, 2)?;
    let has_type = |entry: &EntryRef<'_>| {
        let type_of = || entry.value().type_of().name().as_bytes();
        options.type_name.is_none_or(|name| name.eq_ignore_ascii_case(type_of()))
    };
    let budget = options.count;

    let slots = exec.tables.local_slots();
    let first_ordinal = first_ordinal(&slots);
    let mut from = ScanPosition::new(cursor << ScanPosition::SPARE_BITS & ((1 << ScanPosition::BITS) - 1));
    let mut local_index = (cursor >> POSITION_BITS).checked_sub(first_ordinal).unwrap_or(u64::MAX);

    let mut elements = Vec::new();
    let mut keys = ReplyWriter::new(&mut elements, exec.reply.version);
    let (mut visited, mut returned) = (0, 0);
    // A call ends at its shard's last slot or with its budget; going over empty slots takes nothing of that.
    while let Some(slot) = usize::try_from(local_index).ok().and_then(|index| slots.slot_at(index)) {
        if visited >= budget {
            break;
        }
        let mut next = None;
        if (exec.owned)(slot) {
            let table = exec.tables.table(slot, exec.database);
            let position = from.unwrap_or(ScanPosition::START);
            next = table.scan(exec.tables.hasher(), position, budget - visited, &mut |entry| {
                visited += 1;
                if options.wants(entry.key()) && has_type(&entry) && !is_due(&entry, exec.now.unix_ms) {
                    keys.bulk(entry.key());
                    returned += 1;
                }
            });
        }
        from = next;
        if next.is_none() {
            local_index += 1;
        }
    }
    let is_shard_done = local_index >= slots.len() as u64;
    let is_node_done = is_shard_done && slots.shard().0 + 1 >= slots.shard_count();
    let next_cursor = if is_node_done {
        0
    } else {
        let ordinal = first_ordinal + local_index.min(slots.len() as u64);
        let position = from.map_or(0, |position| position.get() >> ScanPosition::SPARE_BITS);
        ordinal << POSITION_BITS | position
    };
    reply_items(&mut exec.reply, next_cursor, returned);
    exec.reply.out.extend_from_slice(&elements);
    Ok(())
}
