//! Names of keys made out of elements.

use carousel_protocol::{Database, ShardId, SlotId, key_slot};

use super::super::error::CommandError;
use super::super::tables::Tables;
use crate::store::{Item, Value};

/// What BY or GET looks for.
#[derive(Clone, Copy)]
pub(super) enum Pattern<'a> {
    /// `#`, or the element itself.
    Element,
    /// A text without a place for the element: there is nothing to find.
    Constant,
    /// A key, or a field of a hash: the element comes between both parts of the key.
    Key { before: &'a [u8], behind: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Self::Element;
        }
        // Redis takes it for a C string here: a zero byte ends it.
        let Some(star) = text.iter().position(|byte| matches!(byte, b'*' | 0)).filter(|at| text[*at] == b'*')
        else {
            return Self::Constant;
        };
        let (before, behind) = (&text[..star], &text[star + 1..]);
        let arrow = behind.windows(2).position(|two| two == b"->").filter(|at| at + 2 < behind.len());
        match arrow {
            Some(at) => Self::Key { before, behind: &behind[..at], field: Some(&behind[at + 2..]) },
            None => Self::Key { before, behind, field: None },
        }
    }

    /// Whether it finds the same for all elements.
    pub(super) fn is_constant(&self) -> bool {
        !matches!(self, Self::Key { .. })
    }

    /// The key that it names for an element.
    pub(super) fn key(&self, element: &Item<'_>) -> Option<Vec<u8>> {
        match *self {
            Self::Key { before, behind, .. } => Some([before, element.as_bytes(), behind].concat()),
            Self::Element | Self::Constant => None,
        }
    }

    /// Whether all keys that it can name are of that slot: because of a hash tag before the element.
    pub(super) fn stays_within(&self, slot: SlotId) -> bool {
        let Self::Key { before, .. } = self else { return true };
        let Some(open) = before.iter().position(|byte| *byte == b'{') else { return false };
        let close = before[open..].iter().position(|byte| *byte == b'}');
        close.is_some_and(|len| len > 1) && key_slot(before) == slot
    }
}

/// Looks for what patterns name, and changes nothing.
pub(super) struct Lookup<'t> {
    pub(super) tables: &'t Tables,
    /// Which database's keys.
    pub(super) database: Database,
    /// Unix time in milliseconds.
    pub(super) now_ms: u64,
}

impl<'t> Lookup<'t> {
    /// What the pattern, of that option, names for an element.
    ///
    /// # Errors
    /// The key belongs to another shard.
    pub(super) fn find(
        &self,
        pattern: &Pattern<'_>,
        element: &Item<'t>,
        option: &'static str,
    ) -> Result<Option<Item<'t>>, CommandError> {
        let (before, behind, field) = match *pattern {
            Pattern::Element => return Ok(Some(*element)),
            Pattern::Constant => return Ok(None),
            Pattern::Key { before, behind, field } => (before, behind, field),
        };
        let key = [before, element.as_bytes(), behind].concat();
        let (slot, slots) = (key_slot(&key), self.tables.local_slots());
        if ShardId::of_slot(slot, slots.shard_count()) != slots.shard() {
            return Err(CommandError::SortBeyondShard { option });
        }
        let entry = self.tables.peek(self.tables.key_at(slot, self.database, &key), &key, self.now_ms);
        Ok(match (entry.map(|entry| entry.value()), field) {
            (Some(Value::String(text)), None) => Some(Item::Text(text)),
            (Some(Value::Hash(hash)), Some(field)) => hash.get(self.tables.hasher(), field),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_hash_tag_before_the_element_fixes_the_slot() {
        let within =
            |text: &str, key: &str| Pattern::new(text.as_bytes()).stays_within(key_slot(key.as_bytes()));
        assert!(within("{t}weight_*", "{t}list") && within("w{t}*->field", "t") && within("#", "x"));
        assert!(within("constant", "x"), "nothing is looked for");
        for text in ["weight_*", "*{t}", "{*}", "{}{t}*", "{t*}", "}{t*"] {
            assert!(!within(text, "t"), "{text}");
        }
        assert!(!within("{u}*", "t"));
    }

    #[test]
    fn a_field_is_what_follows_the_first_arrow_behind_the_element() {
        let parts = |text: &'static str| match Pattern::new(text.as_bytes()) {
            Pattern::Key { before, behind, field } => (before, behind, field),
            Pattern::Element | Pattern::Constant => panic!("{text} names keys"),
        };
        assert_eq!(parts("a->b*c->d->e"), (&b"a->b"[..], &b"c"[..], Some(&b"d->e"[..])));
        assert_eq!(parts("a*->"), (&b"a"[..], &b"->"[..], None));
        assert_eq!(parts("*->f"), (&b""[..], &b""[..], Some(&b"f"[..])));
        assert!(Pattern::new(b"a\0*").is_constant());
    }
}
