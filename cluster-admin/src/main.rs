//! Admin.
fn main() {}
