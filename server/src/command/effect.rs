//! What commands do to keys, as data: the payload of log records and of replication.
//!
//! An effect is absolute: it names values and times, not differences to what was there, nothing random and no
//! relative expiry. Applying the effects of a slot in order to an empty table gives the table again, and
//! applying an effect twice in a row is applying it once.
//!
//! # Encoding
//! A kind byte, then fields; `len` is a LEB128 varint, `ms` a u64 LE (Unix time in milliseconds):
//!
//! ```text
//! 1 set            len key  len value
//! 2 set, expiring  ms  len key  len value
//! 3 delete         len key
//! 4 expire         ms  len key
//! 5 persist        len key
//! 6 patch          len offset  len key  len bytes
//! 7 clear
//! ```

use carousel_protocol::SlotId;

use crate::store::{KeyHasher, SlotTable};

/// One change to a slot. Borrows from the request, or from the encoded form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect<'a> {
    /// The key has this value and this expiry now.
    Set {
        /// The key.
        key: &'a [u8],
        /// All of its value.
        value: &'a [u8],
        /// Unix time in milliseconds; `None` is no expiry.
        expire_at_ms: Option<u64>,
    },
    /// The key is gone.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// The key, if it is there, has this expiry now.
    Expire {
        /// The key.
        key: &'a [u8],
        /// Unix time in milliseconds; `None` is no expiry.
        expire_at_ms: Option<u64>,
    },
    /// Part of the key's value was overwritten or appended; zeros fill a gap, and the expiry stays.
    Patch {
        /// The key; a missing one begins as an empty value.
        key: &'a [u8],
        /// Where in the value, in bytes.
        offset: u64,
        /// What is there now.
        bytes: &'a [u8],
    },
    /// All keys of the slot are gone.
    Clear,
}

const SET: u8 = 1;
const SET_EXPIRING: u8 = 2;
const DELETE: u8 = 3;
const EXPIRE: u8 = 4;
const PERSIST: u8 = 5;
const PATCH: u8 = 6;
const CLEAR: u8 = 7;

impl<'a> Effect<'a> {
    /// The key it changes; `None` where it is all of them.
    pub fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Set { key, .. }
            | Self::Delete { key }
            | Self::Expire { key, .. }
            | Self::Patch { key, .. } => Some(key),
            Self::Clear => None,
        }
    }

    /// Appends the encoded effect.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Set { key, value, expire_at_ms } => {
                out.reserve(key.len() + value.len() + 32);
                match expire_at_ms {
                    None => out.push(SET),
                    Some(ms) => put_kind_and_ms(out, SET_EXPIRING, ms),
                }
                put_bytes(out, key);
                put_bytes(out, value);
            }
            Self::Delete { key } => {
                out.push(DELETE);
                put_bytes(out, key);
            }
            Self::Expire { key, expire_at_ms } => {
                match expire_at_ms {
                    None => out.push(PERSIST),
                    Some(ms) => put_kind_and_ms(out, EXPIRE, ms),
                }
                put_bytes(out, key);
            }
            Self::Patch { key, offset, bytes } => {
                out.push(PATCH);
                put_varint(out, offset);
                put_bytes(out, key);
                put_bytes(out, bytes);
            }
            Self::Clear => out.push(CLEAR),
        }
    }

    /// Does it to the slot's table.
    ///
    /// # Panics
    /// Where a patch would make a value of 4 GiB or more: [`EffectIter`] yields no such effect.
    pub fn apply(&self, table: &mut SlotTable, hasher: &KeyHasher) {
        match *self {
            Self::Set { key, value, expire_at_ms } => {
                table.set(hasher, hasher.hash(key), key, value, expire_at_ms);
            }
            Self::Delete { key } => {
                table.remove(hasher.hash(key), key);
            }
            Self::Expire { key, expire_at_ms } => {
                table.set_expire(hasher.hash(key), key, expire_at_ms);
            }
            Self::Patch { key, offset, bytes } => {
                let offset = usize::try_from(offset).expect("an offset into memory");
                table.patch(hasher, hasher.hash(key), key, offset, bytes);
            }
            Self::Clear => *table = SlotTable::new(),
        }
    }
}

/// Bytes that are not effects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EffectError {
    /// The input ends within an effect.
    #[error("effects end in the middle of one")]
    Truncated,
    /// Written by a later version, or damaged.
    #[error("unknown kind of effect {0}")]
    UnknownKind(u8),
    /// A number of more than 64 bits.
    #[error("a number in an effect has more than 64 bits")]
    Varint,
    /// A value that would be longer than a value can be.
    #[error("an effect reaches {end} bytes into a value")]
    TooLong {
        /// Where the value would end.
        end: u64,
    },
}

