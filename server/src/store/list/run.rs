//! A bounded piece of a list: packed items in one allocation, with room to grow at either end.

use std::ops::Range;

use crate::store::fitting::array_bytes;
use crate::store::packed::{Packed, item_bytes_max, put_item};
use crate::store::size_class::class_bytes;

/// Most bytes of a run, unless it is one item that is longer. Bounds the memory that an insertion moves.
pub(super) const RUN_BYTES_MAX: usize = 8 << 10;

/// Bytes that a run gets when it starts to grow.
const FIRST_BYTES: usize = 512;

/// Items that lie one after the other from `start` on. What is before them and the capacity behind them are room.
#[derive(Default)]
pub(super) struct Run {
    buffer: Vec<u8>,
    start: u32,
    len: u32,
}

impl Run {
    /// A run of these items, without any room.
    pub(super) fn of(items: Packed<'_>) -> Self {
        let mut buffer = Vec::with_capacity(class_bytes(items.bytes().len()));
        buffer.extend_from_slice(items.bytes());
        Self { buffer, start: 0, len: to_u32(items.len()) }
    }

    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// The items.
    pub(super) fn items(&self) -> Packed<'_> {
        Packed::new(self.bytes(), self.len())
    }

    /// The items' bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start as usize..]
    }

    /// Bytes taken from the allocator.
    pub(super) fn heap_bytes(&self) -> usize {
        array_bytes(&self.buffer)
    }

    /// Whether the run stays within its bound with so many bytes more.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.bytes().len() + bytes <= RUN_BYTES_MAX
    }

    /// Appends an item. The caller asked [`Self::has_room`], or the run is empty.
    pub(super) fn push(&mut self, text: &[u8]) {
        self.reserve(0, item_bytes_max(text.len()));
        put_item(&mut self.buffer, text);
        self.len += 1;
    }

    /// Appends another run's items. The caller asked [`Self::has_room`].
    pub(super) fn append(&mut self, other: &Self) {
        self.reserve(0, other.bytes().len());
        self.buffer.extend_from_slice(other.bytes());
        self.len += other.len;
    }

    /// Puts items in the place of the `removed` ones that lie at `at`.
    pub(super) fn replace(&mut self, at: Range<usize>, removed: usize, items: Packed<'_>) {
        let added = items.bytes();
        if at.start == 0 {
            self.start += to_u32(at.end);
            if !added.is_empty() {
                self.reserve(added.len(), 0);
                self.start -= to_u32(added.len());
                let start = self.start as usize;
                self.buffer[start..start + added.len()].copy_from_slice(added);
            }
        } else {
            self.reserve(0, added.len().saturating_sub(at.len()));
            let start = self.start as usize;
            self.buffer.splice(start + at.start..start + at.end, added.iter().copied());
        }
        self.len = to_u32(self.len() - removed + items.len());
        let wanted = self.bytes().len();
        if 4 * wanted <= self.buffer.capacity() && self.buffer.capacity() > FIRST_BYTES {
            self.reallocate(0, class_bytes((2 * wanted).max(FIRST_BYTES)));
        }
    }

    /// Takes the items from an index on out.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let at = self.items().offset_of(index);
        let tail = Self::of(Packed::new(&self.bytes()[at..], self.len() - index));
        self.buffer.truncate(self.start as usize + at);
        self.len = to_u32(index);
        self.fit();
        tail
    }

    /// Gives back the room that is not needed.
    pub(super) fn fit(&mut self) {
        let class = class_bytes(self.bytes().len());
        if class < self.buffer.capacity() {
            self.reallocate(0, class);
        }
    }

    /// Makes room before and behind the items.
    ///
    /// What was only pushed at one end has room at that end alone and is moved each time that its size grows by half;
    /// where the room lies at the wrong end, either end gets half of it.
    fn reserve(&mut self, front: usize, back: usize) {
        if front <= self.start as usize && back <= self.buffer.capacity() - self.buffer.len() {
            return;
        }
        let len = self.bytes().len();
        let needed = front + len + back;
        if needed <= self.buffer.capacity() {
            self.move_to(front + (self.buffer.capacity() - needed) / 2);
            return;
        }
        let grown = (len + len / 2).clamp(FIRST_BYTES, RUN_BYTES_MAX);
        let capacity = class_bytes(needed.max(grown));
        self.reallocate(if front > 0 { capacity - len - back } else { 0 }, capacity);
    }

    /// Moves the items within the buffer, whose capacity suffices.
    fn move_to(&mut self, start: usize) {
        let (from, len) = (self.start as usize, self.bytes().len());
        if start + len > self.buffer.len() {
            self.buffer.resize(start + len, 0);
        }
        self.buffer.copy_within(from..from + len, start);
        self.buffer.truncate(start + len);
        self.start = to_u32(start);
    }

    fn reallocate(&mut self, start: usize, capacity: usize) {
        if start == 0 && self.start == 0 {
            // The allocator may have a way without moving them.
            self.buffer.shrink_to(capacity);
            self.buffer.reserve_exact(capacity - self.buffer.len());
        } else {
            let mut buffer = Vec::with_capacity(capacity);
            buffer.resize(start, 0);
            buffer.extend_from_slice(self.bytes());
            self.buffer = buffer;
            self.start = to_u32(start);
        }
    }
}

/// A run is bounded, and so is the one item that is longer.
fn to_u32(value: usize) -> u32 {
    u32::try_from(value).expect("a run is below 4 GiB")
}

/// Bytes of the first item.
pub(super) fn first_item_len(bytes: &[u8]) -> usize {
    Packed::new(bytes, 1).range_of(0, 1).end
}
