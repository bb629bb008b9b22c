//! How the client connects, retries and gives up.

use std::time::Duration;

use carousel_protocol::resp::Reply;
use tokio::sync::mpsc;

/// How one connection is made and how much it may carry.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// Sent with `AUTH` when set.
    pub password: Option<String>,
    /// Speak RESP3 (`HELLO 3`); a server that does not know `HELLO` is spoken to in RESP2.
    pub resp3: bool,
    /// How long connecting, greeting and authenticating may take together.
    pub connect_timeout: Duration,
    /// Requests that one connection may have outstanding; a further one waits for a place.
    pub in_flight_max: usize,
    /// Where RESP3's pushes go, in their order among the replies; `None` drops them. While the channel is full
    /// the connection reads no further, so whoever waits for a reply must empty it.
    pub pushes: Option<mpsc::Sender<Vec<Reply>>>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            password: None,
            resp3: false,
            connect_timeout: Duration::from_secs(2),
            in_flight_max: 4096,
            pushes: None,
        }
    }
}

/// How an operation is retried.
#[derive(Clone, Debug)]
pub struct RetryOptions {
    /// Time an operation has in all, retries included.
    pub deadline: Duration,
    /// How long the server may be silent while an attempt waits for its reply, where an unknown outcome may be
    /// retried (reads, and writes with [`Self::retry_unknown_writes`]); other attempts wait until the deadline.
    pub attempt_timeout: Duration,
    /// First pause before a retry; each further pause is twice as long.
    pub pause_min: Duration,
    /// Longest pause before a retry.
    pub pause_max: Duration,
    /// Send a write again although an earlier attempt may have been executed. Right for writes that may
    /// happen twice (`SET k v`), wrong for those that may not (`INCR`).
    pub retry_unknown_writes: bool,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(2),
            pause_min: Duration::from_millis(2),
            pause_max: Duration::from_millis(250),
            retry_unknown_writes: false,
        }
    }
}

/// All that a [`crate::ClusterClient`] can be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Per connection.
    pub connect: ConnectOptions,
    /// Per operation.
    pub retry: RetryOptions,
    /// Connections to each node. A server spreads connections over its cores, so one per core is right.
    pub connections_per_node: usize,
    /// Least time between two fetches of the slot map.
    pub refresh_pause: Duration,
}

impl Options {
    /// The options with [`RetryOptions::retry_unknown_writes`] set.
    #[must_use]
    pub fn retry_unknown_writes(mut self) -> Self {
        self.retry.retry_unknown_writes = true;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect: ConnectOptions::default(),
            retry: RetryOptions::default(),
            connections_per_node: 2,
            refresh_pause: Duration::from_millis(100),
        }
    }
}
