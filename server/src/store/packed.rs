//! Items in one run of bytes: how small collections, and the pieces of long lists, lie in memory.
//!
//! ```text
//! 0x00..=0xbf  a string of so many bytes (0 to 191), which follow
//! 0xc0..=0xdf  the integer 0 to 31
//! 0xe0..=0xe4  an integer of 1, 2, 3, 4 or 8 bytes, which follow (LE, two's complement)
//! 0xe5         a string: its length (u32 LE), then its bytes
//! 0xe6         a double (8 bytes LE)
//! ```
//!
//! Text that is an integer in its shortest form is always held as one, in the fewest bytes, and a double only where
//! no integer is the same number: so equal items have equal bytes, and a search compares those. (Redis' listpack
//! serves the same purpose; this walks forwards only, which is enough for runs that are bounded.)

use std::ops::Range;

use carousel_protocol::resp::number::{Decimal, parse_i64};

const SHORT_BYTES_MAX: usize = 0xbf;
const SMALL_INTEGER: u8 = 0xc0;
const SMALL_INTEGER_MAX: i64 = 31;
const INTEGER: u8 = 0xe0;
/// Bytes of an integer item, by its kind minus [`INTEGER`].
const INTEGER_BYTES: [usize; 5] = [1, 2, 3, 4, 8];
const LONG: u8 = 0xe5;
const LONG_HEAD_BYTES: usize = 5;
const DOUBLE: u8 = 0xe6;
const DOUBLE_BYTES: usize = 9;

/// One item as it is read.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// Text that is no integer.
    Text(&'a [u8]),
    /// An integer: its value and its text.
    Integer(i64, Decimal),
    /// A double, which only a score is.
    Double(f64),
}

impl<'a> Item<'a> {
    /// The item's text.
    ///
    /// # Panics
    /// For a double.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text,
            Self::Integer(_, text) => text,
            Self::Double(_) => panic!("a score has no text of its own"),
        }
    }

    /// The item as a number, where it is a score.
    ///
    /// # Panics
    /// For text.
    pub fn as_score(&self) -> f64 {
        match self {
            Self::Integer(value, _) => *value as f64,
            Self::Double(value) => *value,
            Self::Text(_) => panic!("a score is a number"),
        }
    }

    /// Whether it is a double, which only a score may be.
    pub(super) fn is_double(&self) -> bool {
        matches!(self, Self::Double(_))
    }

    /// Whether it is a number, as a score must be.
    pub(super) fn is_score(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Integer(..) => true,
            Self::Double(score) => !score.is_nan(),
        }
    }

    /// The item's length as text.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether its text is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq<[u8]> for Item<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.as_bytes() == other
    }
}

/// Appends the item that `text` is.
#[inline]
pub fn put_item(out: &mut Vec<u8>, text: &[u8]) {
    match parse_i64(text) {
        Some(value) => put_integer(out, value),
        None => put_text(out, text),
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    if text.len() <= SHORT_BYTES_MAX {
        out.push(text.len() as u8);
    } else {
        out.push(LONG);
        out.extend_from_slice(&u32::try_from(text.len()).expect("a length fits 32 bits").to_le_bytes());
    }
    out.extend_from_slice(text);
}

fn put_integer(out: &mut Vec<u8>, value: i64) {
    if (0..=SMALL_INTEGER_MAX).contains(&value) {
        out.push(SMALL_INTEGER + value as u8);
        return;
    }
    let fits = |bytes: usize| bytes == 8 || value >> (8 * bytes - 1) == 0 || value >> (8 * bytes - 1) == -1;
    let kind = INTEGER_BYTES.iter().position(|&bytes| fits(bytes)).expect("all fit 8 bytes");
    out.push(INTEGER + kind as u8);
    out.extend_from_slice(&value.to_le_bytes()[..INTEGER_BYTES[kind]]);
}

/// Appends a score, which is not NaN.
pub fn put_score(out: &mut Vec<u8>, score: f64) {
    /// Beyond, not every integer is a double.
    const EXACT_MAX: f64 = (1u64 << 53) as f64;
    let is_negative_zero = score == 0.0 && score.is_sign_negative();
    if score.fract() == 0.0 && score.abs() <= EXACT_MAX && !is_negative_zero {
        put_integer(out, score as i64);
    } else {
        out.push(DOUBLE);
        out.extend_from_slice(&score.to_le_bytes());
    }
}

/// Bytes that [`put_item`] takes for a text at most.
pub const fn item_bytes_max(text_len: usize) -> usize {
    text_len + LONG_HEAD_BYTES
}

/// Items that lie one after the other, borrowed.
#[derive(Clone, Copy, Default)]
pub struct Packed<'a> {
    bytes: &'a [u8],
    len: usize,
}

