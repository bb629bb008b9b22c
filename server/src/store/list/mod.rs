//! A list of any length: short runs of packed items.
//!
//! A [`Run`] is up to 8 KiB of items in one allocation, with room to grow at both ends, and up to 128 neighbouring
//! runs are a [`Group`]. The groups stand in one array that counts the items of each. So an index is found by
//! adding up some thousand counts at worst, even in a list of fifty million items, and no change moves more than a
//! run's bytes, a group's runs or the array of groups. What lies within one run is changed there; all other changes
//! first cut runs in two where they begin and end, and then join neighbours that have become small.
//!
//! Items of a run are found from its first one on, since packed items have no length behind them. Taking items off
//! a list's end would walk the last run each time, so the lengths of its last items are kept aside.

mod group;
mod iter;
mod run;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;

use group::{GROUP_RUNS_MAX, Group, deque_bytes, shrink};
pub use iter::{ListBackIter, ListIter};
use run::{RUN_BYTES_MAX, Run, first_item_len};

use super::fitting::array_bytes;
use super::graveyard::{Grave, bury, cost_of, count_made};
use super::packed::{Item, Packed, item_bytes_max};

/// Neighbouring runs that together have no more bytes become one. Below a full run, or the next insertion would cut
/// it again.
const JOINED_BYTES_MAX: usize = RUN_BYTES_MAX / 4 * 3;
/// A run with fewer bytes left tries to join a neighbour.
const SMALL_RUN_BYTES: usize = RUN_BYTES_MAX / 4;
/// Neighbouring groups that together have no more runs become one.
const JOINED_GROUP_RUNS_MAX: usize = GROUP_RUNS_MAX / 2;

/// Most lengths of last items that are kept, and how many are collected when there are none.
const LAST_LENS_MAX: usize = 64;
const LAST_LENS: usize = LAST_LENS_MAX / 2;

/// A list that is too long for one packed run.
#[derive(Default)]
pub struct List {
    groups: VecDeque<Group>,
    len: usize,
    /// Heap bytes of the groups.
    groups_bytes: usize,
    /// Encoded lengths of the last items of the last run, at least one unless the list is empty.
    last_lens: Vec<u32>,
}

impl Drop for List {
    fn drop(&mut self) {
        let len = self.len;
        bury(self, len, Grave::List);
    }
}

/// Where an item is: its group, its run there, its index in the run.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    run: usize,
    item: usize,
}

impl List {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// A list of these items.
    pub fn from_packed(items: Packed<'_>) -> Self {
        let mut list = Self::new();
        if items.bytes().len() <= RUN_BYTES_MAX && !items.is_empty() {
            list.insert_runs(0, 0, vec![Run::of(items)]);
            list.know_last();
        } else {
            items.iter().for_each(|item| list.push(item.as_bytes()));
        }
        list
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

    /// Bytes taken from the allocator, without the list itself.
    pub fn used_bytes(&self) -> usize {
        self.groups_bytes + deque_bytes(&self.groups) + array_bytes(&self.last_lens)
    }

    /// The item of that index.
    pub fn get(&self, index: usize) -> Option<Item<'_>> {
        if index >= self.len {
            return None;
        }
        if index + 1 == self.len {
            return self.iter_back_from(index).next();
        }
        self.iter_from(index).next()
    }

