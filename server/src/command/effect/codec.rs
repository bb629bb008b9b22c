//! Effects as bytes.
//!
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
//! 8 store          len key  len packed collection
//! 9 store, expiring  ms  len key  len packed collection
//! 10 hash set      len key  len items: field, value, ...
//! 11 hash remove   len key  len items: fields
//! 12 set add       len key  len items: members
//! 13 set remove    len key  len items: members
//! 14 score         len key  len items: score (f64 LE), member, ...
//! 15 unscore       len key  len items: members
//! 16 splice        len index  len removed  len key  len items: elements
//! 17 database      len number
//! 18 swap          len number
//! ```
//!
//! What follows a 17 is about the database of that number; before the first one it is about database 0. Each payload
//! begins anew, whatever came before it.
//!
//! `items` is so many bytes of `len item` one after the other; a packed collection is as in memory, see
//! `store::collection`.

use carousel_protocol::Database;

use super::{Effect, Items};
use crate::store::check_packed;
use crate::varint::{VarintError, put_varint, take_varint};

const SET: u8 = 1;
const SET_EXPIRING: u8 = 2;
pub(super) const DELETE: u8 = 3;
const EXPIRE: u8 = 4;
const PERSIST: u8 = 5;
const PATCH: u8 = 6;
pub(super) const CLEAR: u8 = 7;
const STORE: u8 = 8;
const STORE_EXPIRING: u8 = 9;
const HASH_SET: u8 = 10;
const HASH_REMOVE: u8 = 11;
const SET_ADD: u8 = 12;
const SET_REMOVE: u8 = 13;
const SCORE: u8 = 14;
const UNSCORE: u8 = 15;
const SPLICE: u8 = 16;
const DATABASE: u8 = 17;
const SWAP: u8 = 18;

impl Effect<'_> {
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
            Self::Store { key, packed, expire_at_ms } => {
                match expire_at_ms {
                    None => out.push(STORE),
                    Some(ms) => put_kind_and_ms(out, STORE_EXPIRING, ms),
                }
                put_bytes(out, key);
                put_bytes(out, packed);
            }
            Self::HashSet { key, pairs } => put_items(out, HASH_SET, key, pairs),
            Self::HashRemove { key, fields } => put_items(out, HASH_REMOVE, key, fields),
            Self::SetAdd { key, members } => put_items(out, SET_ADD, key, members),
            Self::SetRemove { key, members } => put_items(out, SET_REMOVE, key, members),
            Self::Score { key, pairs } => put_items(out, SCORE, key, pairs),
            Self::Unscore { key, members } => put_items(out, UNSCORE, key, members),
            Self::Splice { key, index, removed, elements } => {
                out.push(SPLICE);
                put_varint(out, index);
                put_varint(out, removed);
                put_bytes(out, key);
                put_bytes(out, elements.0);
            }
            Self::Swap { with } => {
                out.push(SWAP);
                put_varint(out, with.get().into());
            }
        }
    }
}

/// Encodes that from here on effects are about `wanted`, unless they are so already.
#[inline]
pub(super) fn put_database(out: &mut Vec<u8>, current: Option<Database>, wanted: Database) {
    if current != Some(wanted) {
        out.push(DATABASE);
        put_varint(out, wanted.get().into());
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
    /// Items or a packed collection that contradict themselves.
    #[error("items in an effect are not what they must be")]
    Items,
    /// A database beyond those that there can be.
    #[error("there is no database {0}")]
    Database(u64),
    /// A value that would be longer than a value can be.
    #[error("an effect reaches {end} bytes into a value")]
    TooLong {
        /// Where the value would end.
        end: u64,
    },
}

/// Effects out of their encoded form, each with the database that it is about. Ends after the first error.
pub struct EffectIter<'a> {
    pub(super) rest: &'a [u8],
    database: Database,
}

