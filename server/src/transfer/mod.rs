//! (transfer)
