//! The first frame of every connection to a peer port.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | magic `CRSL` |
//! | 4..6 | protocol version, `u16` little endian |
//! | 6..8 | length of the body, `u16` little endian, at most [`HELLO_BYTES_MAX`] |
//! | 8.. | body: [`Hello`] in postcard |
//!
//! The first eight bytes keep their meaning in every later version, so that any two versions can at least tell
//! each other apart.

use std::io;
use std::time::Duration;

use carousel_protocol::{Incarnation, NodeId, ShardId};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::HELLO_BYTES_MAX;

/// First bytes of every connection.
pub const MAGIC: [u8; 4] = *b"CRSL";
/// Version of what follows on the connection.
pub const VERSION: u16 = 1;
/// Bytes before the body.
pub const PRELUDE_BYTES: usize = 8;

/// What a connection is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Hello {
    /// Calls between control threads.
    Rpc(RpcHello),
    /// The streams between two shards.
    ShardLink(ShardLinkHello),
}

/// Opens a connection for calls.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RpcHello {
    /// Who calls.
    pub from: NodeId,
    /// Who is meant; a node of another id refuses. `None` where the caller knows only the address.
    pub to: Option<NodeId>,
}

/// Opens a connection between two shards.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShardLinkHello {
    /// The cluster that both belong to.
    pub cluster_id: NodeId,
    /// The connecting node.
    pub from: NodeId,
    /// Incarnation of its process.
    pub incarnation: Incarnation,
    /// The connecting shard.
    pub from_shard: ShardId,
    /// The shard meant.
    pub to_shard: ShardId,
    /// The node meant.
    pub to: NodeId,
}

/// The bytes are no hello that this version understands.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Something else talks to the peer port.
    #[error("the first bytes are not those of a Carousel node")]
    Magic,
    /// A node of another version.
    #[error("the other side speaks peer protocol version {theirs}, this node {VERSION}")]
    Version {
        /// What the other side said.
        theirs: u16,
    },
    /// Longer than any hello.
    #[error("a hello of {0} bytes, at most {HELLO_BYTES_MAX} are allowed")]
    Length(usize),
    /// The body does not decode.
    #[error("the hello does not decode")]
    Body,
}

/// No hello came.
#[derive(Debug, thiserror::Error)]
pub enum HelloReadError {
    /// It came, and is none.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// The connection failed or ended first.
    #[error("connection lost before its hello: {0}")]
    Io(#[from] io::Error),
    /// Nothing whole came in time.
    #[error("no hello within {0:?}")]
    Timeout(Duration),
}

impl Hello {
    /// The frame's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let body = postcard::to_stdvec(self).expect("a hello always encodes");
        assert!(body.len() <= HELLO_BYTES_MAX, "ids and numbers stay below the limit");
        let mut out = Vec::with_capacity(PRELUDE_BYTES + body.len());
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend((body.len() as u16).to_le_bytes());
        out.extend(body);
        out
    }

    /// The hello at the start of `input` and its length; `None` where more bytes are needed. Bytes that can be
    /// the start of no hello are an error at once, however few.
    pub fn decode(input: &[u8]) -> Result<Option<(Self, usize)>, HelloError> {
        if input.iter().zip(MAGIC).any(|(a, b)| *a != b) {
            return Err(HelloError::Magic);
        }
        let Some((prelude, rest)) = input.split_first_chunk::<PRELUDE_BYTES>() else { return Ok(None) };
        let body_bytes = check_prelude(prelude)?;
        let Some(body) = rest.get(..body_bytes) else { return Ok(None) };
        Ok(Some((decode_body(body)?, PRELUDE_BYTES + body_bytes)))
    }
}

/// Reads exactly the hello and not a byte more, so that the stream can be handed on.
///
/// `limit` bounds the whole read.
pub async fn read_hello<R>(stream: &mut R, limit: Duration) -> Result<Hello, HelloReadError>
where
    R: AsyncRead + Unpin,
{
    let read = async {
        let mut prelude = [0; PRELUDE_BYTES];
        stream.read_exact(&mut prelude).await?;
        let mut body = [0; HELLO_BYTES_MAX];
        let body = &mut body[..check_prelude(&prelude)?];
        stream.read_exact(body).await?;
        Ok(decode_body(body)?)
    };
    tokio::time::timeout(limit, read).await.unwrap_or(Err(HelloReadError::Timeout(limit)))
}

