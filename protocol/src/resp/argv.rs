//! The arguments of one request, borrowed from the buffer that they arrived in.

use std::fmt;
use std::iter::FusedIterator;

/// One argument: `start..end` in bytes of the buffer that was given to
/// [`RequestParser::parse`](super::RequestParser::parse).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgRange {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl ArgRange {
    /// Both ends are checked against the parser's bound on a request, which a `u32` holds.
    #[inline(always)]
    pub(super) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= u32::MAX as usize);
        Self { start: start as u32, end: end as u32 }
    }
}

/// The arguments of one request, the command name first.
#[derive(Clone, Copy)]
pub struct Argv<'a> {
    buf: &'a [u8],
    ranges: &'a [ArgRange],
}

impl<'a> Argv<'a> {
    /// Arguments that lie in `buf` at `ranges`. A range outside of `buf` panics when it is read.
    ///
    /// For what a parser yielded use [`RequestParser::argv`](super::RequestParser::argv), which knows the
    /// buffer that the ranges refer to.
    #[inline]
    pub fn new(buf: &'a [u8], ranges: &'a [ArgRange]) -> Self {
        Self { buf, ranges }
    }

    /// How many arguments, the command name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// An empty request: `*0`, `*-1` or a blank line. It gets no reply.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Argument `index`; the command name is 0. Panics where there is none: check [`Self::len`], or use
    /// the arity check of the command table, first.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        let range = self.ranges[index];
        &self.buf[range.start as usize..range.end as usize]
    }

    /// All arguments in order.
    #[inline]
    pub fn iter(&self) -> ArgvIter<'a> {
        ArgvIter { buf: self.buf, ranges: self.ranges.iter() }
    }

    /// The arguments from `from` on; none where `from` is past the end.
    #[inline]
    pub fn skip(&self, from: usize) -> Argv<'a> {
        Self { buf: self.buf, ranges: self.ranges.get(from..).unwrap_or(&[]) }
    }
}

impl<'a> IntoIterator for Argv<'a> {
    type Item = &'a [u8];
    type IntoIter = ArgvIter<'a>;

    fn into_iter(self) -> ArgvIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Argv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|arg| arg.escape_ascii().to_string())).finish()
    }
}

/// Iterator of [`Argv::iter`].
#[derive(Clone)]
pub struct ArgvIter<'a> {
    buf: &'a [u8],
    ranges: std::slice::Iter<'a, ArgRange>,
}

impl<'a> Iterator for ArgvIter<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.ranges.next().map(|range| &self.buf[range.start as usize..range.end as usize])
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranges.size_hint()
    }
}

impl ExactSizeIterator for ArgvIter<'_> {}
impl FusedIterator for ArgvIter<'_> {}
