//! Calls between the control threads of two nodes: one connection per direction and pair, many calls at once.
//!
//! The caller's side ([`RpcPool`]) makes a connection with the first call and keeps it while calls come. Calls
//! that cannot be made fail at once and say why; nothing is ever called twice here, that is the callers' choice.
//! What the bytes mean is theirs too.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use carousel_protocol::NodeId;
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::frame::{CLOSING, put_frame, read_frame};
use super::hello::{Hello, RpcHello};
use super::{CALLS_QUEUED_MAX, CALLS_SERVED_MAX, CONNECT_TIMEOUT, FRAME_BYTES_MAX, IDLE_MAX, SILENCE_MAX};

/// Why a call has no answer. After [`Self::Closed`] and [`Self::Timeout`] the peer may have done it all the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RpcError {
    /// Nobody listens there: the peer's process is gone.
    #[error("{address} refuses connections")]
    Refused {
        /// `host:port` of the peer.
        address: String,
    },
    /// No connection came about.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// `host:port` of the peer.
        address: String,
        /// What failed.
        reason: String,
    },
    /// The connection ended before the answer.
    #[error("connection to {address} lost: {reason}")]
    Closed {
        /// `host:port` of the peer.
        address: String,
        /// What failed, or what the peer said.
        reason: String,
    },
    /// No answer in time.
    #[error("no answer from {address} within {after:?}")]
    Timeout {
        /// `host:port` of the peer.
        address: String,
        /// How long the caller was ready to wait.
        after: Duration,
    },
    /// Too many calls wait for this peer already, or the request is too long.
    #[error("call to {address} not made: {reason}")]
    Busy {
        /// `host:port` of the peer.
        address: String,
        /// Which limit.
        reason: &'static str,
    },
}

impl RpcError {
    /// The peer cannot have got the request.
    pub fn was_not_sent(&self) -> bool {
        match self {
            RpcError::Refused { .. } | RpcError::Connect { .. } | RpcError::Busy { .. } => true,
            RpcError::Closed { .. } | RpcError::Timeout { .. } => false,
        }
    }
}

/// Serves calls.
pub trait RpcService: Send + Sync + 'static {
    /// Who serves: a call meant for another node is refused before it gets here.
    fn node(&self) -> NodeId;

    /// Answers one call. The future runs to its end even if the caller gives up.
    fn serve(self: Arc<Self>, from: NodeId, request: Vec<u8>) -> BoxFuture<'static, Vec<u8>>;
}

/// The caller's connections, by peer. Clones share them.
#[derive(Clone)]
pub struct RpcPool {
    me: NodeId,
    peers: Arc<Mutex<HashMap<PeerKey, mpsc::Sender<Call>>>>,
    lost: Arc<Notify>,
}

/// A peer is its address and who should answer there.
type PeerKey = (String, Option<NodeId>);

struct Call {
    request: Vec<u8>,
    answer: oneshot::Sender<Result<Vec<u8>, RpcError>>,
}

impl RpcPool {
    /// Connections that present themselves as `me`.
    pub fn new(me: NodeId) -> Self {
        Self { me, peers: Arc::default(), lost: Arc::default() }
    }

    /// Calls the node `to` at `address` (`host:port`) and waits up to `timeout` for its answer.
    ///
    /// Must run on a tokio runtime. `to: None` takes whoever listens there.
    pub async fn call(
        &self,
        address: &str,
        to: Option<NodeId>,
        request: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, RpcError> {
        let busy = |reason| RpcError::Busy { address: address.into(), reason };
        if request.len() > FRAME_BYTES_MAX {
            return Err(busy("the request is too long"));
        }
        let (answer, answered) = oneshot::channel();
        self.peer(address, to).try_send(Call { request, answer }).map_err(|_| busy("too many calls wait"))?;
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => {
                Err(RpcError::Closed { address: address.into(), reason: "the caller shut down".into() })
            }
            Err(_) => Err(RpcError::Timeout { address: address.into(), after: timeout }),
        }
    }

