//! What SORT is asked to do.

use std::ops::Range;

use carousel_protocol::SlotId;
use carousel_protocol::command_table::{CommandId, CommandSpec};
use carousel_protocol::resp::Argv;

use super::super::error::CommandError;
use super::super::exec::integer;
use super::{Order, Pattern};

/// The options of SORT.
#[derive(Default)]
pub(super) struct Options<'a> {
    /// A BY without a place for the element: the elements stay in the order in which they are.
    pub(super) is_unsorted: bool,
    pub(super) is_descending: bool,
    pub(super) order: Order,
    pub(super) by: Option<Pattern<'a>>,
    pub(super) gets: Vec<Pattern<'a>>,
    pub(super) store: Option<&'a [u8]>,
    limit: Option<(i64, i64)>,
}

impl<'a> Options<'a> {
    /// The options of a request, of which in a cluster only `slot` may be looked at.
    pub(super) fn parse(
        spec: &CommandSpec,
        argv: Argv<'a>,
        slot: Option<SlotId>,
    ) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let is_within = |pattern: &Pattern<'_>| slot.is_none_or(|slot| pattern.stays_within(slot));
        let mut at = 2;
        while at < argv.len() {
            let option = argv.get(at);
            let left = argv.len() - at - 1;
            let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
            match () {
                () if is("ASC") => options.is_descending = false,
                () if is("DESC") => options.is_descending = true,
                () if is("ALPHA") => options.order = Order::Text,
                () if is("LIMIT") && left >= 2 => {
                    options.limit = Some((integer(argv.get(at + 1))?, integer(argv.get(at + 2))?));
                    at += 2;
                }
                () if is("STORE") && left >= 1 && spec.id == CommandId::Sort => {
                    options.store = Some(argv.get(at + 1));
                    at += 1;
                }
                () if is("BY") && left >= 1 => {
                    let pattern = Pattern::new(argv.get(at + 1));
                    options.is_unsorted |= pattern.is_constant();
                    if !is_within(&pattern) {
                        return Err(CommandError::SortBeyondSlot { option: "BY" });
                    }
                    options.by = Some(pattern);
                    at += 1;
                }
                () if is("GET") && left >= 1 => {
                    let pattern = Pattern::new(argv.get(at + 1));
                    if !is_within(&pattern) {
                        return Err(CommandError::SortBeyondSlot { option: "GET" });
                    }
                    options.gets.push(pattern);
                    at += 1;
                }
                () => return Err(CommandError::Syntax),
            }
            at += 1;
        }
        Ok(options)
    }

    /// Which of so many elements in order are asked for.
    pub(super) fn window(&self, len: usize) -> Range<usize> {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(offset).unwrap_or(0).min(len);
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(len - start);
        start..start + count
    }
}
