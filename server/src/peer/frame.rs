//! Frames of a connection for calls, both ways.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | length of the body, `u32` little endian, at most [`FRAME_BYTES_MAX`] |
//! | 4..12 | number of the call, `u64` little endian; the answer repeats it |
//! | 12.. | body |
//!
//! Call number 0 is never asked: a frame of that number from the serving side is its reason for closing, as text.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::FRAME_BYTES_MAX;

/// The call number of a closing frame.
pub const CLOSING: u64 = 0;

const HEADER_BYTES: usize = 12;
/// A body is read in steps of this, so that a length alone costs no memory.
const READ_STEP_BYTES: usize = 256 * 1024;

/// Appends a frame to `out`.
///
/// The body must fit [`FRAME_BYTES_MAX`]: senders check before.
pub fn put_frame(out: &mut Vec<u8>, call: u64, body: &[u8]) {
    assert!(body.len() <= FRAME_BYTES_MAX, "callers refuse longer bodies");
    out.reserve(HEADER_BYTES + body.len());
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(call.to_le_bytes());
    out.extend(body);
}

/// Reads one frame; `None` where the stream ended between frames.
///
/// Not safe to cancel: a dropped read loses its place in the stream.
pub async fn read_frame<R>(stream: &mut R) -> io::Result<Option<(u64, Vec<u8>)>>
where
    R: AsyncRead + Unpin,
{
    let mut header = [0; HEADER_BYTES];
    let mut have = 0;
    while have < HEADER_BYTES {
        match stream.read(&mut header[have..]).await? {
            0 if have == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => have += n,
        }
    }
    let (len, call) = header.split_at(4);
    let len = u32::from_le_bytes(len.try_into().expect("four bytes")) as usize;
    let call = u64::from_le_bytes(call.try_into().expect("eight bytes"));
    if len > FRAME_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {len} bytes")));
    }
    let mut body = Vec::with_capacity(len.min(READ_STEP_BYTES));
    let read = stream.take(len as u64).read_to_end(&mut body).await?;
    if read < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((call, body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_out_as_they_went_in() {
        let mut bytes = Vec::new();
        let long = vec![7; 3 * READ_STEP_BYTES + 1];
        put_frame(&mut bytes, 1, b"one");
        put_frame(&mut bytes, u64::MAX, b"");
        put_frame(&mut bytes, 3, &long);
        let mut stream = &bytes[..];
        assert_eq!(read_frame(&mut stream).await.unwrap(), Some((1, b"one".to_vec())));
        assert_eq!(read_frame(&mut stream).await.unwrap(), Some((u64::MAX, vec![])));
        assert_eq!(read_frame(&mut stream).await.unwrap(), Some((3, long)));
        assert_eq!(read_frame(&mut stream).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_torn_or_oversized_frame_is_an_error() {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, 1, b"one");
        for cut in 1..bytes.len() {
            let error = read_frame(&mut &bytes[..cut]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {cut}");
        }
        let error = read_frame(&mut &[0xff; 64][..]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
