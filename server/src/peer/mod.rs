//! What goes over the peer port: the first frame that says what a connection is for, the node-to-node calls of
//! the control threads, and the listener that tells the two kinds of connection apart.

pub mod frame;
pub mod hello;
pub mod link;
pub mod listener;
pub mod rpc;

use std::time::Duration;

/// Longest a call's frame may be: an `InstallSnapshot` chunk or a batch of config entries fits well.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest the body of a hello may be.
pub const HELLO_BYTES_MAX: usize = 512;
/// A connection that has not said what it is for by then is closed.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections that may be in their hello at once; more wait in the listen queue.
pub const HELLOS_MAX: usize = 128;
/// Calls that may wait for one peer's connection; more are refused as [`rpc::RpcError::Busy`].
pub const CALLS_QUEUED_MAX: usize = 256;
/// Calls of one connection that a node serves at once; it reads no further until one is done.
pub const CALLS_SERVED_MAX: usize = 64;
/// How long a connection attempt may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection with calls waiting on which nothing arrived for this long is closed and made anew: after a
/// partition heals, a fresh connection is sooner there than TCP's next retransmission.
pub const SILENCE_MAX: Duration = Duration::from_secs(2);
/// A connection without calls for this long is closed.
pub const IDLE_MAX: Duration = Duration::from_secs(30);
