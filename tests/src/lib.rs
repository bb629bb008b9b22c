//! Real nodes for tests: processes on free ports with their own directories, which may be killed, stopped and started
//! again, and clients that know what they were promised.
//!
//! The tests are in `tests/`: `single_node`, `cluster`, `crashes`, `bad_input`. A test that fails shows the end of the
//! log of every node it started.

mod binaries;
pub mod cluster;
pub mod collections;
mod death_signal;
pub mod keys;
pub mod load;
mod ports;
pub mod raw;
mod screen;
pub mod server;
pub mod wait;

pub use binaries::binary;
pub use cluster::Cluster;
pub use load::Load;
pub use ports::{free_port, free_ports};
pub use raw::{Raw, bulk};
pub use screen::Screen;
pub use server::Server;
pub use wait::{LIMIT, eventually, within};