/// Effects out of their encoded form. Ends after the first error.
pub struct EffectIter<'a> {
    rest: &'a [u8],
}

impl<'a> EffectIter<'a> {
    /// The effects in `bytes`, which must hold whole ones.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn decode(&mut self) -> Result<Effect<'a>, EffectError> {
        let kind = self.take(1)?[0];
        Ok(match kind {
            SET => Effect::Set { key: self.bytes()?, value: self.bytes()?, expire_at_ms: None },
            SET_EXPIRING => {
                let expire_at_ms = Some(self.ms()?);
                Effect::Set { key: self.bytes()?, value: self.bytes()?, expire_at_ms }
            }
            DELETE => Effect::Delete { key: self.bytes()? },
            EXPIRE => {
                let expire_at_ms = Some(self.ms()?);
                Effect::Expire { key: self.bytes()?, expire_at_ms }
            }
            PERSIST => Effect::Expire { key: self.bytes()?, expire_at_ms: None },
            PATCH => {
                let offset = self.varint()?;
                let (key, bytes) = (self.bytes()?, self.bytes()?);
                let end = offset.saturating_add(bytes.len() as u64);
                if end > u64::from(u32::MAX) {
                    return Err(EffectError::TooLong { end });
                }
                Effect::Patch { key, offset, bytes }
            }
            CLEAR => Effect::Clear,
            other => return Err(EffectError::UnknownKind(other)),
        })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], EffectError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(EffectError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn ms(&mut self) -> Result<u64, EffectError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("took 8")))
    }

    fn bytes(&mut self) -> Result<&'a [u8], EffectError> {
        let len = self.varint()?;
        self.take(usize::try_from(len).map_err(|_| EffectError::Truncated)?)
    }

    fn varint(&mut self) -> Result<u64, EffectError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(EffectError::Varint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(EffectError::Varint)
    }
}

impl<'a> Iterator for EffectIter<'a> {
    type Item = Result<Effect<'a>, EffectError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let effect = self.decode();
        if effect.is_err() {
            self.rest = &[];
        }
        Some(effect)
    }
}

fn put_kind_and_ms(out: &mut Vec<u8>, kind: u8, ms: u64) {
    out.push(kind);
    out.extend_from_slice(&ms.to_le_bytes());
}

#[inline]
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Effects of one command, encoded, grouped by slot in the order they came.
///
/// A command that changes keys of several slots alternately (a lone node allows it) makes several groups for a
/// slot. While nothing records effects, pushing one costs a branch.
#[derive(Default)]
pub struct EffectSink {
    is_recording: bool,
    bytes: Vec<u8>,
    /// Each group's slot and where it ends in `bytes`.
    groups: Vec<(SlotId, usize)>,
}

impl EffectSink {
    /// A sink that does not record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether pushed effects are kept: where a log or a replica wants them.
    pub fn set_recording(&mut self, is_recording: bool) {
        self.is_recording = is_recording;
    }

    /// Whether nothing was kept since the last [`Self::clear`].
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The groups: a slot and its effects, encoded; read them with [`EffectIter`].
    pub fn groups(&self) -> impl Iterator<Item = (SlotId, &[u8])> {
        let mut start = 0;
        self.groups.iter().map(move |&(slot, end)| {
            let bytes = &self.bytes[start..end];
            start = end;
            (slot, bytes)
        })
    }

    /// Forgets what was kept; the memory stays for the next command, unless it was a huge one.
    #[inline]
    pub fn clear(&mut self) {
        const KEEP_BYTES: usize = 1 << 20;
        self.bytes.clear();
        self.groups.clear();
        if self.bytes.capacity() > KEEP_BYTES {
            self.bytes.shrink_to(KEEP_BYTES);
        }
    }

