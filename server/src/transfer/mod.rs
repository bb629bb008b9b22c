//! Filling a copy of a slot on another node, and handing slots over.
//!
//! A transfer walks the slot's table in hash order, and through big collections item by item, and sends it in chunks on
//! the same ordered stream as everything else, while writers go on: what they do to the part already sent is passed on
//! as well, the rest will be in its chunk (see [`walk`]). So at every point of the stream the part that has arrived is
//! exact, no copy of the table is taken, and no write pauses. When the walk ends the newcomer has the slot at the
//! primary's last seq and is in step.

pub mod change;
pub mod source;
pub mod target;
pub mod walk;

pub use walk::{Chunk, Walk};
