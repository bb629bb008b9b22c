//! Walking a list, forwards and backwards.

use super::run::Run;
use super::{List, Place};
use crate::store::packed::{Item, Packed, PackedIter};

/// Items of a list in their order; see [`List::iter_from`].
pub struct ListIter<'a> {
    list: &'a List,
    group: usize,
    run: usize,
    items: PackedIter<'a>,
}

impl<'a> ListIter<'a> {
    pub(super) fn new(list: &'a List, index: usize) -> Self {
        if index == list.len() {
            return Self { list, group: list.groups.len(), run: 0, items: Packed::default().iter() };
        }
        let Place { group, run, item } = list.locate(index);
        let items = list.groups[group].runs()[run].items().iter_from(item);
        Self { list, group, run, items }
    }
}

impl<'a> Iterator for ListIter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(item);
            }
            let list = self.list;
            let runs = list.groups.get(self.group)?.runs();
            self.run += 1;
            if self.run < runs.len() {
                self.items = runs[self.run].items().iter();
            } else {
                self.group += 1;
                self.run = 0;
                self.items = list.groups.get(self.group)?.runs()[0].items().iter();
            }
        }
    }
}

/// Items of a list from one on towards the first; see [`List::iter_back_from`].
///
/// Runs walk forwards only: the items' places in a run are collected once per run. The list knows the last ones by
/// heart.
pub struct ListBackIter<'a> {
    list: &'a List,
    group: usize,
    run: usize,
    /// Items of the run that are still to come.
    left: usize,
    /// Where in the run the last of them ends.
    end: usize,
    /// Where the run's items begin; empty where nobody needed it yet.
    starts: Vec<usize>,
}

impl<'a> ListBackIter<'a> {
    pub(super) fn new(list: &'a List, index: usize) -> Self {
        let Place { group, run, item } = list.locate(index);
        let left = item + 1;
        let mut iter = Self { list, group, run, left, end: 0, starts: Vec::new() };
        let run = iter.current();
        if left == run.len() {
            iter.end = run.bytes().len();
        } else {
            iter.starts = run.items().starts(left + 1);
            iter.end = iter.starts[left];
        }
        iter
    }

    fn current(&self) -> &'a Run {
        &self.list.groups[self.group].runs()[self.run]
    }

    /// Goes to the end of the run before; returns whether there is one.
    fn step_back(&mut self) -> bool {
        if self.run > 0 {
            self.run -= 1;
        } else if self.group > 0 {
            self.group -= 1;
            self.run = self.list.groups[self.group].runs().len() - 1;
        } else {
            return false;
        }
        let run = self.current();
        (self.left, self.end) = (run.len(), run.bytes().len());
        self.starts.clear();
        true
    }

    /// Where the last item to come begins.
    fn last_start(&mut self) -> usize {
        let run = self.current();
        if self.left == 1 {
            return 0;
        }
        let is_last_run = self.group + 1 == self.list.groups.len()
            && self.run + 1 == self.list.groups[self.group].runs().len();
        if is_last_run && let Some(len) = self.list.last_lens.iter().rev().nth(run.len() - self.left) {
            return self.end - *len as usize;
        }
        if self.starts.is_empty() {
            self.starts = run.items().starts(self.left);
        }
        self.starts[self.left - 1]
    }
}

impl<'a> Iterator for ListBackIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.left == 0 && !self.step_back() {
            return None;
        }
        let start = self.last_start();
        let item = Packed::new(&self.current().bytes()[start..self.end], 1).get(0);
        self.left -= 1;
        self.end = start;
        item
    }
}
