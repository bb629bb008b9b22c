//! Sets of integers: ascending, all of the same width.

use super::super::packed::Item;
use carousel_protocol::resp::number::Decimal;

/// A set of integers as it is read.
#[derive(Clone, Copy)]
pub struct Integers<'a> {
    width: usize,
    bytes: &'a [u8],
}

impl<'a> Integers<'a> {
    /// The set in `bytes`: width, then integers; they passed [`Self::check`].
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { width: bytes[0].into(), bytes: &bytes[1..] }
    }

    /// Whether `bytes` are a width and so many integers, at least one.
    pub fn check(bytes: &[u8], len: usize) -> bool {
        let Some((&width, integers)) = bytes.split_first() else { return false };
        matches!(width, 2 | 4 | 8) && len > 0 && integers.len() == len * usize::from(width)
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// Never true of a key's value.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The member of that index, the smallest being the first.
    ///
    /// # Panics
    /// Beyond the last.
    #[inline]
    pub fn at(&self, index: usize) -> i64 {
        let bytes = &self.bytes[index * self.width..][..self.width];
        match self.width {
            2 => i16::from_le_bytes(bytes.try_into().expect("of that width")).into(),
            4 => i32::from_le_bytes(bytes.try_into().expect("of that width")).into(),
            _ => i64::from_le_bytes(bytes.try_into().expect("of that width")),
        }
    }

    /// The integer's index, or where to insert it.
    pub fn find(&self, wanted: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.at(middle).cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// The member of that index as an item.
    pub fn item(&self, index: usize) -> Item<'a> {
        let value = self.at(index);
        Item::Integer(value, Decimal::new(value))
    }

    /// Bytes of each.
    pub(super) fn width(&self) -> usize {
        self.width
    }
}

/// Bytes that an integer needs: 2, 4 or 8.
pub(super) fn width_of(value: i64) -> usize {
    match value {
        _ if i16::try_from(value).is_ok() => 2,
        _ if i32::try_from(value).is_ok() => 4,
        _ => 8,
    }
}

/// Appends an integer in that width, which it fits.
pub(super) fn put(out: &mut Vec<u8>, value: i64, width: usize) {
    out.extend_from_slice(&value.to_le_bytes()[..width]);
}
