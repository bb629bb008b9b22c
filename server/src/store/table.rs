//! The keys of one slot.

use super::collection::{Type, empty_packed};
use super::directory::{DEPTH_MAX, Directory, Node, Resized, tag_of};
use super::entry::{Entry, NewValue};
use super::graveyard::{Grave, bury, cost_of, count_made};
use super::prefetch::prefetch;
use super::segment::{SEGMENT_ENTRIES_MAX, Segment};
use super::{EntryRef, KeyHasher, ScanPosition, Stamp};

const _: () = assert!(size_of::<Table>() <= 64, "a node has 16384 of them, most of them empty at first");
const _: () = assert!(
    DEPTH_MAX + 16 + ScanPosition::SPARE_BITS <= ScanPosition::BITS,
    "a segment's depth and a tag make a position"
);

/// An insertion into a table that has shrunk below this many entries makes it one segment again.
const JOIN_ENTRIES: usize = SEGMENT_ENTRIES_MAX / 4;

/// What a look-up loads, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrefetchDepth {
    /// The table itself.
    Table,
    /// Its array, where the key should be.
    Words,
    /// The key's entry.
    Entry,
}

/// The keys of one slot, with their values and expiries; a key is looked up together with its hash.
///
/// Every operation must be given hashes of the same [`KeyHasher`]. An empty table has no memory of its own.
#[derive(Default)]
pub struct Table {
    segments: Segments,
    len: usize,
    volatile_len: usize,
    heap_bytes: usize,
}

enum Segments {
    One(Segment),
    Many(Box<Directory>),
}

impl Default for Segments {
    fn default() -> Self {
        Self::One(Segment::default())
    }
}

impl Segments {
    #[inline]
    fn of(&self, hash: u64) -> (&Segment, u32) {
        match self {
            Self::One(segment) => (segment, 0),
            Self::Many(directory) => directory.segment(hash),
        }
    }

    #[inline]
    fn of_mut(&mut self, hash: u64) -> (&mut Segment, u32) {
        match self {
            Self::One(segment) => (segment, 0),
            Self::Many(directory) => directory.segment_mut(hash),
        }
    }
}

impl Table {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of keys that have an expiry.
    pub fn volatile_len(&self) -> usize {
        self.volatile_len
    }