/// Where an item lies: its index, and its bytes in the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of items before it.
    pub index: usize,
    /// Its bytes.
    pub bytes: Range<usize>,
}

impl<'a> Packed<'a> {
    /// The `len` items in `bytes`, which were made by [`put_item`] and [`put_score`] or passed [`Self::check`].
    #[inline]
    pub fn new(bytes: &'a [u8], len: usize) -> Self {
        Self { bytes, len }
    }

    /// Whether `bytes` are so many whole items and nothing else.
    pub fn check(bytes: &[u8], len: usize) -> bool {
        let mut rest = bytes;
        for _ in 0..len {
            match item_len(rest) {
                Some(taken) if taken <= rest.len() => rest = &rest[taken..],
                _ => return false,
            }
        }
        rest.is_empty()
    }

    /// Number of items.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The items.
    #[inline]
    pub fn iter(&self) -> PackedIter<'a> {
        PackedIter { rest: self.bytes, left: self.len }
    }

    /// The items from an index on, which may be the end.
    pub fn iter_from(&self, index: usize) -> PackedIter<'a> {
        let at = self.offset_of(index);
        PackedIter { rest: &self.bytes[at..], left: self.len - index }
    }

    /// Where the item of that index begins, or where the run ends.
    ///
    /// # Panics
    /// For an index above the length.
    pub fn offset_of(&self, index: usize) -> usize {
        assert!(index <= self.len, "within the run");
        if index == self.len {
            return self.bytes.len();
        }
        let mut at = 0;
        for _ in 0..index {
            at += self.item_len_at(at);
        }
        at
    }

    /// Where the first `count` items begin.
    pub fn starts(&self, count: usize) -> Vec<usize> {
        let mut at = 0;
        let next = || {
            let start = at;
            at += self.item_len_at(at);
            start
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    /// The items up to an index, and from there on backwards.
    ///
    /// # Panics
    /// For an index that is not below the length.
    pub fn iter_back_from(&self, index: usize) -> PackedBackIter<'a> {
        PackedBackIter { bytes: self.bytes, starts: self.starts(index + 1) }
    }

    /// The item of that index.
    pub fn get(&self, index: usize) -> Option<Item<'a>> {
        (index < self.len).then(|| read_item(&self.bytes[self.offset_of(index)..]).0)
    }

    /// The bytes of `count` items from an index on.
    pub fn range_of(&self, index: usize, count: usize) -> Range<usize> {
        let start = self.offset_of(index);
        let mut end = start;
        for _ in 0..count {
            end += self.item_len_at(end);
        }
        start..end
    }

    /// Looks for an item among every `step`th one from the first on; `item` is encoded.
    #[inline]
    pub fn find(&self, item: &[u8], step: usize) -> Option<Place> {
        let (mut at, mut index) = (0, 0);
        while index < self.len {
            let len = self.item_len_at(at);
            if &self.bytes[at..at + len] == item {
                return Some(Place { index, bytes: at..at + len });
            }
            at += len;
            for _ in 1..step {
                at += self.item_len_at(at);
            }
            index += step;
        }
        None
    }

    /// As [`Self::find`], for the item that `text` is.
    #[inline]
    pub fn find_text(&self, text: &[u8], step: usize) -> Option<Place> {
        let mut wanted = Vec::with_capacity(item_bytes_max(text.len()));
        put_item(&mut wanted, text);
        self.find(&wanted, step)
    }

    #[inline]
    fn item_len_at(&self, at: usize) -> usize {
        item_len(&self.bytes[at..]).expect("a run of whole items")
    }
}

/// Walks a run of items; see [`Packed::iter`].
#[derive(Clone)]
pub struct PackedIter<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for PackedIter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (item, taken) = read_item(self.rest);
        self.rest = &self.rest[taken..];
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for PackedIter<'_> {}

/// Walks items backwards; see [`Packed::iter_back_from`].
pub struct PackedBackIter<'a> {
    bytes: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Iterator for PackedBackIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let start = self.starts.pop()?;
        Some(read_item(&self.bytes[start..]).0)
    }
}

/// Bytes of the item at the start; `None` where too few are there to know, or for an unknown kind.
#[inline]
fn item_len(bytes: &[u8]) -> Option<usize> {
    let first = *bytes.first()?;
    Some(match first {
        0..=0xbf => 1 + usize::from(first),
        0xc0..=0xdf => 1,
        INTEGER..=0xe4 => 1 + INTEGER_BYTES[usize::from(first - INTEGER)],
        LONG => {
            let len: [u8; 4] = bytes.get(1..LONG_HEAD_BYTES)?.try_into().ok()?;
            LONG_HEAD_BYTES + u32::from_le_bytes(len) as usize
        }
        DOUBLE => DOUBLE_BYTES,
        _ => return None,
    })
}

