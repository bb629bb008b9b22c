//! Lengths, strings and numbers of the format.

use carousel_protocol::resp::number::Decimal;

use super::LoadError;
use super::lzf;

/// Longest string.
pub(super) const STRING_BYTES_MAX: usize = crate::store::VALUE_BYTES_MAX;

/// A string as it was written: as it is, as an integer, or compressed.
pub(super) enum Text<'a> {
    Plain(&'a [u8]),
    Integer(Decimal),
    Inflated(Vec<u8>),
}

impl Text<'_> {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Integer(text) => text,
            Self::Inflated(bytes) => bytes,
        }
    }
}

/// What stands where a length is expected.
enum Length {
    Of(u64),
    /// None: a string follows that is encoded in this way.
    Encoded(u8),
}

/// A payload being read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// So many bytes.
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], LoadError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(LoadError::Format)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], LoadError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(LoadError::Format)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, LoadError> {
        Ok(self.array::<1>()?[0])
    }

    /// How many parts follow.
    pub(super) fn count(&mut self) -> Result<u64, LoadError> {
        match self.length()? {
            Length::Of(count) => Ok(count),
            Length::Encoded(_) => Err(LoadError::Format),
        }
    }

    fn length(&mut self) -> Result<Length, LoadError> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match first >> 6 {
            0 => Length::Of(low.into()),
            1 => Length::Of(u64::from(low) << 8 | u64::from(self.byte()?)),
            2 => Length::Of(match first {
                0x80 => u32::from_be_bytes(self.array()?).into(),
                0x81 => u64::from_be_bytes(self.array()?),
                _ => return Err(LoadError::Format),
            }),
            _ => Length::Encoded(low),
        })
    }

    /// How many bytes of the payload follow.
    fn bytes_count(&mut self) -> Result<usize, LoadError> {
        usize::try_from(self.count()?).map_err(|_| LoadError::Format)
    }

    pub(super) fn string(&mut self) -> Result<Text<'a>, LoadError> {
        let integer = |value: i64| Text::Integer(Decimal::new(value));
        Ok(match self.length()? {
            Length::Of(len) => {
                let len = usize::try_from(len).map_err(|_| LoadError::Format)?;
                if len > STRING_BYTES_MAX {
                    return Err(LoadError::Format);
                }
                Text::Plain(self.take(len)?)
            }
            Length::Encoded(0) => integer(i8::from_le_bytes(self.array()?).into()),
            Length::Encoded(1) => integer(i16::from_le_bytes(self.array()?).into()),
            Length::Encoded(2) => integer(i32::from_le_bytes(self.array()?).into()),
            Length::Encoded(3) => {
                let (packed_len, len) = (self.bytes_count()?, self.bytes_count()?);
                let packed = self.take(packed_len)?;
                if len > STRING_BYTES_MAX {
                    return Err(LoadError::Format);
                }
                Text::Inflated(lzf::inflate(packed, len).ok_or(LoadError::Format)?)
            }
            Length::Encoded(_) => return Err(LoadError::Format),
        })
    }

    /// A score as version 1 wrote it: a length, or what is no number, then text.
    pub(super) fn score_as_text(&mut self) -> Result<f64, LoadError> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Err(LoadError::Format),
            len => score(self.take(len.into())?),
        }
    }
}

/// The score that a text is.
pub(super) fn score(text: &[u8]) -> Result<f64, LoadError> {
    let score: f64 = str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(LoadError::Format)?;
    if score.is_nan() { Err(LoadError::Format) } else { Ok(score) }
}
