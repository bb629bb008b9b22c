//! (peer)
