//! Segments of one large table, found by the top bits of a key's hash: extendible hashing.
//!
//! The index has `2^depth` places. A segment of depth d holds all hashes with its d top bits and stands in the
//! `2^(depth - d)` neighbouring places that begin with them. A full segment splits into two of depth d + 1; only
//! when d is the index's depth already does the index double.

use super::Stamp;
use super::entry::Entry;
use super::hash::KeyHasher;
use super::segment::{SEGMENT_ENTRIES_MAX, Segment};

/// Deepest segment: depth and tag together fit the bits of a `ScanPosition` that are not spare, and no memory
/// holds the `2^23 * SEGMENT_ENTRIES_MAX / 2` keys that it would take to get here. A segment that is full at
/// this depth just grows.
pub(super) const DEPTH_MAX: u32 = 23;

/// The bits of a hash that a segment of that depth sorts by.
#[inline]
pub(super) fn tag_of(hash: u64, depth: u32) -> u16 {
    ((hash << depth) >> 48) as u16
}

pub(super) struct Directory {
    depth: u32,
    index: Vec<u32>,
    segments: Vec<Node>,
}

/// What a change did to the directory's memory, in bytes.
pub(super) struct Resized {
    pub(super) freed: usize,
    pub(super) taken: usize,
}

/// A segment and how many of the hash's top bits all its keys share.
pub(super) struct Node {
    depth: u32,
    segment: Segment,
}

impl Node {
    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }
}

impl Directory {
    /// A directory of one segment, which the caller splits.
    pub(super) fn new(segment: Segment) -> Self {
        Self { depth: 0, index: vec![0], segments: vec![Node { depth: 0, segment }] }
    }

    #[inline]
    fn place(&self, hash: u64) -> usize {
        // Two shifts: at depth 0 all 64 bits go.
        ((hash >> 1) >> (63 - self.depth)) as usize
    }

    /// The segment for that hash, and its depth.
    #[inline]
    pub(super) fn segment(&self, hash: u64) -> (&Segment, u32) {
        let node = &self.segments[self.index[self.place(hash)] as usize];
        (&node.segment, node.depth)
    }

    /// The segment for that hash, and its depth.
    #[inline]
    pub(super) fn segment_mut(&mut self, hash: u64) -> (&mut Segment, u32) {
        let place = self.place(hash);
        let node = &mut self.segments[self.index[place] as usize];
        (&mut node.segment, node.depth)
    }

    /// All segments, in no order.
    pub(super) fn segments_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.segments.iter_mut().map(|node| &mut node.segment)
    }

    /// The segments in the order of their hashes, from one that the dice chose on, each once.
    pub(super) fn segments_from(&self, dice: u64) -> impl Iterator<Item = &Segment> {
        let start = self.place(dice);
        let mut last = None;
        (0..self.index.len()).filter_map(move |step| {
            let segment = self.index[(start + step) % self.index.len()];
            (last.replace(segment) != Some(segment)).then(|| &self.segments[segment as usize].segment)
        })
    }

    /// Takes some entry out of a directory that is being taken apart.
    pub(super) fn pop_entry(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.segments.last_mut()?.segment.pop() {
                return Some(entry);
            }
            self.segments.pop();
        }
    }

    /// All segments, in no order.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.segments
    }

    /// As [`Self::nodes`].
    pub(super) fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().map(Node::segment)
    }

    /// Some entry, chosen by the dice; `None` where all segments are empty.
    pub(super) fn random(&self, dice: u64) -> Option<&Entry> {
        let start = self.place(dice);
        (0..self.index.len()).find_map(|step| {
            let place = (start + step) % self.index.len();
            let entries = self.segments[self.index[place] as usize].segment.entries();
            entries.get((dice as u32 as usize).checked_rem(entries.len())?)
        })
    }

    /// Bytes of the directory itself, without its segments' arrays.
    pub(super) fn own_bytes(&self) -> usize {
        size_of::<Self>()
            + self.index.capacity() * size_of::<u32>()
            + self.segments.capacity() * size_of::<Node>()
    }

    /// Splits the segment for that hash in two, if it is not at the greatest depth.
    ///
    /// Touches the segment's entries (to hash their keys again) and, where the index doubles, the index.
    pub(super) fn split(&mut self, hasher: &KeyHasher, hash: u64) -> Resized {
        let at = self.index[self.place(hash)] as usize;
        let depth = self.segments[at].depth;
        if depth == DEPTH_MAX {
            return Resized { freed: 0, taken: 0 };
        }
        let freed = self.own_bytes() + self.segments[at].segment.heap_bytes();
        if depth == self.depth {
            self.index = self.index.iter().flat_map(|&segment| [segment, segment]).collect();
            self.depth += 1;
        }
        let (entries, mut stamps) = std::mem::take(&mut self.segments[at].segment).into_parts();
        let mut stamps = stamps.drain(..);
        let mut halves = [(); 2].map(|()| (Vec::with_capacity(SEGMENT_ENTRIES_MAX), Vec::new()));
        for mut entry in entries {
            let hash = hasher.hash(entry.as_ref().key());
            entry.set_tag(tag_of(hash, depth + 1));
            let (entries, its_stamps) = &mut halves[((hash << depth) >> 63) as usize];
            entries.push(entry);
            its_stamps.extend(stamps.next());
        }
        let other = u32::try_from(self.segments.len()).expect("at most 2^DEPTH_MAX segments");
        let [low, high] = halves.map(|(entries, stamps)| Segment::from_parts(entries, stamps));
        let arrays = low.heap_bytes() + high.heap_bytes();
        self.segments[at] = Node { depth: depth + 1, segment: low };
        self.segments.push(Node { depth: depth + 1, segment: high });

        let span = 1 << (self.depth - depth);
        let first = self.place(hash) & !(span - 1);
        self.index[first + span / 2..first + span].fill(other);
        Resized { freed, taken: self.own_bytes() + arrays }
    }

    /// All entries as one segment, for a table that has become small.
    pub(super) fn into_segment(self, hasher: &KeyHasher) -> Segment {
        let mut entries = Vec::with_capacity(SEGMENT_ENTRIES_MAX);
        let (mut stamps, mut is_stamped) = (Vec::new(), false);
        for node in self.segments {
            let (its_entries, its_stamps) = node.segment.into_parts();
            is_stamped |= !its_stamps.is_empty();
            entries.extend(its_entries);
            stamps.extend(its_stamps);
            // A segment that none was noted of has none.
            stamps.resize(entries.len(), Stamp::UNSET);
        }
        for entry in &mut entries {
            entry.set_tag(tag_of(hasher.hash(entry.as_ref().key()), 0));
        }
        Segment::from_parts(entries, if is_stamped { stamps } else { Vec::new() })
    }
}
