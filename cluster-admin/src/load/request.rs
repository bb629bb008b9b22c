//! The words of each request, and what its reply must be.

use std::borrow::Cow;

use carousel_client::Reply;

use super::kinds::{Kind, Op};
use super::ledger::Violation;
use super::options::{LoadArgs, ValueSize};
use super::value::{self, Dice, Stamp};

/// Elements that a partial read of a list or sorted set asks for.
const PART: (&[u8], &[u8]) = (b"0", b"9");
const WHOLE: (&[u8], &[u8]) = (b"0", b"-1");

/// Digits that number an item.
const ITEM_DIGITS: usize = 10;

/// How much of a key a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// One item, or a few.
    Item(u32),
    /// All items.
    Whole,
}

/// Memory that a lane uses again for each request, and its dice.
#[derive(Debug)]
pub struct Buffers {
    /// The key's name.
    pub key: Vec<u8>,
    /// A string's value.
    pub value: Vec<u8>,
    /// Further arguments, one after the other, and where each ends.
    items: Vec<u8>,
    ends: Vec<usize>,
    dice: Dice,
}

/// What a reply said that is neither an error nor a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Something, and it is sound.
    Something,
    /// Nothing.
    Nothing,
}

/// What is wrong with a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A value that nobody wrote there.
    Violation(Violation),
    /// Not the kind of reply that the command has.
    Unexpected,
}

impl Buffers {
    /// Empty, with dice of that seed.
    pub fn new(seed: u64) -> Self {
        Self {
            key: Vec::new(),
            value: Vec::new(),
            items: Vec::new(),
            ends: Vec::new(),
            dice: Dice::new(seed),
        }
    }

    /// The key's name for a line of text.
    pub fn key_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.key)
    }

    /// Writes the value of the present key over the last one: with a proof, or of any size without one.
    pub fn make_value(&mut self, size: ValueSize, stamp: Option<Stamp>) {
        let Self { key, value, dice, .. } = self;
        value.clear();
        append_value(value, key, size, stamp, dice);
    }

    /// Writes the arguments that follow the key over the last ones. `run` names this process in values.
    pub fn make_items(&mut self, op: Op, extent: Extent, args: &LoadArgs, run: u64) {
        self.items.clear();
        self.ends.clear();
        let items = match extent {
            Extent::Item(item) => item..item + 1,
            Extent::Whole => 0..args.items,
        };
        let stamp = (!args.unchecked).then_some(Stamp { run, version: 0 });
        match op {
            Op::Get | Op::Set | Op::HGetAll | Op::SMembers | Op::LPop => {}
            Op::LRange | Op::ZRange => {
                let (first, last) = if extent == Extent::Whole { WHOLE } else { PART };
                self.push(first);
                self.push(last);
            }
            Op::HGet | Op::SIsMember | Op::SAdd | Op::SRem | Op::ZScore => {
                items.for_each(|item| self.push_item(item));
            }
            Op::HSet => {
                for item in items {
                    self.push_item(item);
                    self.push_value(args.value_size, stamp);
                }
            }
            Op::RPush => items.for_each(|_| self.push_value(args.value_size, stamp)),
            Op::ZAdd => {
                for item in items {
                    let score = self.dice.below(1_000_000);
                    self.push(score.to_string().as_bytes());
                    self.push_item(item);
                }
            }
        }
    }

    /// The arguments that [`Self::make_items`] made.
    pub fn items(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.items[start..*end])
    }

    fn push(&mut self, word: &[u8]) {
        self.items.extend_from_slice(word);
        self.ends.push(self.items.len());
    }

    fn push_item(&mut self, item: u32) {
        self.items.extend_from_slice(b"item:");
        push_digits(&mut self.items, item, ITEM_DIGITS);
        self.ends.push(self.items.len());
    }

    fn push_value(&mut self, size: ValueSize, stamp: Option<Stamp>) {
        let Self { key, items, dice, .. } = self;
        append_value(items, key, size, stamp, dice);
        self.ends.push(self.items.len());
    }
}

