//! (conn)