    /// Bytes that the table takes from the allocator, exactly as size classes have it; without the table's own
    /// struct.
    pub fn used_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// The key's entry.
    #[inline]
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<EntryRef<'_>> {
        let (segment, depth) = self.segments.of(hash);
        segment.get(tag_of(hash, depth), key)
    }

    /// The key's entry, and what is noted of its use becomes what `note` makes of it.
    #[inline]
    pub fn get_noting(
        &mut self,
        hash: u64,
        key: &[u8],
        note: impl FnOnce(Stamp) -> Stamp,
    ) -> Option<EntryRef<'_>> {
        let (segment, depth) = self.segments.of_mut(hash);
        let at = segment.find(tag_of(hash, depth), key).ok()?;
        let bytes = segment.heap_bytes();
        let stamp = segment.stamp_mut(at);
        *stamp = note(*stamp);
        self.heap_bytes += segment.heap_bytes() - bytes;
        Some(segment.entries()[at].as_ref())
    }

    /// What is noted of the key's use; `None` where there is no key.
    pub fn stamp(&self, hash: u64, key: &[u8]) -> Option<Stamp> {
        let (segment, depth) = self.segments.of(hash);
        segment.find(tag_of(hash, depth), key).ok().map(|at| segment.stamp(at))
    }

    /// Forgets what is noted of all keys' use.
    pub fn forget_stamps(&mut self) {
        let forget = |segment: &mut Segment| {
            let bytes = segment.heap_bytes();
            segment.forget_stamps();
            bytes - segment.heap_bytes()
        };
        self.heap_bytes -= match &mut self.segments {
            Segments::One(segment) => forget(segment),
            Segments::Many(directory) => directory.segments_mut().map(forget).sum(),
        };
    }

    /// Visits up to `count` keys that follow each other in the order of their hashes, and what is noted of their use,
    /// from a place that the dice choose: with hashes as they are, as good as keys chosen each for itself. With
    /// `only_volatile` those with an expiry.
    ///
    /// Looks at the words of some ten thousand keys at most, so it may find nothing in a large table with few such keys.
    pub fn sample<'t>(
        &'t self,
        dice: u64,
        count: usize,
        only_volatile: bool,
        visit: &mut dyn FnMut(EntryRef<'t>, Stamp),
    ) {
        const SEGMENTS_MAX: usize = 32;
        let mut left = count;
        let mut visit_some = |segment: &'t Segment| {
            let len = segment.len();
            // The low bits: the high ones have chosen the segment.
            let start = (dice as u32 as usize).checked_rem(len).unwrap_or(0);
            for at in (start..len).chain(0..start) {
                let entry = segment.entries()[at].as_ref();
                if left == 0 {
                    return false;
                }
                if !only_volatile || entry.is_volatile() {
                    visit(entry, segment.stamp(at));
                    left -= 1;
                }
            }
            left > 0
        };
        match &self.segments {
            Segments::One(segment) => {
                visit_some(segment);
            }
            Segments::Many(directory) => {
                let _ = directory.segments_from(dice).take(SEGMENTS_MAX).all(visit_some);
            }
        }
    }

    /// Starts loading what looking up a key of that hash needs, up to `depth`; without waiting, if the earlier
    /// depths were loaded some time ago.
    #[inline]
    pub fn prefetch(&self, hash: u64, depth: PrefetchDepth) {
        match depth {
            PrefetchDepth::Table => prefetch(self),
            PrefetchDepth::Words => {
                let (segment, depth) = self.segments.of(hash);
                segment.prefetch_words(tag_of(hash, depth));
            }
            PrefetchDepth::Entry => {
                let (segment, depth) = self.segments.of(hash);
                segment.prefetch_entry(tag_of(hash, depth));
            }
        }
    }

    /// Sets a key to a string with this expiry (Unix ms), whether or not it was there; returns whether it was.
    #[inline]
    pub fn set(
        &mut self,
        hasher: &KeyHasher,
        hash: u64,
        key: &[u8],
        value: &[u8],
        expire_at_ms: Option<u64>,
    ) -> bool {
        self.set_value(hasher, hash, key, NewValue::String(value), expire_at_ms)
    }

    /// As [`Self::set`], also for a packed collection.
    #[inline]
    pub fn set_value(
        &mut self,
        hasher: &KeyHasher,
        hash: u64,
        key: &[u8],
        value: NewValue<'_>,
        expire_at_ms: Option<u64>,
    ) -> bool {
        let existed = self.change(hash, key, |entry| entry.set(value, expire_at_ms)).is_some();
        if !existed {
            self.insert(hasher, hash, key, value, expire_at_ms);
        }
        existed
    }

    /// Sets a key's expiry (Unix ms) or takes it away; returns whether the key is there.
    pub fn set_expire(&mut self, hash: u64, key: &[u8], expire_at_ms: Option<u64>) -> bool {
        self.change(hash, key, |entry| entry.set_expire(expire_at_ms)).is_some()
    }

    /// Writes `bytes` into the key's string from `offset` on.
    ///
    /// The string grows as needed, with zeros where nothing was. A missing key begins as an empty string without
    /// expiry, one of another type as an empty string. Otherwise the expiry stays. The string must stay below 4 GiB.
    pub fn patch(&mut self, hasher: &KeyHasher, hash: u64, key: &[u8], offset: usize, bytes: &[u8]) {
        let change = |entry: &mut Entry| {
            if entry.as_ref().string().is_none() {
                entry.set(NewValue::String(&[]), entry.as_ref().expire_at_ms());
            }
            entry.patch(offset, bytes);
        };
        if self.change(hash, key, change).is_none() {
            if offset == 0 {
                self.insert(hasher, hash, key, NewValue::String(bytes), None);
            } else {
                let mut value = vec![0; offset];
                value.extend_from_slice(bytes);
                self.insert(hasher, hash, key, NewValue::String(&value), None);
            }
        }
    }

    /// Makes sure that the key holds a collection of that type: an empty one, where it is missing or holds another.
    pub(super) fn ensure(&mut self, hasher: &KeyHasher, hash: u64, key: &[u8], kind: Type) {
        let found = self.get(hash, key);
        if found.is_some_and(|entry| entry.value().type_of() == kind) {
            return;
        }
        let expire_at_ms = found.and_then(|entry| entry.expire_at_ms());
        self.set_value(hasher, hash, key, NewValue::Packed(&empty_packed(kind)), expire_at_ms);
    }

    /// Changes the key's collection, and removes the key if nothing is left of it. `None` where there is no key.
    pub(super) fn change_collection<R>(
        &mut self,
        hash: u64,
        key: &[u8],
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let change = |entry: &mut Entry| {
            let result = change(entry);
            (result, entry.as_ref().value().is_empty_collection())
        };
        let (result, is_empty) = self.change(hash, key, change)?;
        if is_empty {
            self.remove(hash, key);
        }
        Some(result)
    }

    /// Removes a key; returns whether it was there.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> bool {
        let (segment, depth) = self.segments.of_mut(hash);
        let Ok(at) = segment.find(tag_of(hash, depth), key) else { return false };
        let bytes = segment.heap_bytes();
        let entry = segment.remove(at);
        self.heap_bytes -= entry.heap_bytes() + bytes - segment.heap_bytes();
        self.volatile_len -= usize::from(entry.as_ref().is_volatile());
        self.len -= 1;
        if self.len == 0 {
            *self = Self::new();
        }
        true
    }

    /// Steps through the keys in order of their hashes.
    ///
    /// Begins at position `from`, gives `visit` all keys of each position that it comes to, and stops between
    /// positions once `budget` keys (at least one) were visited. Returns the position to go on from, or `None`
    /// at the end. The positions returned have [`ScanPosition::SPARE_BITS`] zeros at their end.
    ///
    /// Stepping through a whole table while it changes visits every key that was there all the time exactly
    /// once: a key is before a position or not, whatever the table's size.
    pub fn scan<'t>(
        &'t self,
        hasher: &KeyHasher,
        from: ScanPosition,
        budget: usize,
        visit: &mut dyn FnMut(EntryRef<'t>),
    ) -> Option<ScanPosition> {
        self.scan_while(hasher, from, budget, &mut |entry| {
            visit(entry);
            true
        })
    }

    /// As [`Self::scan`], which also ends behind the position of a key for which `visit` returns false.
    pub fn scan_while<'t>(
        &'t self,
        hasher: &KeyHasher,
        from: ScanPosition,
        budget: usize,
        visit: &mut dyn FnMut(EntryRef<'t>) -> bool,
    ) -> Option<ScanPosition> {
        let budget = budget.max(1);
        let mut visited = 0;
        let mut wanted = true;
        let mut position = from.get();
        loop {
            let first_hash = ScanPosition::new(position)?.first_hash();
            let (segment, depth) = self.segments.of(first_hash);
            let first_tag = tag_of(first_hash, depth);
            // After a table has become smaller, or for a key's own position, `from` may lie between two keys of
            // the same tag: then the hash itself tells which are before.
            let splits_tag = first_hash << depth << 16 != 0;
            let tag_shift = ScanPosition::BITS - 16 - depth;
            let prefix = position >> (tag_shift + 16) << (tag_shift + 16);

            let mut last_tag = None;
            for entry in &segment.entries()[segment.lower_bound(first_tag)..] {
                let tag = entry.tag();
                if (visited >= budget || !wanted) && last_tag != Some(tag) {
                    return ScanPosition::new(prefix | u64::from(tag) << tag_shift);
                }
                let is_before = splits_tag
                    && tag == first_tag
                    && ScanPosition::of_hash(hasher.hash(entry.as_ref().key())) < from;
                if !is_before {
                    wanted &= visit(entry.as_ref());
                    visited += 1;
                    last_tag = Some(tag);
                }
            }
            position = prefix + (1 << (tag_shift + 16));
            if visited >= budget || !wanted {
                return ScanPosition::new(position);
            }
        }
    }

    /// All entries: those of a table of one segment in the order of their hashes.
    pub fn iter(&self) -> TableIter<'_> {
        let (one, many) = match &self.segments {
            Segments::One(segment) => (Some(segment), None),
            Segments::Many(directory) => (None, Some(directory.nodes())),
        };
        TableIter {
            entries: one.map_or(&[][..], Segment::entries).iter(),
            nodes: many.unwrap_or_default().iter(),
        }
    }

    /// Looks for keys whose expiry lies before `now_ms` (Unix ms), stepping as [`Self::scan`] does.
    ///
    /// `budget` bounds the keys looked at, due or not; only those with an expiry cost a look into memory. Ends early
    /// where `due` returns false.
    pub fn expire_step(
        &self,
        hasher: &KeyHasher,
        from: ScanPosition,
        now_ms: u64,
        budget: usize,
        due: &mut dyn FnMut(EntryRef<'_>) -> bool,
    ) -> Option<ScanPosition> {
        if self.volatile_len == 0 {
            return None;
        }
        self.scan_while(hasher, from, budget, &mut |entry| {
            entry.expire_at_ms().is_none_or(|at| at >= now_ms) || due(entry)
        })
    }

    /// Some key, chosen by the dice; `None` in an empty table.
    ///
    /// All keys are equally likely up to [`SEGMENT_ENTRIES_MAX`], and nearly so above.
    pub fn random(&self, dice: u64) -> Option<EntryRef<'_>> {
        match &self.segments {
            Segments::One(segment) => {
                let at = (dice as usize).checked_rem(segment.len())?;
                Some(segment.entries()[at].as_ref())
            }
            Segments::Many(directory) => directory.random(dice).map(Entry::as_ref),
        }
    }

    /// Frees entries until the budget is spent, at least one; returns how many. The table is of no other use any more, and
    /// empty when all are gone.
    pub(super) fn take_apart(&mut self, budget: &mut usize) -> usize {
        let before = self.len;
        while self.len > 0 {
            let entry = match &mut self.segments {
                Segments::One(segment) => segment.pop(),
                Segments::Many(directory) => directory.pop_entry(),
            };
            let entry = entry.expect("the entries are in segments");
            *budget = budget.saturating_sub(cost_of(entry.own_bytes()));
            self.len -= 1;
            if *budget == 0 {
                break;
            }
        }
        before - self.len
    }

    /// Changes the key's entry and keeps the sums right; `None` where there is none.
    #[inline]
    fn change<R>(&mut self, hash: u64, key: &[u8], change: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let (segment, depth) = self.segments.of_mut(hash);
        let at = segment.find(tag_of(hash, depth), key).ok()?;
        let entry = segment.entry_mut(at);
        self.heap_bytes -= entry.heap_bytes();
        self.volatile_len -= usize::from(entry.as_ref().is_volatile());
        let result = change(entry);
        self.heap_bytes += entry.heap_bytes();
        self.volatile_len += usize::from(entry.as_ref().is_volatile());
        Some(result)
    }

    fn insert(
        &mut self,
        hasher: &KeyHasher,
        hash: u64,
        key: &[u8],
        value: NewValue<'_>,
        expire_at_ms: Option<u64>,
    ) {
        if self.segments.of(hash).0.len() >= SEGMENT_ENTRIES_MAX {
            self.split(hasher, hash);
        } else if self.len < JOIN_ENTRIES && matches!(self.segments, Segments::Many(_)) {
            self.join(hasher);
        }
        let (segment, depth) = self.segments.of_mut(hash);
        let tag = tag_of(hash, depth);
        let entry = Entry::new(tag, key, value, expire_at_ms);
        let bytes = segment.heap_bytes();
        self.heap_bytes += entry.heap_bytes();
        segment.insert(segment.lower_bound(tag), entry);
        self.heap_bytes += segment.heap_bytes() - bytes;
        self.volatile_len += usize::from(expire_at_ms.is_some());
        self.len += 1;
        count_made();
    }

    fn split(&mut self, hasher: &KeyHasher, hash: u64) {
        if let Segments::One(segment) = &mut self.segments {
            let directory = Box::new(Directory::new(std::mem::take(segment)));
            self.heap_bytes += directory.own_bytes();
            self.segments = Segments::Many(directory);
        }
        let Segments::Many(directory) = &mut self.segments else { unreachable!("made above") };
        let Resized { freed, taken } = directory.split(hasher, hash);
        self.heap_bytes = self.heap_bytes - freed + taken;
    }

    fn join(&mut self, hasher: &KeyHasher) {
        let segments = match std::mem::take(&mut self.segments) {
            Segments::Many(directory) => {
                let arrays: usize = directory.segments().map(Segment::heap_bytes).sum();
                self.heap_bytes -= directory.own_bytes() + arrays;
                let segment = directory.into_segment(hasher);
                self.heap_bytes += segment.heap_bytes();
                Segments::One(segment)
            }
            one => one,
        };
        self.segments = segments;
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let len = self.len;
        bury(self, len, Grave::Table);
    }
}

/// See [`Table::iter`].
pub struct TableIter<'a> {
    entries: std::slice::Iter<'a, Entry>,
    nodes: std::slice::Iter<'a, Node>,
}

impl<'a> Iterator for TableIter<'a> {
    type Item = EntryRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<EntryRef<'a>> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Some(entry.as_ref());
            }
            self.entries = self.nodes.next()?.segment().entries().iter();
        }
    }

    /// Goes over whole segments at a time.
    fn nth(&mut self, mut n: usize) -> Option<EntryRef<'a>> {
        while n >= self.entries.len() {
            n -= self.entries.len();
            self.entries = self.nodes.next()?.segment().entries().iter();
        }
        self.entries.nth(n).map(Entry::as_ref)
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
