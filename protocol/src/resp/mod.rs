//! The Redis serialization protocol, versions 2 and 3: requests as a server reads and a client writes them,
//! replies as a server writes and a client reads them.
//!
//! The request parser copies and allocates nothing on the common path: it yields the arguments as ranges of
//! the connection's read buffer. Everything follows Redis 7.2 (`networking.c`), its error texts included,
//! except where a doc comment says otherwise.

mod argv;
mod encode;
mod error;
mod inline;
pub mod number;
mod parse;
mod reply;
#[cfg(test)]
mod tests;

pub use argv::{ArgRange, Argv, ArgvIter};
pub use encode::{ReplyWriter, Version, double_text, encode_request};
pub use error::ProtocolError;
pub use inline::split_words;
pub use parse::{Limits, Parsed, RequestParser};
pub use reply::{Reply, ReplyParser, parse_reply};
