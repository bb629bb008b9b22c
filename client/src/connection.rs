//! One socket with any number of requests outstanding.
//!
//! Requests are encoded straight into one output buffer under a lock that nobody holds across an await. One
//! task writes what has gathered there, in one piece, and reads replies, which arrive in the order of the
//! requests. So pipelining needs no effort of the caller: requests made at the same time share writes.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use carousel_protocol::resp::{Reply, ReplyParser, encode_request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::{Address, ClientError, ConnectOptions};

/// Bytes that one read may bring.
const READ_BYTES: usize = 64 * 1024;

/// Buffers that grew beyond this for one large value are given back.
const BUFFER_KEPT_BYTES_MAX: usize = 1024 * 1024;

const UNASKED: &str = "the server sent a reply that nobody asked for";

/// Why a request has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request never left this process.
    #[error("not sent: {why}")]
    NotSent {
        /// What broke.
        why: String,
    },
    /// The request was written, at least in part: it may have been executed.
    #[error("sent, but no reply: {why}")]
    Unknown {
        /// What broke.
        why: String,
    },
}

/// A connection to one node. Clones share the socket, which closes with the last of them.
#[derive(Clone, Debug)]
pub struct Connection {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Shared {
    address: Address,
    queue: Mutex<Queue>,
    /// Something is in `Queue::out`.
    output: Notify,
    /// Free places for outstanding requests.
    places: Semaphore,
    made: Instant,
    /// When the server last sent anything, in milliseconds since `made`.
    heard_ms: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    out: Vec<u8>,
    waiting: VecDeque<Waiting>,
    /// How many of `waiting`, from the front, were given to the socket.
    handed: usize,
    /// Why the connection is over.
    closed: Option<String>,
}

#[derive(Debug)]
enum Waiting {
    Reply(oneshot::Sender<Result<Reply, RequestError>>),
    /// The reply of an `ASKING`, which nobody reads.
    Ignored,
}

impl Connection {
    /// Connects, authenticates and makes sure that the server answers.
    ///
    /// # Errors
    /// [`ClientError::Connect`] with the operating system's or the server's words.
    pub async fn connect(address: &Address, options: &ConnectOptions) -> Result<Self, ClientError> {
        let fault = |why: String| ClientError::Connect { address: address.clone(), why };
        match tokio::time::timeout(options.connect_timeout, Self::open(address, options)).await {
            Ok(result) => result.map_err(fault),
            Err(_) => Err(fault(format!("no answer within {:?}", options.connect_timeout))),
        }
    }

    async fn open(address: &Address, options: &ConnectOptions) -> Result<Self, String> {
        let fault = |error| words(&error);
        let connection = match address.unix_path() {
            Some(path) => {
                let (reader, writer) = UnixStream::connect(path).await.map_err(fault)?.into_split();
                Self::start(address, reader, writer, options)
            }
            None => {
                let stream = TcpStream::connect((address.host(), address.port())).await.map_err(fault)?;
                // Requests are gathered here already: the kernel must not hold them back as well.
                stream.set_nodelay(true).map_err(fault)?;
                let (reader, writer) = stream.into_split();
                Self::start(address, reader, writer, options)
            }
        };
        connection.greet(options).await?;
        Ok(connection)
    }

    fn start<R, W>(address: &Address, reader: R, writer: W, options: &ConnectOptions) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let shared = Arc::new(Shared {
            address: address.clone(),
            queue: Mutex::default(),
            output: Notify::new(),
            // An `ASKING` and its request need two.
            places: Semaphore::new(options.in_flight_max.max(2)),
            made: Instant::now(),
            heard_ms: AtomicU64::new(0),
        });
        let task = tokio::spawn(drive(shared.clone(), reader, writer, options.pushes.clone())).abort_handle();
        Self { handle: Arc::new(Handle { shared, task }) }
    }

