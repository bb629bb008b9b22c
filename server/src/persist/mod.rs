//! (persist)
