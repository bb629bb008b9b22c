//! A scripted server for tests: answers each request as a closure says, or breaks the connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use carousel_protocol::resp::{Reply, parse_reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::Address;

/// What the server does with one request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends these bytes.
    Raw(Vec<u8>),
    /// Closes the connection without a reply.
    Drop,
    /// Neither replies nor closes.
    Silent,
}

impl Act {
    /// `+OK`.
    pub fn ok() -> Self {
        Self::Raw(b"+OK\r\n".to_vec())
    }

    /// A bulk string.
    pub fn bulk(bytes: &[u8]) -> Self {
        let mut raw = format!("${}\r\n", bytes.len()).into_bytes();
        raw.extend_from_slice(bytes);
        raw.extend_from_slice(b"\r\n");
        Self::Raw(raw)
    }

    /// An error of these words, its code first.
    pub fn error(text: &str) -> Self {
        Self::Raw(format!("-{text}\r\n").into_bytes())
    }

    /// The reply to `CLUSTER SLOTS` for these ranges.
    pub fn slots(ranges: &[(u16, u16, &Address)]) -> Self {
        let mut raw = format!("*{}\r\n", ranges.len());
        for (first, last, node) in ranges {
            let (host, port) = (node.host(), node.port());
            raw += &format!("*3\r\n:{first}\r\n:{last}\r\n*2\r\n${}\r\n{host}\r\n:{port}\r\n", host.len());
        }
        Self::Raw(raw.into_bytes())
    }
}

/// One request as the server got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Counts connections from 0.
    pub connection: usize,
    /// The words, lossily as text, joined by spaces.
    pub words: String,
    /// The words as sent.
    pub args: Vec<Vec<u8>>,
}

type Script = dyn FnMut(&Seen) -> Act + Send;

/// A listening server; stops with its last handle.
#[derive(Debug)]
pub struct MockServer {
    address: Address,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl MockServer {
    /// Listens on a free port. `PING` and `ASKING` are answered without asking `script`.
    pub async fn start(script: impl FnMut(&Seen) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::on(listener, script)
    }

    /// Serves on a listener made before, for servers that must know each other's address.
    pub fn on(listener: TcpListener, script: impl FnMut(&Seen) -> Act + Send + 'static) -> Self {
        let address = address_of(listener.local_addr().expect("a bound socket"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(script));
        let task = tokio::spawn(accept(listener, script, seen.clone())).abort_handle();
        Self { address, seen, task }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The requests so far, without `PING`.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no script panicked").clone()
    }

    /// How many requests so far had these words.
    pub fn count(&self, words: &str) -> usize {
        self.seen().iter().filter(|seen| seen.words == words).count()
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A bound listener and its address, for [`MockServer::on`].
pub async fn listener() -> (TcpListener, Address) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = address_of(listener.local_addr().expect("a bound socket"));
    (listener, address)
}

fn address_of(socket: SocketAddr) -> Address {
    Address::new(&socket.ip().to_string(), socket.port()).expect("a bound socket has a port")
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>, seen: Arc<Mutex<Vec<Seen>>>) {
    // Aborted with this task, so that a stopped server's connections break as those of a killed process do.
    let mut connections = JoinSet::new();
    for connection in 0.. {
        let Ok((stream, _)) = listener.accept().await else { return };
        connections.spawn(serve(connection, stream, script.clone(), seen.clone()));
    }
}

async fn serve(
    connection: usize,
    mut stream: TcpStream,
    script: Arc<Mutex<Script>>,
    all: Arc<Mutex<Vec<Seen>>>,
) {
    let mut input = Vec::new();
    loop {
        while let Some((request, consumed)) = parse_reply(&input).expect("clients send well-formed requests")
        {
            input.drain(..consumed);
            let args = args(&request);
            let words: Vec<_> = args.iter().map(|word| String::from_utf8_lossy(word)).collect();
            let words = words.join(" ");
            let act = match words.as_str() {
                "PING" => Act::Raw(b"+PONG\r\n".to_vec()),
                _ => {
                    let seen = Seen { connection, words, args };
                    all.lock().expect("no script panicked").push(seen.clone());
                    match seen.words.as_str() {
                        "ASKING" => Act::ok(),
                        _ => (script.lock().expect("no script panicked"))(&seen),
                    }
                }
            };
            match act {
                Act::Raw(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Act::Drop => return,
                Act::Silent => {}
            }
        }
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

fn args(request: &Reply) -> Vec<Vec<u8>> {
    let words = request.as_array().expect("a request is an array");
    words.iter().map(|word| word.as_bytes().expect("of strings").to_vec()).collect()
}