    async fn greet(&self, options: &ConnectOptions) -> Result<(), String> {
        let ask = async |args: &[&[u8]]| self.request(args).await.map_err(|error| error.to_string());
        let mut authenticated = false;
        if options.resp3 {
            let reply = match &options.password {
                Some(password) => ask(&[b"HELLO", b"3", b"AUTH", b"default", password.as_bytes()]).await?,
                None => ask(&[b"HELLO", b"3"]).await?,
            };
            match reply {
                // An old server: RESP2 then.
                Reply::Error(text)
                    if text.starts_with("ERR unknown command") || text.starts_with("NOPROTO") => {}
                Reply::Error(text) => return Err(text),
                _ => authenticated = true,
            }
        }
        if let (Some(password), false) = (&options.password, authenticated)
            && let Reply::Error(text) = ask(&[b"AUTH", password.as_bytes()]).await?
        {
            return Err(text);
        }
        match ask(&[b"PING"]).await? {
            // Nor will it answer anything else: a password is missing, or it closes the connection.
            Reply::Error(text)
                if ["NOAUTH", "DENIED", "ERR max number of clients"]
                    .iter()
                    .any(|code| text.starts_with(code)) =>
            {
                Err(text)
            }
            // It answers. What it refuses for now (LOADING, ...) each request will hear for itself.
            _ => Ok(()),
        }
    }

    /// The node at the other end.
    pub fn address(&self) -> &Address {
        &self.handle.shared.address
    }

    /// Is the connection over?
    pub fn is_closed(&self) -> bool {
        self.handle.shared.lock().closed.is_some()
    }

    /// How long the server has sent nothing at all. Replies come in order, so a server that sends is on its
    /// way to every outstanding request.
    pub fn silent_for(&self) -> Duration {
        let shared = &self.handle.shared;
        shared.made.elapsed().saturating_sub(Duration::from_millis(shared.heard_ms.load(Ordering::Relaxed)))
    }

