//! Carousel server.
fn main() {}
