//! A client's connection: bytes in, requests, replies out in the order of the requests.
//!
//! Everything that one read brought is a *batch*: its requests are executed in order, those of other shards are sent
//! there in one message per shard, and when every reply of the batch may leave, all leave with one write. Then the
//! next read begins, so a client that does not read its replies is not read from either.

mod batch;
mod blocking;
mod bounds;
mod coordinate;
mod cross;
pub mod errand;
mod input;
mod meter;
mod multi;
mod push;
mod scatter;
mod serve;
mod sync;
mod transaction;
mod watch;
mod window;
mod work;

pub(crate) use batch::write_unknown;
pub(crate) use meter::TimingSettings;
pub(crate) use serve::LOADING;
pub use serve::serve;