    /// Do both share one socket?
    pub fn is_same(&self, other: &Connection) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }

    /// Ends the connection; every outstanding request fails with `why`.
    pub fn close(&self, why: &str) {
        self.handle.shared.fail(why.to_owned());
        self.handle.task.abort();
    }

    /// Sends one request and waits for its reply. Error replies are replies.
    ///
    /// Waits for a place first where [`ConnectOptions::in_flight_max`] requests are outstanding. Dropping the
    /// future does not take the request back.
    ///
    /// # Errors
    /// Where the connection is or gets closed, and whether the request may have been executed.
    pub async fn request(&self, args: &[&[u8]]) -> Result<Reply, RequestError> {
        self.send(args, false).await
    }

    /// As [`Self::request`], with `ASKING` directly before it.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn request_asking(&self, args: &[&[u8]]) -> Result<Reply, RequestError> {
        self.send(args, true).await
    }

    async fn send(&self, args: &[&[u8]], asking: bool) -> Result<Reply, RequestError> {
        let shared = &self.handle.shared;
        match shared.places.acquire_many(1 + u32::from(asking)).await {
            Ok(places) => places.forget(),
            Err(_) => return Err(RequestError::NotSent { why: shared.why_closed() }),
        }
        let reply = shared.enqueue(args, asking)?;
        // The sender goes without a word only where the runtime ends.
        reply
            .await
            .unwrap_or_else(|_| Err(RequestError::Unknown { why: "the client is shutting down".to_owned() }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing inside panics half way, so a poisoned queue is still whole.
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn why_closed(&self) -> String {
        self.lock().closed.clone().unwrap_or_else(|| "the connection is closed".to_owned())
    }

    fn enqueue(
        &self,
        args: &[&[u8]],
        asking: bool,
    ) -> Result<oneshot::Receiver<Result<Reply, RequestError>>, RequestError> {
        let (sender, receiver) = oneshot::channel();
        let mut queue = self.lock();
        if let Some(why) = &queue.closed {
            return Err(RequestError::NotSent { why: why.clone() });
        }
        let was_empty = queue.out.is_empty();
        if asking {
            encode_request(&mut queue.out, &[b"ASKING"]);
            queue.waiting.push_back(Waiting::Ignored);
        }
        encode_request(&mut queue.out, args);
        queue.waiting.push_back(Waiting::Reply(sender));
        drop(queue);
        if was_empty {
            self.output.notify_one();
        }
        Ok(receiver)
    }

    /// Ends the connection: requests that were given to the socket have an unknown outcome, the others were
    /// never sent.
    fn fail(&self, why: String) {
        self.places.close();
        let mut queue = self.lock();
        if queue.closed.is_some() {
            return;
        }
        queue.closed = Some(why.clone());
        queue.out = Vec::new();
        let waiting = std::mem::take(&mut queue.waiting);
        let handed = std::mem::take(&mut queue.handed);
        drop(queue);
        for (i, waiting) in waiting.into_iter().enumerate() {
            if let Waiting::Reply(sender) = waiting {
                let why = why.clone();
                let error =
                    if i < handed { RequestError::Unknown { why } } else { RequestError::NotSent { why } };
                // A receiver that is gone does not want to know.
                let _ = sender.send(Err(error));
            }
        }
    }

    /// Gives `replies` to those who wait, in order. False where more came than were asked for.
    fn deliver(&self, replies: &mut Vec<Reply>, matched: &mut Vec<Waiting>) -> bool {
        let mut queue = self.lock();
        if replies.len() > queue.handed {
            return false;
        }
        queue.handed -= replies.len();
        matched.extend(queue.waiting.drain(..replies.len()));
        drop(queue);
        self.places.add_permits(replies.len());
        for (waiting, reply) in matched.drain(..).zip(replies.drain(..)) {
            if let Waiting::Reply(sender) = waiting {
                let _ = sender.send(Ok(reply));
            }
        }
        true
    }
}

async fn drive(
    shared: Arc<Shared>,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    pushes: Option<mpsc::Sender<Vec<Reply>>>,
) {
    let why = tokio::select! {
        why = write_all(&shared, writer) => why,
        why = read_all(&shared, reader, pushes) => why,
    };
    tracing::debug!(address = %shared.address, why, "connection closed");
    shared.fail(why);
}

async fn write_all(shared: &Shared, mut writer: impl AsyncWrite + Unpin) -> String {
    let mut batch = Vec::new();
    loop {
        shared.output.notified().await;
        {
            let mut queue = shared.lock();
            std::mem::swap(&mut queue.out, &mut batch);
            queue.handed = queue.waiting.len();
        }
        if let Err(error) = writer.write_all(&batch).await {
            return words(&error);
        }
        batch.clear();
        if batch.capacity() > BUFFER_KEPT_BYTES_MAX {
            batch = Vec::new();
        }
    }
}

async fn read_all(
    shared: &Shared,
    mut reader: impl AsyncRead + Unpin,
    pushes: Option<mpsc::Sender<Vec<Reply>>>,
) -> String {
    let mut input: Vec<u8> = Vec::with_capacity(READ_BYTES);
    let mut parser = ReplyParser::new();
    let mut replies = Vec::new();
    let mut matched = Vec::new();
    loop {
        input.reserve(READ_BYTES);
        match reader.read_buf(&mut input).await {
            Ok(0) => return "closed by the server".to_owned(),
            Ok(_) => shared.heard_ms.store(shared.made.elapsed().as_millis() as u64, Ordering::Relaxed),
            Err(error) => return words(&error),
        }
        let mut start = 0;
        loop {
            match parser.parse(&input[start..]) {
                // Out of band, the answer to nothing that was asked.
                Ok(Some((Reply::Push(items), consumed))) => {
                    start += consumed;
                    let Some(pushes) = &pushes else { continue };
                    // What came before it is seen before it.
                    if !shared.deliver(&mut replies, &mut matched) {
                        return UNASKED.to_owned();
                    }
                    // A receiver that is gone does not want to know.
                    let _ = pushes.send(items).await;
                }
                Ok(Some((reply, consumed))) => {
                    start += consumed;
                    replies.push(reply);
                }
                Ok(None) => break,
                Err(error) => return format!("the server does not speak the Redis protocol: {error}"),
            }
        }
        input.drain(..start);
        if input.is_empty() && input.capacity() > BUFFER_KEPT_BYTES_MAX {
            input = Vec::new();
        }
        if !shared.deliver(&mut replies, &mut matched) {
            return UNASKED.to_owned();
        }
    }
}

/// The operating system's words without its number.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
