//! Cluster-aware asynchronous client for Carousel, and for anything that speaks the Redis protocol.
//!
//! Three layers, each usable alone:
//!
//! - [`Connection`]: one socket, any number of requests outstanding, replies in order;
//! - [`Router`] and [`Operation`]: which node to ask, and what a reply or a broken connection means. Pure:
//!   no socket and no clock, so every decision is a unit test;
//! - [`ClusterClient`]: pools of connections, driven by the two above.
//!
//! What a failed call means is exact: see [`ClientError`]. In particular a write whose connection broke after
//! it may have been sent is reported as [`ClientError::OutcomeUnknown`] and not silently sent again, unless
//! [`Options::retry_unknown_writes`] says so.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use carousel_client::{ClusterClient, Options};
//!
//! let client = ClusterClient::connect(vec!["127.0.0.1:7000".parse()?], Options::default()).await?;
//! client.set(b"greeting", b"hello").await?;
//! assert_eq!(client.get(b"greeting").await?.as_deref(), Some(&b"hello"[..]));
//! # Ok(())
//! # }
//! ```

mod address;
mod cluster;
mod connection;
mod error;
#[cfg(any(test, feature = "mock"))]
pub mod mock;
mod operation;
mod options;
mod pool;
mod router;
#[cfg(test)]
mod tests;
mod topology;

pub use address::{Address, AddressError};
pub use carousel_protocol::resp::Reply;
pub use cluster::ClusterClient;
pub use connection::{Connection, RequestError};
pub use error::ClientError;
pub use operation::{Intent, Next, Operation, Outcome, Redirect};
pub use options::{ConnectOptions, Options, RetryOptions};
pub use router::Router;
pub use topology::{SlotRange, TopologyError, parse_cluster_slots};
