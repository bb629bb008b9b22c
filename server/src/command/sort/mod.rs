//! SORT: the elements of a list, a set or a sorted set in another order, or values found by them.
//!
//! The patterns of BY and GET make names of keys out of elements. A lone node looks for those keys where they are, if
//! that is the shard of the sorted key; in a cluster only those are looked for whose slot is certainly the same.

mod options;
mod pattern;

use carousel_protocol::command_table::CommandSpec;
use carousel_protocol::resp::Argv;
use carousel_protocol::{Database, key_slot};
use options::Options;
use pattern::{Lookup, Pattern};

use super::double::read_c_double;
use super::effect::{Effect, ItemsBuf};
use super::error::CommandError;
use super::exec::{Exec, Outcome};
use super::tables::Tables;
use crate::limits;
use crate::store::{Item, Value};

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]`;
/// `SORT_RO` is the same without `STORE`.
pub(super) fn sort(spec: &CommandSpec, exec: &mut Exec<'_>, argv: Argv<'_>) -> Outcome {
    let (at, key) = exec.first_key(argv);
    let cluster_slot = (!exec.is_alone).then_some(at.slot);
    let options = Options::parse(spec, argv, cluster_slot)?;
    // Counts a hit or a miss, and removes the key if its time has passed; all else is only looked at.
    exec.read(at, key);
    let lookup = Lookup { tables: exec.tables, database: exec.database, now_ms: exec.now.unix_ms };
    let value = exec.tables.peek(at, key, exec.now.unix_ms).map(|entry| entry.value());
    let sorted = sorted(value, &options, &lookup)?;
    let mut found: Vec<Option<Item<'_>>> = Vec::new();
    for element in &sorted {
        if options.gets.is_empty() {
            found.push(Some(*element));
        }
        for pattern in &options.gets {
            found.push(lookup.find(pattern, element, "GET")?);
        }
    }

    let Some(target) = options.store else {
        exec.reply.array(found.len());
        for item in &found {
            match item {
                Some(item) => exec.reply.bulk(item.as_bytes()),
                None => exec.reply.null(),
            }
        }
        return Ok(());
    };
    let mut elements = ItemsBuf::new();
    for item in &found {
        elements.push(item.as_ref().map_or(b"", |item| item.as_bytes()));
        // Here already: a long value that is got for each element makes more than memory holds.
        if elements.len_bytes() > limits::WRITE_ARGUMENTS_BYTES_MAX {
            break;
        }
    }
    exec.room.reserve(elements.len_bytes())?;
    let count = found.len();
    let target_at = exec.at(target);
    exec.find(target_at, target);
    exec.tables.remove(target_at, target, exec.effects);
    if count > 0 {
        let elements = elements.items();
        exec.change(target_at, Effect::Splice { key: target, index: 0, removed: 0, elements });
    }
    exec.reply.integer(count as i64);
    Ok(())
}

/// Whether a SORT names keys by its patterns.
pub fn looks_up_keys(spec: &CommandSpec, argv: Argv<'_>) -> bool {
    let Ok(options) = Options::parse(spec, argv, None) else { return false };
    options.by.iter().chain(&options.gets).any(|pattern| !pattern.is_constant())
}

/// The keys that a SORT names by its patterns, its own being in `tables`.
pub fn looked_up_keys(
    spec: &CommandSpec,
    database: Database,
    argv: Argv<'_>,
    tables: &Tables,
    now_ms: u64,
) -> Vec<Vec<u8>> {
    let Ok(options) = Options::parse(spec, argv, None) else { return Vec::new() };
    let key = argv.get(1);
    let at = tables.key_at(key_slot(key), database, key);
    let elements = elements(tables.peek(at, key, now_ms).map(|entry| entry.value())).unwrap_or_default();
    let patterns: Vec<_> = options.by.iter().chain(&options.gets).collect();
    let keys = elements.iter().flat_map(|element| patterns.iter().filter_map(|pattern| pattern.key(element)));
    keys.collect()
}

/// The elements that are asked for, in the order that is asked for.
fn sorted<'t>(
    value: Option<Value<'t>>,
    options: &Options<'_>,
    lookup: &Lookup<'t>,
) -> Result<Vec<Item<'t>>, CommandError> {
    // What has no order of its own gets one where the result stays.
    let is_set = matches!(value, Some(Value::Set(_)));
    let is_ordered_anyway = options.is_unsorted && is_set && options.store.is_some();
    if options.is_unsorted && !is_ordered_anyway {
        return unsorted(value, options);
    }
    let (by, order) = match options.by {
        _ if is_ordered_anyway => (None, Order::Text),
        by => (by, options.order),
    };
    let elements = elements(value)?;
    let window = options.window(elements.len());
    let mut keyed = Vec::with_capacity(elements.len());
    for element in elements {
        let key = match by {
            Some(pattern) => SortKey::of_found(lookup.find(&pattern, &element, "BY")?, order),
            None => SortKey::of_element(&element, order),
        };
        keyed.push((key.ok_or(CommandError::Score)?, element));
    }
    // One that is no number, of whatever element, is an error; ties stay in the order in which they come.
    keyed.sort_by(|(a, a_element), (b, b_element)| {
        let order = match (a, b) {
            (SortKey::Number(a), SortKey::Number(b)) => a
                .partial_cmp(b)
                .expect("no score is NaN")
                .then_with(|| a_element.as_bytes().cmp(b_element.as_bytes())),
            (SortKey::Found(a), SortKey::Found(b)) => {
                a.as_ref().map(Item::as_bytes).cmp(&b.as_ref().map(Item::as_bytes))
            }
            _ => a_element.as_bytes().cmp(b_element.as_bytes()),
        };
        if options.is_descending { order.reverse() } else { order }
    });
    Ok(keyed.drain(window).map(|(_, element)| element).collect())
}

/// The elements in the order of their own: with `BY nosort`.
fn unsorted<'t>(value: Option<Value<'t>>, options: &Options<'_>) -> Result<Vec<Item<'t>>, CommandError> {
    let is_backwards = options.is_descending && !matches!(value, Some(Value::Set(_)));
    match value {
        Some(Value::List(list)) if !is_backwards => {
            let window = options.window(list.len());
            return Ok(list.iter_from(window.start).take(window.len()).collect());
        }
        Some(Value::SortedSet(set)) if !is_backwards => {
            let window = options.window(set.len());
            return Ok(set.iter_from(window.start).take(window.len()).map(|(_, member)| member).collect());
        }
        _ => {}
    }
    let mut elements = elements(value)?;
    if is_backwards {
        elements.reverse();
    }
    Ok(elements.drain(options.window(elements.len())).collect())
}

/// All elements, in the order in which they lie.
fn elements(value: Option<Value<'_>>) -> Result<Vec<Item<'_>>, CommandError> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::List(list)) => Ok(list.iter_from(0).collect()),
        Some(Value::Set(set)) => Ok(set.iter().collect()),
        Some(Value::SortedSet(set)) => Ok(set.iter_from(0).map(|(_, member)| member).collect()),
        Some(Value::String(_) | Value::Hash(_)) => Err(CommandError::WrongType),
    }
}

/// What elements are compared by.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Order {
    #[default]
    Number,
    /// `ALPHA`
    Text,
}

/// What one element is compared by.
enum SortKey<'t> {
    /// A number; equal ones are in the order of the elements.
    Number(f64),
    /// What BY found for it; nothing comes first.
    Found(Option<Item<'t>>),
    /// The element itself.
    Element,
}

impl<'t> SortKey<'t> {
    /// `None` where it is to be a number and is none.
    fn of_element(element: &Item<'t>, order: Order) -> Option<Self> {
        match order {
            Order::Number => score(element).map(Self::Number),
            Order::Text => Some(Self::Element),
        }
    }

    fn of_found(found: Option<Item<'t>>, order: Order) -> Option<Self> {
        match order {
            Order::Number => found.map_or(Some(0.0), |found| score(&found)).map(Self::Number),
            Order::Text => Some(Self::Found(found)),
        }
    }
}

/// The number that an item is to SORT, which reads it as C's `strtod` does: spaces may come first, and a zero byte ends
/// it.
fn score(item: &Item<'_>) -> Option<f64> {
    let text = match item {
        Item::Integer(value, _) => return Some(*value as f64),
        Item::Double(score) => return Some(*score),
        Item::Text(text) => *text,
    };
    let (value, is_in_range) = read_c_double(text)?;
    (is_in_range && !value.is_subnormal()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_what_strtod_makes_of_it() {
        let of = |text: &str| score(&Item::Text(text.as_bytes()));
        for (text, value) in [
            ("", 0.0),
            ("1.5", 1.5),
            (" \t+1.5e3", 1500.0),
            ("\x0b.5", 0.5),
            ("5.", 5.0),
            ("-0", 0.0),
            ("0e99999", 0.0),
            ("0x1A", 26.0),
            ("-0X.8p1", -1.0),
            ("0x0", 0.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("1\x002", 1.0),
            ("007", 7.0),
            ("2.2250738585072014e-308", f64::MIN_POSITIVE),
        ] {
            assert_eq!(of(text), Some(value), "{text}");
        }
        for text in [
            " ", ".", "-", "1 ", "1e", "1e400", "-1e400", "1e-400", "1e-310", "nan", "abc", "0x", "0xg",
            "1_0", "--1",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
