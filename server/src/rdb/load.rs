//! From a payload to the parts of a value.

use carousel_protocol::resp::number::Decimal;

use super::read::{Reader, Text, score};
use super::{FOOTER_BYTES, VERSION_MAX, checksum, kind, listpack, ziplist};

/// Why a payload is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoadError {
    /// Of a later version, damaged, or no payload at all.
    #[error("the payload's version or checksum are wrong")]
    VersionOrChecksum,
    /// Of a type or an encoding that is not known, or one that contradicts itself.
    #[error("the payload's data are not what they must be")]
    Format,
    /// Who takes the parts wants no more.
    #[error("the value is too long")]
    TooLong,
}

/// A part of a value: all of a string, or one item of a collection. Fields and members may come twice: whoever takes them
/// looks.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Part<'a> {
    /// All of a string.
    String(&'a [u8]),
    /// The next element of a list.
    Element(&'a [u8]),
    /// A field of a hash and its value.
    Field(&'a [u8], &'a [u8]),
    /// A member of a set.
    Member(&'a [u8]),
    /// A member of a sorted set and its score, which is not NaN. They come in any order.
    Scored(&'a [u8], f64),
}

/// Takes the parts of a value, all of the same kind.
type Put<'p> = dyn FnMut(Part<'_>) -> Result<(), LoadError> + 'p;

/// Gives `put` the parts of the value in `payload`, at least one.
///
/// # Errors
/// The payload is no value; `put` may have got parts until that was seen. Or `put` did not take a part.
pub fn load(payload: &[u8], put: &mut Put<'_>) -> Result<(), LoadError> {
    let mut from = Reader::new(checked(payload)?);
    let kind = from.byte()?;
    let mut parts = 0u64;
    let mut counting = |part: Part<'_>| {
        parts += 1;
        put(part)
    };
    value(kind, &mut from, &mut counting)?;
    if parts > 0 && from.is_at_end() { Ok(()) } else { Err(LoadError::Format) }
}

/// Type and value out of a payload whose version is known and whose checksum is right.
fn checked(payload: &[u8]) -> Result<&[u8], LoadError> {
    let wrong = LoadError::VersionOrChecksum;
    let (value, footer) = payload.split_last_chunk::<FOOTER_BYTES>().ok_or(wrong)?;
    let (version, sum) = footer.split_at(2);
    let version = u16::from_le_bytes(version.try_into().expect("split there"));
    let sum = u64::from_le_bytes(sum.try_into().expect("split there"));
    let is_whole = version <= VERSION_MAX && checksum(&payload[..payload.len() - 8]) == sum;
    if is_whole { Ok(value) } else { Err(wrong) }
}

fn value(kind: u8, from: &mut Reader<'_>, put: &mut Put<'_>) -> Result<(), LoadError> {
    match kind {
        kind::STRING => put(Part::String(from.string()?.as_bytes())),
        kind::LIST => each(from, |from| put(Part::Element(from.string()?.as_bytes()))),
        kind::SET => each(from, |from| put(Part::Member(from.string()?.as_bytes()))),
        kind::SORTED_SET_TEXT => each(from, |from| {
            let member = from.string()?;
            put(Part::Scored(member.as_bytes(), from.score_as_text()?))
        }),
        kind::SORTED_SET => each(from, |from| {
            let member = from.string()?;
            let score = f64::from_le_bytes(from.array()?);
            if score.is_nan() {
                return Err(LoadError::Format);
            }
            put(Part::Scored(member.as_bytes(), score))
        }),
        kind::HASH => each(from, |from| {
            let (field, value) = (from.string()?, from.string()?);
            put(Part::Field(field.as_bytes(), value.as_bytes()))
        }),
        kind::HASH_ZIPMAP => {
            let packed = from.string()?;
            ziplist::each_pair(packed.as_bytes(), &mut |field, value| put(Part::Field(field, value)))
        }
        kind::LIST_ZIPLIST => elements(from.string()?.as_bytes(), ziplist::each, put),
        kind::SET_INTEGERS => {
            let packed = from.string()?;
            ziplist::each_integer(packed.as_bytes(), &mut |member| put(Part::Member(&Decimal::new(member))))
        }
        kind::SORTED_SET_ZIPLIST => scored(from.string()?.as_bytes(), ziplist::each, put),
        kind::SORTED_SET_LISTPACK => scored(from.string()?.as_bytes(), listpack::each, put),
        kind::HASH_ZIPLIST => fields(from.string()?.as_bytes(), ziplist::each, put),
        kind::HASH_LISTPACK => fields(from.string()?.as_bytes(), listpack::each, put),
        kind::SET_LISTPACK => {
            let packed = from.string()?;
            listpack::each(packed.as_bytes(), &mut |member| put(Part::Member(member.as_bytes())))?;
            Ok(())
        }
        kind::QUICKLIST => each(from, |from| elements(from.string()?.as_bytes(), ziplist::each, put)),
        kind::QUICKLIST_2 => each(from, |from| {
            const PLAIN: u64 = 1;
            const PACKED: u64 = 2;
            match from.count()? {
                // Redis has only long elements stand alone, and refuses one that is empty.
                PLAIN => match from.string()?.as_bytes() {
                    [] => Err(LoadError::Format),
                    element => put(Part::Element(element)),
                },
                PACKED => elements(from.string()?.as_bytes(), listpack::each, put),
                _ => Err(LoadError::Format),
            }
        }),
        // Streams, modules, and what there is not.
        _ => Err(LoadError::Format),
    }
}

/// Reads a count, then so many times what `one` reads. Nothing is made of the count itself.
fn each<'a>(
    from: &mut Reader<'a>,
    mut one: impl FnMut(&mut Reader<'a>) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    for _ in 0..from.count()? {
        one(from)?;
    }
    Ok(())
}

/// What walks a ziplist or a listpack.
type Walk<'a> = fn(&'a [u8], &mut dyn FnMut(Text<'a>) -> Result<(), LoadError>) -> Result<usize, LoadError>;

fn elements<'a>(packed: &'a [u8], walk: Walk<'a>, put: &mut Put<'_>) -> Result<(), LoadError> {
    walk(packed, &mut |element| put(Part::Element(element.as_bytes())))?;
    Ok(())
}

fn fields<'a>(packed: &'a [u8], walk: Walk<'a>, put: &mut Put<'_>) -> Result<(), LoadError> {
    pairs(packed, walk, |field, value| put(Part::Field(field.as_bytes(), value.as_bytes())))
}

fn scored<'a>(packed: &'a [u8], walk: Walk<'a>, put: &mut Put<'_>) -> Result<(), LoadError> {
    pairs(packed, walk, |member, text| put(Part::Scored(member.as_bytes(), score(text.as_bytes())?)))
}

/// The entries two by two.
fn pairs<'a>(
    packed: &'a [u8],
    walk: Walk<'a>,
    mut put: impl FnMut(Text<'a>, Text<'a>) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let mut first = None;
    walk(packed, &mut |entry| match first.take() {
        None => {
            first = Some(entry);
            Ok(())
        }
        Some(first) => put(first, entry),
    })?;
    if first.is_none() { Ok(()) } else { Err(LoadError::Format) }
}