    /// Completes when any connection is lost after this call: a hint to look at once whether its peer lives.
    pub fn lost(&self) -> tokio::sync::futures::Notified<'_> {
        self.lost.notified()
    }

    fn peer(&self, address: &str, to: Option<NodeId>) -> mpsc::Sender<Call> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (address.to_owned(), to);
        if let Some(sender) = peers.get(&key).filter(|sender| !sender.is_closed()) {
            return sender.clone();
        }
        peers.retain(|_, sender| !sender.is_closed());
        let (sender, calls) = mpsc::channel(CALLS_QUEUED_MAX);
        peers.insert(key, sender.clone());
        let hello = Hello::Rpc(RpcHello { from: self.me, to });
        tokio::spawn(Caller { address: address.into(), hello, calls, lost: self.lost.clone() }.run());
        sender
    }
}

/// One peer's connection, made when there are calls, until there have been none for [`IDLE_MAX`].
struct Caller {
    address: String,
    hello: Hello,
    calls: mpsc::Receiver<Call>,
    lost: Arc<Notify>,
}

/// Calls whose answer is awaited, by number.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<Vec<u8>, RpcError>>>>>;

impl Caller {
    async fn run(mut self) {
        while let Ok(Some(first)) = tokio::time::timeout(IDLE_MAX, self.calls.recv()).await {
            let failed = match self.connect().await {
                Ok(stream) => {
                    let failed = self.talk(stream, first).await;
                    self.lost.notify_waiters();
                    failed
                }
                Err(error) => {
                    let _ = first.answer.send(Err(error.clone()));
                    Some(error)
                }
            };
            let Some(error) = failed else { return };
            // What was queued meanwhile would meet the same fault: its callers choose what to do.
            while let Ok(call) = self.calls.try_recv() {
                let _ = call.answer.send(Err(error.clone()));
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, RpcError> {
        let address = self.address.clone();
        let connect = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            stream.write_all(&self.hello.encode()).await?;
            Ok(stream)
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(connect_error(address, &error)),
            Err(_) => {
                Err(RpcError::Connect { address, reason: format!("no connection in {CONNECT_TIMEOUT:?}") })
            }
        }
    }

    /// Carries calls until the connection fails (the reason) or has been idle for long (`None`).
    async fn talk(&mut self, stream: TcpStream, first: Call) -> Option<RpcError> {
        let (read_half, mut write_half) = stream.into_split();
        let waiting = Waiting::default();
        let heard = Arc::new(Mutex::new(Instant::now()));
        let mut reader = tokio::spawn(read_answers(read_half, waiting.clone(), heard.clone()));
        let mut number = CLOSING;
        let mut next = Some(first);
        let mut out = Vec::new();
        let mut used = Instant::now();
        let reason = loop {
            while let Some(call) = next.take() {
                number += 1;
                put_frame(&mut out, number, &call.request);
                lock(&waiting).insert(number, call.answer);
                if out.len() < FRAME_BYTES_MAX {
                    next = self.calls.try_recv().ok();
                }
            }
            if !out.is_empty() {
                used = Instant::now();
                match tokio::time::timeout(SILENCE_MAX, write_half.write_all(&out)).await {
                    Ok(Ok(())) => out.clear(),
                    Ok(Err(error)) => break error.to_string(),
                    Err(_) => break format!("it took nothing for {SILENCE_MAX:?}"),
                }
                out.shrink_to(64 * 1024);
            }
            tokio::select! {
                call = self.calls.recv() => match call {
                    Some(call) => next = Some(call),
                    // Every handle on the pool is gone.
                    None => { reader.abort(); return None }
                },
                ended = &mut reader => {
                    break ended.unwrap_or_else(|panic| panic.to_string());
                }
                () = tokio::time::sleep(SILENCE_MAX / 4) => {
                    let mut waiting = lock(&waiting);
                    waiting.retain(|_, answer| !answer.is_closed());
                    let quiet = lock(&heard).max(used).elapsed();
                    if !waiting.is_empty() && quiet >= SILENCE_MAX {
                        break format!("no sign of it for {quiet:?}");
                    }
                    if waiting.is_empty() && quiet >= IDLE_MAX {
                        reader.abort();
                        return None;
                    }
                }
            }
        };
        reader.abort();
        let error = RpcError::Closed { address: self.address.clone(), reason };
        for (_, answer) in lock(&waiting).drain() {
            let _ = answer.send(Err(error.clone()));
        }
        Some(error)
    }
}

/// Hands answers to their callers until the connection ends; returns why it did.
async fn read_answers(read_half: OwnedReadHalf, waiting: Waiting, heard: Arc<Mutex<Instant>>) -> String {
    let mut stream = tokio::io::BufReader::new(read_half);
    loop {
        match read_frame(&mut stream).await {
            Ok(Some((CLOSING, reason))) => return String::from_utf8_lossy(&reason).into_owned(),
            Ok(Some((number, answer))) => {
                *lock(&heard) = Instant::now();
                // Nobody there: the caller gave up.
                if let Some(caller) = lock(&waiting).remove(&number) {
                    let _ = caller.send(Ok(answer));
                }
            }
            Ok(None) => return "closed by the peer".into(),
            Err(error) => return error.to_string(),
        }
    }
}

fn connect_error(address: String, error: &io::Error) -> RpcError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => RpcError::Refused { address },
        _ => RpcError::Connect { address, reason: error.to_string() },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves the calls of one connection whose hello has been read, until it ends.
pub async fn serve_calls(stream: TcpStream, hello: RpcHello, service: Arc<dyn RpcService>) {
    let _ = stream.set_nodelay(true);
    let (read_half, mut write_half) = stream.into_split();
    let me = service.node();
    if let Some(to) = hello.to.filter(|to| *to != me) {
        tracing::debug!(from = %hello.from, meant = %to, "refused calls that are meant for another node");
        return say_and_close(read_half, write_half, &format!("node {me} answers there, not {to}")).await;
    }
    let (answers, answered) = mpsc::channel::<(u64, Vec<u8>)>(CALLS_SERVED_MAX);
    let writer = async {
        if let Err(error) = write_answers(&mut write_half, answered).await {
            tracing::debug!(peer = %hello.from, %error, "answers to a peer stopped");
        }
    };
    // Either half's end ends the connection; calls being served run on and answer nobody.
    tokio::select! {
        () = writer => {}
        () = read_calls(read_half, hello.from, service, answers) => {}
    }
}

async fn read_calls(
    read_half: OwnedReadHalf,
    from: NodeId,
    service: Arc<dyn RpcService>,
    answers: mpsc::Sender<(u64, Vec<u8>)>,
) {
    let mut stream = tokio::io::BufReader::new(read_half);
    let places = Arc::new(Semaphore::new(CALLS_SERVED_MAX));
    loop {
        let place = places.clone().acquire_owned().await.expect("never closed");
        let (number, request) = match read_frame(&mut stream).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) => return tracing::debug!(peer = %from, %error, "calls from a peer stopped"),
        };
        let (service, answers) = (service.clone(), answers.clone());
        tokio::spawn(async move {
            let answer = service.serve(from, request).await;
            let _ = answers.send((number, answer)).await;
            drop(place);
        });
    }
}

async fn write_answers(
    out: &mut OwnedWriteHalf,
    mut answered: mpsc::Receiver<(u64, Vec<u8>)>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    while let Some((number, answer)) = answered.recv().await {
        put_frame(&mut bytes, number, &answer);
        while bytes.len() < FRAME_BYTES_MAX
            && let Ok((number, answer)) = answered.try_recv()
        {
            put_frame(&mut bytes, number, &answer);
        }
        out.write_all(&bytes).await?;
        bytes.clear();
        bytes.shrink_to(64 * 1024);
    }
    Ok(())
}

/// Sends a closing frame and reads off what the caller sent, so that the reason is not lost in a reset.
async fn say_and_close(mut read_half: OwnedReadHalf, mut write_half: OwnedWriteHalf, reason: &str) {
    let mut bytes = Vec::new();
    put_frame(&mut bytes, CLOSING, reason.as_bytes());
    let goodbye = async {
        write_half.write_all(&bytes).await?;
        write_half.shutdown().await?;
        let mut rest = [0; 4096];
        while read_half.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(CONNECT_TIMEOUT, goodbye).await;
}
