//! A connection that sends any bytes and shows what comes back.

use std::io;
use std::net::Ipv4Addr;

use carousel_protocol::resp::{Reply, encode_request, parse_reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::within;

/// See the module. Every exchange has [`crate::LIMIT`] to complete.
pub struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Raw {
    /// Connects to a node of this machine.
    ///
    /// # Errors
    /// As the system's.
    pub async fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a command and returns its reply.
    ///
    /// # Errors
    /// The connection's end.
    pub async fn try_call(&mut self, args: &[&[u8]]) -> io::Result<Reply> {
        let mut request = Vec::new();
        encode_request(&mut request, args);
        self.stream.write_all(&request).await?;
        self.try_reply().await
    }

    /// As [`Self::try_call`], for words.
    ///
    /// # Panics
    /// If the connection ends.
    pub async fn call(&mut self, words: &str) -> Reply {
        let args: Vec<&[u8]> = words.split_ascii_whitespace().map(str::as_bytes).collect();
        self.call_args(&args).await
    }

    /// As [`Self::call`], for any arguments.
    ///
    /// # Panics
    /// If the connection ends.
    pub async fn call_args(&mut self, args: &[&[u8]]) -> Reply {
        let name = String::from_utf8_lossy(args.first().copied().unwrap_or_default()).into_owned();
        match within(format!("an answer to {name}"), self.try_call(args)).await {
            Ok(reply) => reply,
            Err(error) => panic!("the connection ended with {name}: {error}"),
        }
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the connection has ended.
    pub async fn send(&mut self, bytes: &[u8]) {
        within("the bytes are sent", self.stream.write_all(bytes)).await.expect("the connection is open");
    }

    /// The next reply.
    ///
    /// # Panics
    /// If the connection ends before it.
    pub async fn reply(&mut self) -> Reply {
        within("a reply", self.try_reply()).await.expect("the connection is open")
    }

    /// The next reply.
    ///
    /// # Errors
    /// The connection's end, or bytes that are no reply.
    pub async fn try_reply(&mut self) -> io::Result<Reply> {
        loop {
            if let Some((reply, used)) = parse_reply(&self.received).map_err(io::Error::other)? {
                self.received.drain(..used);
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Everything that still comes until the node closes the connection.
    ///
    /// # Panics
    /// If it does not close it.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.received);
        // A reset is an end too: bytes that the node had not read.
        let _ = within("the node closes the connection", self.stream.read_to_end(&mut rest)).await;
        rest
    }
}

/// What a bulk string holds.
///
/// # Panics
/// If `reply` is not one.
pub fn bulk(reply: Reply) -> Vec<u8> {
    match reply {
        Reply::Bulk(bytes) => bytes,
        other => panic!("not a bulk string: {other:?}"),
    }
}