impl<'a> EffectIter<'a> {
    /// The effects in `bytes`, which must hold whole ones.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, database: Database::MAIN }
    }

    fn decode(&mut self) -> Result<Effect<'a>, EffectError> {
        let mut kind = self.take(1)?[0];
        while kind == DATABASE {
            self.database = self.number_of_database()?;
            kind = self.take(1)?[0];
        }
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
            STORE => Effect::Store { key: self.bytes()?, packed: self.packed()?, expire_at_ms: None },
            STORE_EXPIRING => {
                let expire_at_ms = Some(self.ms()?);
                Effect::Store { key: self.bytes()?, packed: self.packed()?, expire_at_ms }
            }
            HASH_SET => Effect::HashSet { key: self.bytes()?, pairs: self.pairs()? },
            HASH_REMOVE => Effect::HashRemove { key: self.bytes()?, fields: self.items()? },
            SET_ADD => Effect::SetAdd { key: self.bytes()?, members: self.items()? },
            SET_REMOVE => Effect::SetRemove { key: self.bytes()?, members: self.items()? },
            SCORE => {
                let (key, pairs) = (self.bytes()?, self.pairs()?);
                let is_score =
                    |score: &[u8]| score.try_into().is_ok_and(|le| !f64::from_le_bytes(le).is_nan());
                if !pairs.pairs().all(|(score, _)| is_score(score)) {
                    return Err(EffectError::Items);
                }
                Effect::Score { key, pairs }
            }
            UNSCORE => Effect::Unscore { key: self.bytes()?, members: self.items()? },
            SPLICE => {
                let (index, removed) = (self.varint()?, self.varint()?);
                Effect::Splice { index, removed, key: self.bytes()?, elements: self.items()? }
            }
            SWAP => Effect::Swap { with: self.number_of_database()? },
            other => return Err(EffectError::UnknownKind(other)),
        })
    }

    fn number_of_database(&mut self) -> Result<Database, EffectError> {
        let number = self.varint()?;
        let database = u16::try_from(number).ok().and_then(Database::new);
        database.ok_or(EffectError::Database(number))
    }

    fn packed(&mut self) -> Result<&'a [u8], EffectError> {
        let packed = self.bytes()?;
        if check_packed(packed) { Ok(packed) } else { Err(EffectError::Items) }
    }

    /// Items, each of which is whole.
    fn items(&mut self) -> Result<Items<'a>, EffectError> {
        let bytes = self.bytes()?;
        let mut within = EffectIter::new(bytes);
        while !within.rest.is_empty() {
            within.bytes().map_err(|_| EffectError::Items)?;
        }
        Ok(Items(bytes))
    }

    fn pairs(&mut self) -> Result<Items<'a>, EffectError> {
        let items = self.items()?;
        if items.iter().count().is_multiple_of(2) { Ok(items) } else { Err(EffectError::Items) }
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

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], EffectError> {
        let len = self.varint()?;
        self.take(usize::try_from(len).map_err(|_| EffectError::Truncated)?)
    }

    fn varint(&mut self) -> Result<u64, EffectError> {
        take_varint(&mut self.rest).map_err(|error| match error {
            VarintError::Truncated => EffectError::Truncated,
            VarintError::TooLong => EffectError::Varint,
        })
    }
}

impl<'a> Iterator for EffectIter<'a> {
    type Item = Result<(Database, Effect<'a>), EffectError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let effect = self.decode();
        if effect.is_err() {
            self.rest = &[];
        }
        Some(effect.map(|effect| (self.database, effect)))
    }
}

fn put_items(out: &mut Vec<u8>, kind: u8, key: &[u8], items: Items<'_>) {
    out.reserve(key.len() + items.0.len() + 24);
    out.push(kind);
    put_bytes(out, key);
    put_bytes(out, items.0);
}

fn put_kind_and_ms(out: &mut Vec<u8>, kind: u8, ms: u64) {
    out.push(kind);
    out.extend_from_slice(&ms.to_le_bytes());
}

#[inline]
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
