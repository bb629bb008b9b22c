//! Commands that look for an element of a list.

use carousel_protocol::resp::Argv;
use carousel_protocol::resp::number::parse_i64;

use super::super::effect::{Effect, ItemsBuf};
use super::super::error::CommandError;
use super::super::exec::{Exec, Outcome, integer_from, signed_count, view};
use super::remove;
use crate::limits;
use crate::store::{Item, ListRef};

/// What is looked for.
struct Wanted<'a> {
    text: &'a [u8],
    /// Equal integers have equal texts, and comparing the former is faster.
    integer: Option<i64>,
}

impl<'a> Wanted<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, integer: parse_i64(text) }
    }

    fn is(&self, item: &Item<'_>) -> bool {
        match item {
            Item::Text(text) => self.integer.is_none() && *text == self.text,
            Item::Integer(value, _) => self.integer == Some(*value),
            Item::Double(_) => unreachable!("a list has no scores"),
        }
    }
}

/// Where the wanted elements are among the first `depth`, or among the last ones, backwards.
fn matches<'t>(
    list: ListRef<'t>,
    wanted: &Wanted<'_>,
    backwards: bool,
    depth: usize,
) -> impl Iterator<Item = usize> {
    let len = list.len();
    let forth = (!backwards).then(|| list.iter_from(0).enumerate());
    let back = backwards.then(|| (0..len).rev().zip(list.iter_back_from(len - 1)));
    let elements = forth.into_iter().flatten().chain(back.into_iter().flatten());
    elements.take(depth).filter_map(move |(index, element)| wanted.is(&element).then_some(index))
}

/// `LINSERT key BEFORE | AFTER pivot element`
pub(in super::super) fn linsert(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let behind = match argv.get(2) {
        place if place.eq_ignore_ascii_case(b"BEFORE") => 0,
        place if place.eq_ignore_ascii_case(b"AFTER") => 1,
        _ => return Err(CommandError::Syntax),
    };
    let Some(list) = exec.find_as::<ListRef<'_>>(at, key)? else {
        exec.reply.integer(0);
        return Ok(());
    };
    let len = list.len();
    let pivot = matches(list, &Wanted::new(argv.get(3)), false, len).next();
    let Some(pivot) = pivot else {
        exec.reply.integer(-1);
        return Ok(());
    };
    let element: ItemsBuf = [argv.get(4)].into_iter().collect();
    let index = (pivot + behind) as u64;
    exec.change(at, Effect::Splice { key, index, removed: 0, elements: element.items() });
    exec.reply.integer(len as i64 + 1);
    Ok(())
}

/// `LREM key count element`: as many as the count from the head on, or where it is negative from the tail on, or all.
pub(in super::super) fn lrem(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let count = signed_count(argv.get(2))?;
    let Some(list) = exec.find_as::<ListRef<'_>>(at, key)? else {
        exec.reply.integer(0);
        return Ok(());
    };
    let len = list.len();
    let count_max = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let wanted = Wanted::new(argv.get(3));
    let mut found: Vec<usize> = matches(list, &wanted, count < 0, len).take(count_max).collect();
    if count >= 0 {
        found.reverse();
    }
    // From the tail on, so that no removal moves what is still to be removed; neighbours go together.
    let ranges = found.chunk_by(|later, earlier| earlier + 1 == *later);
    exec.room.reserve(ranges.clone().count() * (key.len() + limits::RECORD_OVERHEAD_BYTES))?;
    exec.reply.integer(found.len() as i64);
    let mut left = len;
    for range in ranges {
        let range = range[range.len() - 1]..range[0] + 1;
        let removed = range.len();
        remove(exec, at, key, range, left);
        left -= removed;
    }
    Ok(())
}

/// The options of LPOS.
struct PosOptions {
    rank: i64,
    count: Option<usize>,
    /// How many elements are looked at.
    depth: usize,
}

impl PosOptions {
    fn parse(argv: Argv<'_>) -> Result<Self, CommandError> {
        const RANK_ZERO: &str = "RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                                 or use negative to start from the end of the list";
        let mut options = Self { rank: 1, count: None, depth: usize::MAX };
        for at in (3..argv.len()).step_by(2) {
            let option = argv.get(at);
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            if at + 1 == argv.len() {
                return Err(CommandError::Syntax);
            }
            let value = argv.get(at + 1);
            let natural = |words| integer_from(value, 0, words).map(|value| value as usize);
            match () {
                () if is("RANK") => {
                    options.rank = signed_count(value)?;
                    if options.rank == 0 {
                        return Err(CommandError::Argument(RANK_ZERO));
                    }
                }
                () if is("COUNT") => options.count = Some(natural("COUNT can't be negative")?),
                () if is("MAXLEN") => {
                    let depth = natural("MAXLEN can't be negative")?;
                    options.depth = if depth == 0 { usize::MAX } else { depth };
                }
                () => return Err(CommandError::Syntax),
            }
        }
        Ok(options)
    }
}

/// `LPOS key element [RANK rank] [COUNT count] [MAXLEN depth]`
pub(in super::super) fn lpos(exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let options = PosOptions::parse(argv)?;
    let found: Option<ListRef<'_>> = view(exec.tables.read(at, key, exec.now.unix_ms, exec.effects))?;
    let wanted = Wanted::new(argv.get(2));
    let skipped = options.rank.unsigned_abs() as usize - 1;
    let count_max = match options.count {
        None => 1,
        Some(0) => usize::MAX,
        Some(count) => count,
    };
    let places: Vec<usize> = found.map_or(Vec::new(), |list| {
        matches(list, &wanted, options.rank < 0, options.depth).skip(skipped).take(count_max).collect()
    });
    if options.count.is_some() {
        exec.reply.array(places.len());
        places.iter().for_each(|place| exec.reply.integer(*place as i64));
    } else {
        match places.first() {
            Some(place) => exec.reply.integer(*place as i64),
            None => exec.reply.null(),
        }
    }
    Ok(())
}