fn append_value(out: &mut Vec<u8>, key: &[u8], size: ValueSize, stamp: Option<Stamp>, dice: &mut Dice) {
    let bytes = size.min + dice.below((size.max - size.min + 1) as u32) as usize;
    match stamp {
        Some(stamp) => value::append(out, key, stamp, bytes),
        None => value::append_padding(out, dice, bytes),
    }
}

/// Writes `number` with leading zeros.
pub fn push_digits(out: &mut Vec<u8>, number: u32, digits: usize) {
    let start = out.len();
    out.resize(start + digits, b'0');
    let mut rest = number;
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// Judges the reply to a command about a key of any type but a string.
///
/// # Errors
/// What is wrong with it.
pub fn judge(op: Op, key: &[u8], checked: bool, reply: &Reply) -> Result<Found, Fault> {
    let value = |bytes: &[u8]| match value::decode(bytes, key) {
        Err(fault) if checked => Err(Fault::Violation(Violation::Value(fault))),
        _ => Ok(()),
    };
    match (op, reply) {
        (Op::HGet | Op::LPop | Op::ZScore | Op::Get, Reply::Null) => Ok(Found::Nothing),
        (Op::HGet | Op::LPop, Reply::Bulk(bytes)) => value(bytes).map(|()| Found::Something),
        (Op::Get | Op::ZScore, Reply::Bulk(_)) | (Op::Set, Reply::Simple(_)) => Ok(Found::Something),
        (Op::LRange, Reply::Array(items)) => all(items, value),
        (Op::HGetAll, Reply::Array(items)) if items.len() % 2 == 0 => {
            items.iter().skip(1).step_by(2).try_for_each(|item| value(bytes_of(item)?))?;
            Ok(some(!items.is_empty()))
        }
        (Op::ZRange | Op::SMembers, Reply::Array(items)) => all(items, |_| Ok(())),
        (Op::SIsMember, Reply::Integer(found)) => Ok(some(*found > 0)),
        (Op::HSet | Op::RPush | Op::SAdd | Op::SRem | Op::ZAdd, Reply::Integer(_)) => Ok(Found::Something),
        _ => Err(Fault::Unexpected),
    }
}

fn all(items: &[Reply], check: impl Fn(&[u8]) -> Result<(), Fault>) -> Result<Found, Fault> {
    items.iter().try_for_each(|item| check(bytes_of(item)?))?;
    Ok(some(!items.is_empty()))
}

fn bytes_of(item: &Reply) -> Result<&[u8], Fault> {
    match item {
        Reply::Bulk(bytes) => Ok(bytes),
        _ => Err(Fault::Unexpected),
    }
}

fn some(found: bool) -> Found {
    if found { Found::Something } else { Found::Nothing }
}

/// The first words of a request; [`Buffers::items`] follow.
pub fn words(op: Op, buffers: &Buffers) -> Vec<&[u8]> {
    let mut words: Vec<&[u8]> = vec![op.name().as_bytes(), &buffers.key];
    words.extend(buffers.items());
    words
}

/// The name of key number `index`, of that kind, over `out`.
pub fn key_name(args: &LoadArgs, kind: Kind, index: u32, out: &mut Vec<u8>) {
    out.clear();
    // One tag is one slot.
    let (open, close): (&[u8], &[u8]) = if args.is_hot_slot() { (b"{", b"}") } else { (b"", b"") };
    out.extend_from_slice(open);
    out.extend_from_slice(args.key_prefix.as_bytes());
    out.extend_from_slice(close);
    out.extend_from_slice(kind.infix().as_bytes());
    push_digits(out, index, super::options::KEY_DIGITS);
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::parse;
    use super::super::value::ValueFault;
    use super::*;

    const STAMP: Option<Stamp> = Some(Stamp { run: 7, version: 0 });

    fn buffers(line: &str, op: Op, extent: Extent) -> Vec<String> {
        let args = parse(line).unwrap();
        let mut buffers = Buffers::new(1);
        key_name(&args, Kind::String, 3, &mut buffers.key);
        buffers.make_items(op, extent, &args, 7);
        words(op, &buffers).iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    #[test]
    fn requests_have_the_words_of_their_command() {
        let words = |line, op, extent| buffers(line, op, extent).join(" ");
        assert_eq!(words("", Op::HGet, Extent::Item(5)), "HGET load:0000000003 item:0000000005");
        assert_eq!(words("", Op::LRange, Extent::Item(5)), "LRANGE load:0000000003 0 9");
        assert_eq!(words("", Op::ZRange, Extent::Whole), "ZRANGE load:0000000003 0 -1");
        assert_eq!(
            words("--items 2", Op::SAdd, Extent::Whole),
            "SADD load:0000000003 item:0000000000 item:0000000001"
        );
        assert_eq!(buffers("--items 3", Op::ZAdd, Extent::Whole).len(), 2 + 6);
        let hset = buffers("--unchecked --value-size 4", Op::HSet, Extent::Item(0));
        assert_eq!((hset.len(), &*hset[2]), (4, "item:0000000000"));
    }

    #[test]
    fn keys_of_a_hot_slot_share_a_tag_and_types_have_names_of_their_own() {
        let name = |line: &str, kind| {
            let mut out = b"old".to_vec();
            key_name(&parse(line).unwrap(), kind, 12, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(name("--key-prefix k:", Kind::String), "k:0000000012");
        assert_eq!(name("--key-prefix k:", Kind::SortedSet), "k:zset:0000000012");
        assert_eq!(name("--distribution hot-slot", Kind::Hash), "{load:}hash:0000000012");
    }

    #[test]
    fn sizes_stay_within_their_range_and_reach_both_ends() {
        let mut buffers = Buffers::new(3);
        buffers.key = b"key".to_vec();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            buffers.make_value("40-49".parse().unwrap(), STAMP);
            assert!(value::decode(&buffers.value, b"key").is_ok());
            seen.insert(buffers.value.len());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), (40..=49).collect::<Vec<_>>());
        buffers.make_value("1".parse().unwrap(), None);
        assert_eq!(buffers.value.len(), 1);
    }

    #[test]
    fn values_inside_collections_are_judged() {
        let mut sound = Vec::new();
        value::append(&mut sound, b"k", STAMP.unwrap(), 40);
        let foreign = Err(Fault::Violation(Violation::Value(ValueFault::Foreign)));
        let corrupt = Err(Fault::Violation(Violation::Value(ValueFault::Corrupt)));
        let bulk = |bytes: &[u8]| Reply::Bulk(bytes.to_vec());
        for op in [Op::HGet, Op::LPop] {
            assert_eq!(judge(op, b"k", true, &bulk(&sound)), Ok(Found::Something));
            assert_eq!(judge(op, b"other", true, &bulk(&sound)), foreign);
            assert_eq!(judge(op, b"k", true, &bulk(b"junk")), corrupt);
            assert_eq!(judge(op, b"k", false, &bulk(b"junk")), Ok(Found::Something));
            assert_eq!(judge(op, b"k", true, &Reply::Null), Ok(Found::Nothing));
            assert_eq!(judge(op, b"k", true, &Reply::Integer(1)), Err(Fault::Unexpected));
        }
        let items = |words: &[&[u8]]| Reply::Array(words.iter().map(|word| bulk(word)).collect());
        assert_eq!(judge(Op::LRange, b"k", true, &items(&[&sound, b"junk"])), corrupt);
        assert_eq!(judge(Op::HGetAll, b"k", true, &items(&[b"field", &sound])), Ok(Found::Something));
        assert_eq!(judge(Op::HGetAll, b"k", true, &items(&[b"field", b"junk"])), corrupt);
        assert_eq!(judge(Op::HGetAll, b"k", true, &items(&[b"field"])), Err(Fault::Unexpected));
        assert_eq!(judge(Op::SMembers, b"k", true, &items(&[])), Ok(Found::Nothing));
        assert_eq!(judge(Op::SIsMember, b"k", true, &Reply::Integer(0)), Ok(Found::Nothing));
    }
}