    /// Keeps an effect on a key of `slot`, if recording.
    #[inline]
    pub fn push(&mut self, slot: SlotId, effect: Effect<'_>) {
        if self.is_recording {
            effect.encode(&mut self.bytes);
            let end = self.bytes.len();
            match self.groups.last_mut() {
                Some(last) if last.0 == slot => last.1 = end,
                _ => self.groups.push((slot, end)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &[u8] = b"key";

    fn examples() -> Vec<Effect<'static>> {
        vec![
            Effect::Set { key: KEY, value: b"value", expire_at_ms: None },
            Effect::Set { key: b"", value: b"", expire_at_ms: Some(u64::MAX) },
            Effect::Set { key: KEY, value: &[7; 300], expire_at_ms: Some(0) },
            Effect::Delete { key: KEY },
            Effect::Expire { key: KEY, expire_at_ms: Some(1_700_000_000_000) },
            Effect::Expire { key: KEY, expire_at_ms: None },
            Effect::Patch { key: KEY, offset: 1 << 20, bytes: b"tail" },
            Effect::Clear,
        ]
    }

    #[test]
    fn effects_survive_their_encoding_and_every_cut_of_it_is_noticed() {
        for effect in examples() {
            let mut bytes = Vec::new();
            effect.encode(&mut bytes);
            assert_eq!(EffectIter::new(&bytes).collect::<Vec<_>>(), [Ok(effect)]);
            for cut in 1..bytes.len() {
                let cut: Vec<_> = EffectIter::new(&bytes[..cut]).collect();
                assert_eq!(cut, [Err(EffectError::Truncated)]);
            }
        }
        let mut bytes = Vec::new();
        examples().iter().for_each(|effect| effect.encode(&mut bytes));
        let decoded: Result<Vec<_>, _> = EffectIter::new(&bytes).collect();
        assert_eq!(decoded, Ok(examples()));
    }

    #[test]
    fn a_small_set_has_three_bytes_of_encoding() {
        let mut bytes = Vec::new();
        Effect::Set { key: KEY, value: b"value", expire_at_ms: None }.encode(&mut bytes);
        assert_eq!(bytes, b"\x01\x03key\x05value");
    }

    #[test]
    fn damaged_effects_are_errors() {
        let error = |bytes: &[u8]| EffectIter::new(bytes).last().unwrap().unwrap_err();
        assert_eq!(error(&[9]), EffectError::UnknownKind(9));
        assert_eq!(
            error(&[DELETE, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            EffectError::Varint
        );
        assert_eq!(error(&[&[DELETE][..], &[0x80; 10]].concat()), EffectError::Varint);
        let mut far = Vec::new();
        Effect::Patch { key: KEY, offset: u32::MAX.into(), bytes: b"x" }.encode(&mut far);
        assert_eq!(error(&far), EffectError::TooLong { end: 1 << 32 });
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_something_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let decoded: Vec<_> = EffectIter::new(&bytes).collect();
            let errors = decoded.iter().filter(|effect| effect.is_err()).count();
            prop_assert_eq!(errors, usize::from(decoded.last().is_some_and(Result::is_err)));
        }
    }

    #[test]
    fn a_sink_groups_by_slot_and_only_while_recording() {
        let [a, b] = [1, 2].map(|slot| SlotId::new(slot).unwrap());
        let mut sink = EffectSink::new();
        sink.push(a, Effect::Clear);
        assert!(sink.is_empty());
        sink.set_recording(true);
        for slot in [a, a, b, a] {
            sink.push(slot, Effect::Clear);
        }
        let groups: Vec<_> = sink.groups().collect();
        assert_eq!(groups, [(a, &[CLEAR, CLEAR][..]), (b, &[CLEAR]), (a, &[CLEAR])]);
        sink.clear();
        assert!(sink.is_empty());
        assert_eq!(sink.groups().count(), 0);
    }

    #[test]
    fn applied_effects_do_what_they_say() {
        let hasher = KeyHasher::new(1);
        let mut table = SlotTable::new();
        let state = |table: &SlotTable| {
            table.get(hasher.hash(KEY), KEY).map(|entry| (entry.value().to_vec(), entry.expire_at_ms()))
        };
        let steps = [
            (Effect::Expire { key: KEY, expire_at_ms: Some(3) }, None),
            (
                Effect::Set { key: KEY, value: b"abc", expire_at_ms: Some(5) },
                Some((b"abc".to_vec(), Some(5))),
            ),
            (Effect::Patch { key: KEY, offset: 4, bytes: b"e" }, Some((b"abc\0e".to_vec(), Some(5)))),
            (Effect::Expire { key: KEY, expire_at_ms: None }, Some((b"abc\0e".to_vec(), None))),
            (Effect::Delete { key: KEY }, None),
            (Effect::Patch { key: KEY, offset: 1, bytes: b"x" }, Some((b"\0x".to_vec(), None))),
            (Effect::Clear, None),
        ];
        for (effect, expected) in steps {
            for _ in 0..2 {
                effect.apply(&mut table, &hasher);
                assert_eq!(state(&table), expected, "{effect:?}");
            }
        }
    }
}
