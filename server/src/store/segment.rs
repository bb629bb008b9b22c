//! A bounded array of entries sorted by tag.

use super::entry::Entry;
use super::fitting::insert_fitting;
use super::prefetch::prefetch;
use super::size_class::class_bytes;
use super::{EntryRef, Stamp};

/// Most entries of a segment; one that would get more is split in two. Bounds the memory that an insertion
/// moves (half of 4 KiB on average) and the keys that a split hashes again.
pub const SEGMENT_ENTRIES_MAX: usize = 512;

const WORD_BYTES: usize = size_of::<Entry>();
const STAMP_BYTES: usize = size_of::<Stamp>();

/// Entries sorted by tag: the 16 bits of their hash behind the bits that all of the segment share.
#[derive(Default)]
pub(super) struct Segment {
    entries: Vec<Entry>,
    /// How the entries are used, in the same order; empty until the first is noted, then for all that there is room for.
    stamps: Box<[Stamp]>,
}

impl Segment {
    /// A segment of these entries, in any order, and their stamps, where there are any.
    pub(super) fn from_parts(mut entries: Vec<Entry>, mut stamps: Vec<Stamp>) -> Self {
        if stamps.is_empty() {
            entries.sort_unstable_by_key(Entry::tag);
        } else {
            let mut pairs: Vec<_> = entries.drain(..).zip(stamps.drain(..)).collect();
            pairs.sort_unstable_by_key(|(entry, _)| entry.tag());
            for (entry, stamp) in pairs {
                entries.push(entry);
                stamps.push(stamp);
            }
        }
        let mut segment = Self { entries, stamps: stamps.into() };
        segment.fit();
        segment
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries in order of their tags.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries and their stamps, where there are any.
    pub(super) fn into_parts(self) -> (Vec<Entry>, Vec<Stamp>) {
        let mut stamps = self.stamps.into_vec();
        stamps.truncate(self.entries.len());
        (self.entries, stamps)
    }

    /// How the entry at that index is used.
    pub(super) fn stamp(&self, at: usize) -> Stamp {
        self.stamps.get(at).copied().unwrap_or_default()
    }

    /// The same to be changed; makes room to note it for all entries.
    pub(super) fn stamp_mut(&mut self, at: usize) -> &mut Stamp {
        if self.stamps.is_empty() {
            self.fit_stamps(self.entries.capacity());
        }
        &mut self.stamps[at]
    }

    /// Forgets how the entries are used.
    pub(super) fn forget_stamps(&mut self) {
        self.stamps = Box::default();
    }

    fn fit_stamps(&mut self, entries: usize) {
        let stamps = class_bytes(entries * STAMP_BYTES) / STAMP_BYTES;
        let mut all = std::mem::take(&mut self.stamps).into_vec();
        all.truncate(stamps);
        all.reserve_exact(stamps - all.len());
        all.resize(stamps, Stamp::UNSET);
        self.stamps = all.into();
    }

    /// The entry at an index that `find` gave.
    pub(super) fn entry_mut(&mut self, at: usize) -> &mut Entry {
        &mut self.entries[at]
    }

    /// Bytes of the arrays.
    pub(super) fn heap_bytes(&self) -> usize {
        let stamps = if self.stamps.is_empty() { 0 } else { class_bytes(self.stamps.len() * STAMP_BYTES) };
        self.entries.capacity() * WORD_BYTES + stamps
    }

    /// Index of the first entry whose tag is not below `tag`.
    ///
    /// Tags are uniform, so the search starts where the tag should be; with n entries the expected distance
    /// from there is below sqrt(n) / 2.
    #[inline]
    pub(super) fn lower_bound(&self, tag: u16) -> usize {
        let entries = self.entries.as_slice();
        let mut at = (usize::from(tag) * entries.len()) >> 16;
        if at < entries.len() && entries[at].tag() < tag {
            at += 1;
            while at < entries.len() && entries[at].tag() < tag {
                at += 1;
            }
        } else {
            while at > 0 && entries[at - 1].tag() >= tag {
                at -= 1;
            }
        }
        at
    }

    /// Starts loading the words around the place where the tag should be.
    #[inline]
    pub(super) fn prefetch_words(&self, tag: u16) {
        let guess = (usize::from(tag) * self.entries.len()) >> 16;
        prefetch(self.entries.as_ptr().wrapping_add(guess));
    }

    /// Starts loading the entry of that tag, if there is one.
    #[inline]
    pub(super) fn prefetch_entry(&self, tag: u16) {
        if let Some(entry) = self.entries.get(self.lower_bound(tag))
            && entry.tag() == tag
        {
            entry.prefetch();
        }
    }

    /// The key's index, or where to insert it.
    #[inline]
    pub(super) fn find(&self, tag: u16, key: &[u8]) -> Result<usize, usize> {
        let mut at = self.lower_bound(tag);
        while let Some(entry) = self.entries.get(at)
            && entry.tag() == tag
        {
            if entry.as_ref().key() == key {
                return Ok(at);
            }
            at += 1;
        }
        Err(at)
    }

    /// The entry of the key.
    #[inline]
    pub(super) fn get(&self, tag: u16, key: &[u8]) -> Option<EntryRef<'_>> {
        self.find(tag, key).ok().map(|at| self.entries[at].as_ref())
    }