    /// The items from an index on, which may be the length.
    ///
    /// # Panics
    /// For an index above.
    pub fn iter_from(&self, index: usize) -> ListIter<'_> {
        ListIter::new(self, index)
    }

    /// The items from an index on backwards, down to the first.
    ///
    /// # Panics
    /// For an index that is not below the length.
    pub fn iter_back_from(&self, index: usize) -> ListBackIter<'_> {
        ListBackIter::new(self, index)
    }

    /// Puts items, which may be none, in the place of the `removed` ones from an index on.
    ///
    /// # Panics
    /// Where there are fewer to remove.
    pub fn splice<'i>(&mut self, index: usize, removed: usize, items: impl IntoIterator<Item = &'i [u8]>) {
        assert!(index <= self.len && removed <= self.len - index, "within the list");
        if index == self.len {
            items.into_iter().for_each(|text| self.push(text));
            return;
        }
        let runs = runs_of(items);
        if runs.is_empty() && removed == 0 {
            return;
        }
        if !self.splice_within_run(index, removed, &runs) {
            self.splice_runs(index, removed, runs);
        }
        if self.len == 0 {
            *self = Self::new();
        }
    }

    /// Appends an item.
    fn push(&mut self, text: &[u8]) {
        let place = self
            .last_run()
            .filter(|&(group, run)| self.groups[group].runs()[run].has_room(item_bytes_max(text.len())));
        let item_len = match place {
            Some((group, run)) => self.change_run(group, run, |run| {
                let before = run.bytes().len();
                run.push(text);
                run.bytes().len() - before
            }),
            None => {
                // The last run will not be appended to again.
                if let Some((group, run)) = self.last_run() {
                    self.change_run(group, run, Run::fit);
                }
                self.last_lens.clear();
                let mut run = Run::default();
                run.push(text);
                let item_len = run.bytes().len();
                self.insert_runs(self.groups.len(), 0, vec![run]);
                item_len
            }
        };
        self.keep_last_len(item_len);
    }

    /// Does a [`Self::splice`] that touches one run only and leaves something of it, within its bound; returns
    /// whether it is such a one.
    fn splice_within_run(&mut self, index: usize, removed: usize, runs: &[Run]) -> bool {
        let Place { group, run: at, item } = self.locate(index);
        let run = &self.groups[group].runs()[at];
        let added = match runs {
            [] => Packed::default(),
            [one] => one.items(),
            [_, _, ..] => return false,
        };
        if removed > run.len() - item || (removed == run.len() && added.is_empty()) {
            return false;
        }
        let is_last = self.last_run() == Some((group, at));
        let behind = run.len() - item - removed;
        let bytes = self.bytes_within(run, item, removed, is_last);
        if run.bytes().len() - bytes.len() + added.bytes().len() > RUN_BYTES_MAX {
            return false;
        }
        let left = self.change_run(group, at, |run| {
            run.replace(bytes, removed, added);
            run.bytes().len()
        });
        if is_last {
            self.change_last_lens(removed, added, behind);
        }
        if removed > 0 && left < SMALL_RUN_BYTES {
            let next = self.next_run(group, at);
            let is_joined = next.is_some_and(|next| self.join_runs((group, at), next));
            let before = self.run_before(group, at);
            if before.is_some_and(|before| self.join_runs(before, (group, at))) || is_joined {
                self.join_groups(group.min(self.groups.len() - 1));
            }
        }
        true
    }

    /// The bytes of so many items of a run from an index on.
    fn bytes_within(&self, run: &Run, item: usize, count: usize, is_last_run: bool) -> Range<usize> {
        let (items, last) = (run.items(), &self.last_lens);
        let to_end = run.len() - item;
        if is_last_run && count == to_end && count <= last.len() {
            let taken: u32 = last[last.len() - count..].iter().sum();
            return run.bytes().len() - taken as usize..run.bytes().len();
        }
        if count == to_end { items.offset_of(item)..run.bytes().len() } else { items.range_of(item, count) }
    }

    /// Does any [`Self::splice`] but one at the end.
    fn splice_runs(&mut self, index: usize, removed: usize, runs: Vec<Run>) {
        let added: usize = runs.iter().map(Run::len).sum();
        let (group, run) = self.cut(index);
        let (group, run) = self.remove_runs(group, run, removed);
        self.insert_runs(group, run, runs);
        // First the later place: joining there moves none that comes before.
        self.settle(index + added);
        self.settle(index);
        self.know_last();
    }

    /// Makes the item of an index the first of its run, and returns that.
    fn cut(&mut self, index: usize) -> (usize, usize) {
        let Place { group, run, item } = self.locate(index);
        if item == 0 {
            return (group, run);
        }
        let tail = self.change_run(group, run, |run| run.split_off(item));
        self.insert_runs(group, run + 1, vec![tail]);
        self.next_run(group, run).expect("just inserted")
    }

    /// Removes so many items from the start of a run on; returns the place where they were.
    fn remove_runs(&mut self, mut group: usize, mut run: usize, mut count: usize) -> (usize, usize) {
        while count > 0 {
            if run == 0 && self.groups[group].len() <= count {
                let removed = self.remove_group(group);
                count -= removed.len();
                drop(Self::of_group(removed)); // in steps
                continue;
            }
            let (len, runs) = (self.groups[group].runs()[run].len(), self.groups[group].runs().len());
            if len <= count {
                self.change_group(group, |group| group.take(run));
                count -= len;
                if run + 1 == runs {
                    (group, run) = (group + 1, 0);
                }
            } else {
                self.change_run(group, run, |run| {
                    let bytes = run.items().range_of(0, count);
                    run.replace(bytes, count, Packed::default());
                });
                count = 0;
            }
        }
        (group, run)
    }

    /// Inserts runs before the one at that place, or at the end.
    fn insert_runs(&mut self, group: usize, run: usize, runs: Vec<Run>) {
        let (mut group, mut run) = (group, run);
        if runs.is_empty() {
            return;
        }
        runs.iter().for_each(|_| count_made());
        if group == self.groups.len() {
            if group == 0 {
                self.insert_group(0, Group::default());
            }
            group = self.groups.len() - 1;
            run = self.groups[group].runs().len();
        }
        if self.groups[group].runs().len() + runs.len() <= GROUP_RUNS_MAX {
            self.change_group(group, |group| {
                runs.into_iter().enumerate().for_each(|(i, one)| group.insert(run + i, one));
            });
            return;
        }
        let tail = self.change_group(group, |group| group.split_off(run));
        for one in runs {
            if self.groups[group].runs().len() == GROUP_RUNS_MAX {
                group += 1;
                self.insert_group(group, Group::default());
            }
            self.change_group(group, |group| group.push(one));
        }
        if tail.len() > 0 {
            self.insert_group(group + 1, tail);
        }
    }

    /// Joins what has become small around the runs' boundary at an index, or gives back the room in them.
    fn settle(&mut self, index: usize) {
        if self.len == 0 {
            return;
        }
        let place = self.locate(index.min(self.len - 1));
        let (group, run) = (place.group, place.run);
        if place.item == 0
            && let Some(before) = self.run_before(group, run)
            && !self.join_runs(before, (group, run))
        {
            self.change_run(before.0, before.1, Run::fit);
            self.change_run(group, run, Run::fit);
        }
        self.join_groups(group.min(self.groups.len() - 1));
    }

    /// Makes a run and the next one into one where they are small; returns whether they were.
    fn join_runs(&mut self, one: (usize, usize), next: (usize, usize)) -> bool {
        let bytes_of = |(group, run): (usize, usize)| self.groups[group].runs()[run].bytes().len();
        if bytes_of(one) + bytes_of(next) > JOINED_BYTES_MAX {
            return false;
        }
        let next = if self.groups[next.0].runs().len() == 1 {
            self.remove_group(next.0).take(0)
        } else {
            self.change_group(next.0, |group| group.take(next.1))
        };
        self.change_run(one.0, one.1, |run| run.append(&next));
        true
    }

    /// Makes a group one with its neighbours where they are small.
    fn join_groups(&mut self, group: usize) {
        for one in [Some(group), group.checked_sub(1)].into_iter().flatten() {
            let runs =
                |group: usize| self.groups.get(group).map_or(GROUP_RUNS_MAX, |group| group.runs().len());
            if runs(one) + runs(one + 1) <= JOINED_GROUP_RUNS_MAX {
                let next = self.remove_group(one + 1);
                self.change_group(one, |group| group.append(next));
            }
        }
    }

    /// Where the item of an index is, looked for from the nearer end.
    fn locate(&self, index: usize) -> Place {
        assert!(index < self.len, "within the list");
        let (group, rest) = seek(self.groups.iter().map(Group::len), self.len, index);
        let found = &self.groups[group];
        let (run, item) = seek(found.runs().iter().map(Run::len), found.len(), rest);
        Place { group, run, item }
    }

    fn last_run(&self) -> Option<(usize, usize)> {
        let group = self.groups.len().checked_sub(1)?;
        Some((group, self.groups[group].runs().len() - 1))
    }

    fn next_run(&self, group: usize, run: usize) -> Option<(usize, usize)> {
        if run + 1 < self.groups[group].runs().len() {
            return Some((group, run + 1));
        }
        (group + 1 < self.groups.len()).then_some((group + 1, 0))
    }

    fn run_before(&self, group: usize, run: usize) -> Option<(usize, usize)> {
        if run > 0 {
            return Some((group, run - 1));
        }
        let group = group.checked_sub(1)?;
        Some((group, self.groups[group].runs().len() - 1))
    }

    /// Changes a group and keeps the sums right.
    fn change_group<R>(&mut self, at: usize, change: impl FnOnce(&mut Group) -> R) -> R {
        let group = &mut self.groups[at];
        self.len -= group.len();
        self.groups_bytes -= group.heap_bytes();
        let result = change(group);
        self.len += group.len();
        self.groups_bytes += group.heap_bytes();
        result
    }

    fn change_run<R>(&mut self, group: usize, run: usize, change: impl FnOnce(&mut Run) -> R) -> R {
        self.change_group(group, |group| group.change(run, change))
    }

    fn insert_group(&mut self, at: usize, group: Group) {
        self.len += group.len();
        self.groups_bytes += group.heap_bytes();
        self.groups.insert(at, group);
    }

    /// A list to be dropped.
    fn of_group(group: Group) -> Self {
        let mut list = Self::new();
        list.insert_group(0, group);
        list
    }

    /// Number of runs.
    pub(super) fn pieces(&self) -> usize {
        self.groups.iter().map(|group| group.runs().len()).sum()
    }

    /// Frees groups until a budget of runs is spent, at least one; returns how many runs. The list is of no other use any
    /// more, and has none when all are gone.
    pub(super) fn take_apart(&mut self, budget: &mut usize) -> usize {
        let mut freed = 0;
        while let Some(group) = self.groups.pop_front() {
            self.len -= group.len();
            freed += group.runs().len();
            *budget = budget.saturating_sub(group.runs().len() + cost_of(group.heap_bytes()));
            if *budget == 0 {
                break;
            }
        }
        freed
    }

    fn remove_group(&mut self, at: usize) -> Group {
        let group = self.groups.remove(at).expect("a group of the list");
        self.len -= group.len();
        self.groups_bytes -= group.heap_bytes();
        shrink(&mut self.groups);
        group
    }

    /// Follows a change within the last run: so many items were removed and these added, with `behind` items behind.
    fn change_last_lens(&mut self, removed: usize, added: Packed<'_>, behind: usize) {
        let known = self.last_lens.len();
        if behind > 0 {
            // Those behind are what they were.
            self.last_lens.drain(..known - known.min(behind));
            return;
        }
        self.last_lens.truncate(known - known.min(removed));
        if !added.is_empty() || self.last_lens.is_empty() {
            self.know_last();
        }
    }

    fn keep_last_len(&mut self, len: usize) {
        if self.last_lens.len() == LAST_LENS_MAX {
            self.last_lens.drain(..LAST_LENS_MAX - LAST_LENS);
        }
        self.last_lens.push(u32::try_from(len).expect("an item is below 4 GiB"));
    }

    /// Collects the lengths of the last items by walking their run.
    fn know_last(&mut self) {
        self.last_lens.clear();
        let Some((group, run)) = self.last_run() else { return };
        let run = &self.groups[group].runs()[run];
        let count = run.len().min(LAST_LENS);
        let mut rest = &run.bytes()[run.items().offset_of(run.len() - count)..];
        for _ in 0..count {
            let len = first_item_len(rest);
            rest = &rest[len..];
            self.last_lens.push(u32::try_from(len).expect("an item is below 4 GiB"));
        }
    }
}

/// In which of the parts, whose lengths are given, an index is, and the index within; from the nearer end.
fn seek(
    mut lens: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator,
    len: usize,
    index: usize,
) -> (usize, usize) {
    if index < len / 2 {
        let mut rest = index;
        for (part, len) in lens.enumerate() {
            if rest < len {
                return (part, rest);
            }
            rest -= len;
        }
    } else {
        let mut part = lens.len();
        let mut start = len;
        while let Some(len) = lens.next_back() {
            part -= 1;
            start -= len;
            if index >= start {
                return (part, index - start);
            }
        }
    }
    unreachable!("the parts add up to the length");
}

/// Runs of these items.
fn runs_of<'i>(items: impl IntoIterator<Item = &'i [u8]>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for text in items {
        if !runs.last().is_some_and(|run| run.has_room(item_bytes_max(text.len()))) {
            if let Some(full) = runs.last_mut() {
                full.fit();
            }
            runs.push(Run::default());
        }
        runs.last_mut().expect("pushed where there was none").push(text);
    }
    runs
}