/// The body's length.
fn check_prelude(prelude: &[u8; PRELUDE_BYTES]) -> Result<usize, HelloError> {
    let [m0, m1, m2, m3, v0, v1, l0, l1] = *prelude;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(HelloError::Magic);
    }
    let theirs = u16::from_le_bytes([v0, v1]);
    if theirs != VERSION {
        return Err(HelloError::Version { theirs });
    }
    let body_bytes = usize::from(u16::from_le_bytes([l0, l1]));
    if body_bytes > HELLO_BYTES_MAX {
        return Err(HelloError::Length(body_bytes));
    }
    Ok(body_bytes)
}

fn decode_body(body: &[u8]) -> Result<Hello, HelloError> {
    match postcard::take_from_bytes(body) {
        Ok((hello, [])) => Ok(hello),
        Ok(_) | Err(_) => Err(HelloError::Body),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_hello() -> impl Strategy<Value = Hello> {
        let id = || any::<[u8; 20]>().prop_map(NodeId);
        prop_oneof![
            (id(), proptest::option::of(id())).prop_map(|(from, to)| Hello::Rpc(RpcHello { from, to })),
            (id(), id(), id(), any::<u64>(), any::<u16>(), any::<u16>()).prop_map(
                |(cluster_id, from, to, incarnation, from_shard, to_shard)| {
                    Hello::ShardLink(ShardLinkHello {
                        cluster_id,
                        from,
                        incarnation: Incarnation(incarnation),
                        from_shard: ShardId(from_shard),
                        to_shard: ShardId(to_shard),
                        to,
                    })
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn a_hello_survives_the_wire_in_any_pieces(hello in any_hello(), tail in proptest::collection::vec(any::<u8>(), 0..9)) {
            let mut bytes = hello.encode();
            let len = bytes.len();
            for cut in 0..len {
                prop_assert_eq!(Hello::decode(&bytes[..cut]), Ok(None));
            }
            bytes.extend(tail);
            prop_assert_eq!(Hello::decode(&bytes), Ok(Some((hello, len))));
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 1..600), valid_start in 0usize..8) {
            let mut bytes = bytes;
            let start = Hello::Rpc(RpcHello { from: NodeId::default(), to: None }).encode();
            let valid = valid_start.min(bytes.len());
            bytes[..valid].copy_from_slice(&start[..valid]);
            let _ = Hello::decode(&bytes);
        }
    }

    #[test]
    fn each_fault_is_told_apart() {
        let good = Hello::Rpc(RpcHello { from: NodeId([1; 20]), to: None }).encode();
        assert_eq!(Hello::decode(b"G"), Err(HelloError::Magic));
        let mut version = good.clone();
        version[4] = 9;
        assert_eq!(Hello::decode(&version), Err(HelloError::Version { theirs: 9 }));
        let mut length = good.clone();
        length[7] = 0xff;
        assert!(matches!(Hello::decode(&length), Err(HelloError::Length(_))));
        let mut body = good;
        body[8] = 7;
        assert_eq!(Hello::decode(&body), Err(HelloError::Body));
    }

    #[tokio::test]
    async fn a_hello_is_read_without_a_byte_of_what_follows() {
        let hello = Hello::Rpc(RpcHello { from: NodeId([1; 20]), to: Some(NodeId([2; 20])) });
        let mut bytes = hello.encode();
        bytes.extend(b"rest");
        let mut stream = &bytes[..];
        assert_eq!(read_hello(&mut stream, Duration::from_secs(5)).await.unwrap(), hello);
        assert_eq!(stream, b"rest");
    }

    #[tokio::test]
    async fn a_silent_connection_times_out() {
        let (mut stream, _other) = tokio::io::duplex(64);
        let error = read_hello(&mut stream, Duration::from_millis(5)).await.unwrap_err();
        assert!(matches!(error, HelloReadError::Timeout(_)), "{error}");
    }
}