/// The item at the start, and its bytes.
#[inline]
fn read_item(bytes: &[u8]) -> (Item<'_>, usize) {
    let taken = item_len(bytes).expect("a run of whole items");
    let integer = |value| Item::Integer(value, Decimal::new(value));
    let item = match bytes[0] {
        0..=0xbf => Item::Text(&bytes[1..taken]),
        first @ 0xc0..=0xdf => integer(i64::from(first - SMALL_INTEGER)),
        LONG => Item::Text(&bytes[LONG_HEAD_BYTES..taken]),
        DOUBLE => Item::Double(f64::from_le_bytes(bytes[1..taken].try_into().expect("8 bytes"))),
        _ => {
            let mut wide = [0; 8];
            wide[..taken - 1].copy_from_slice(&bytes[1..taken]);
            let unused = 8 * (9 - taken as u32);
            integer(i64::from_le_bytes(wide) << unused >> unused)
        }
    };
    (item, taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(texts: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        texts.iter().for_each(|text| put_item(&mut bytes, text));
        bytes
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..10),
            prop::collection::vec(any::<u8>(), 185..200),
            any::<i64>().prop_map(|value| value.to_string().into_bytes()),
            (-70_000i64..70_000).prop_map(|value| value.to_string().into_bytes()),
            (-40i64..40).prop_map(|value| value.to_string().into_bytes()),
        ]
    }

    proptest! {
        #[test]
        fn items_come_back_in_order_and_are_found(texts in prop::collection::vec(text(), 0..20), at in 0usize..20) {
            let bytes = packed(&texts);
            prop_assert!(Packed::check(&bytes, texts.len()));
            prop_assert!(!Packed::check(&bytes, texts.len() + 1));
            let run = Packed::new(&bytes, texts.len());
            prop_assert_eq!(run.iter().map(|item| item.as_bytes().to_vec()).collect::<Vec<_>>(), texts.clone());
            if let Some(text) = texts.get(at) {
                let mut item = Vec::new();
                put_item(&mut item, text);
                prop_assert!(item.len() <= item_bytes_max(text.len()));
                let first = texts.iter().position(|other| other == text).unwrap();
                let place = run.find(&item, 1).unwrap();
                prop_assert_eq!(place.index, first);
                prop_assert_eq!(run.offset_of(first), place.bytes.start);
                prop_assert_eq!(run.range_of(first, 1), place.bytes);
                prop_assert_eq!(run.iter_from(at).len(), texts.len() - at);
                prop_assert!(run.get(at).unwrap() == text[..]);
            }
        }

        #[test]
        fn any_bytes_are_checked_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), len in 0usize..20) {
            if Packed::check(&bytes, len) {
                prop_assert_eq!(Packed::new(&bytes, len).iter().count(), len);
            }
        }

        #[test]
        fn scores_come_back(score in any::<f64>().prop_filter("a score", |score| !score.is_nan())) {
            for score in [score, score.trunc()] {
                let mut bytes = Vec::new();
                put_score(&mut bytes, score);
                let back = Packed::new(&bytes, 1).get(0).unwrap().as_score();
                prop_assert_eq!(back.to_bits(), score.to_bits());
            }
        }
    }

    #[test]
    fn integers_take_the_fewest_bytes_and_every_fifth_field_can_be_searched() {
        let size = |text: &str| packed(&[text.into()]).len();
        let sizes =
            ["0", "31", "32", "-1", "127", "128", "-32768", "8388607", "8388608", "2147483648"].map(size);
        assert_eq!(sizes, [1, 1, 2, 2, 2, 3, 3, 4, 5, 9]);
        assert_eq!(size("007"), 4, "no integer in its shortest form");
        let bytes = packed(&["a", "1", "b", "a", "1", "b"].map(|text| text.as_bytes().to_vec()));
        let run = Packed::new(&bytes, 6);
        let find = |text: &[u8], step| run.find(&packed(&[text.to_vec()]), step).map(|place| place.index);
        assert_eq!((find(b"1", 2), find(b"1", 1), find(b"b", 2)), (Some(4), Some(1), Some(2)));
        let mut zero = Vec::new();
        put_score(&mut zero, -0.0);
        assert!(Packed::new(&zero, 1).get(0).unwrap().as_score().is_sign_negative());
    }
}