    /// Inserts at the index that `find` gave.
    pub(super) fn insert(&mut self, at: usize, entry: Entry) {
        insert_fitting(&mut self.entries, at, entry);
        if !self.stamps.is_empty() {
            let len = self.entries.len();
            if self.stamps.len() < len {
                self.fit_stamps(self.entries.capacity());
            }
            self.stamps.copy_within(at..len - 1, at + 1);
            self.stamps[at] = Stamp::UNSET;
        }
    }

    /// Takes the entry at that index out.
    pub(super) fn remove(&mut self, at: usize) -> Entry {
        let entry = self.entries.remove(at);
        if !self.stamps.is_empty() {
            self.stamps.copy_within(at + 1..self.entries.len() + 1, at);
        }
        if self.entries.len() < self.entries.capacity() / 2 {
            self.fit();
        }
        entry
    }

    /// Takes the last entry out of a segment that is being taken apart: the array stays as it is.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.entries.pop()
    }

    fn fit(&mut self) {
        let words = match self.entries.len() {
            0 => 0,
            len => class_bytes((len + len / 8) * WORD_BYTES) / WORD_BYTES,
        };
        self.entries.shrink_to(words);
        if words == 0 {
            self.forget_stamps();
        } else if !self.stamps.is_empty() {
            self.fit_stamps(self.entries.capacity());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::NewValue;
    use super::*;

    #[test]
    fn entries_are_found_wherever_their_tags_crowd() {
        // All in one corner, all equal, and spread: the guess is right only for the last.
        for tags in [vec![0; 40], vec![0xffff; 40], (0..40).collect(), (0..40).map(|i| i * 1600).collect()] {
            let mut segment = Segment::default();
            for (i, &tag) in tags.iter().enumerate().rev() {
                let key = i.to_string();
                let at = segment.find(tag, key.as_bytes()).unwrap_err();
                segment.insert(at, Entry::new(tag, key.as_bytes(), NewValue::String(b""), None));
            }
            assert!(segment.entries().is_sorted_by_key(Entry::tag));
            for (i, &tag) in tags.iter().enumerate() {
                let at = segment.find(tag, i.to_string().as_bytes()).unwrap();
                assert_eq!(segment.entries()[at].as_ref().key(), i.to_string().as_bytes());
                assert!(segment.find(tag, b"absent").is_err());
            }
        }
    }

    #[test]
    fn the_array_follows_the_number_of_entries_both_ways() {
        let mut segment = Segment::default();
        assert_eq!(segment.heap_bytes(), 0);
        for i in 0..200u16 {
            segment.insert(i.into(), Entry::new(i, b"k", NewValue::String(b""), None));
            assert!(segment.heap_bytes() <= (segment.len() * 10).max(32), "at {i}");
        }
        for _ in 0..200 {
            segment.remove(0);
            assert!(segment.heap_bytes() <= segment.len() * 16 + 16);
        }
        assert_eq!(segment.heap_bytes(), 0);
    }
}
