//! What an effect is about: fields, members, elements.

use super::codec::{EffectIter, put_bytes};
use crate::varint::VARINT_BYTES_MAX;

/// Some byte strings, one after the other, encoded: the fields, members or elements that an effect is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Items<'a>(pub(super) &'a [u8]);

impl<'a> Items<'a> {
    /// The items.
    #[inline]
    pub fn iter(&self) -> ItemsIter<'a> {
        ItemsIter { rest: self.0 }
    }

    /// The items, two by two.
    #[inline]
    pub fn pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone + use<'a> {
        let mut items = self.iter();
        std::iter::from_fn(move || Some((items.next()?, items.next()?)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// See [`Items::iter`].
#[derive(Clone)]
pub struct ItemsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ItemsIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let mut from = EffectIter::new(self.rest);
        let item = from.bytes().expect("items are made whole, or checked");
        self.rest = from.rest;
        Some(item)
    }
}

/// A score as an item; see [`ItemsBuf::push_score`].
pub fn encode_score(score: f64) -> [u8; 8] {
    assert!(!score.is_nan(), "no score is NaN");
    (score + 0.0).to_le_bytes()
}

/// Items in the making.
#[derive(Default)]
pub struct ItemsBuf {
    bytes: Vec<u8>,
}

impl ItemsBuf {
    /// No items.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an item.
    #[inline]
    pub fn push(&mut self, item: &[u8]) {
        // At once for the length and the item: most have one item, and so allocate once.
        self.bytes.reserve(item.len() + VARINT_BYTES_MAX);
        put_bytes(&mut self.bytes, item);
    }

    /// Appends a score; -0 as 0, as Redis has it in small sorted sets, so that equal scores are equal bytes.
    #[inline]
    pub fn push_score(&mut self, score: f64) {
        self.push(&encode_score(score));
    }

    /// Their bytes.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets them; the memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The items.
    pub fn items(&self) -> Items<'_> {
        Items(&self.bytes)
    }
}

impl<'v> FromIterator<&'v [u8]> for ItemsBuf {
    fn from_iter<I: IntoIterator<Item = &'v [u8]>>(items: I) -> Self {
        let mut buf = Self::new();
        items.into_iter().for_each(|item| buf.push(item));
        buf
    }
}
