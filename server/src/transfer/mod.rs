//! Filling a copy of a slot on another node, and handing slots over.
//!
//! A transfer walks the slot's table in hash order and sends it in chunks on the same ordered stream as
//! everything else, while writers go on: a record whose key lies in the part already sent is passed on as well, one
//! whose key is still ahead will be in its chunk. So at every point of the stream the part that has arrived is
//! exact, no copy of the table is taken, and no write pauses. When the walk ends the newcomer has the slot at the
//! primary's last seq and is in step.

pub mod change;
pub mod source;
pub mod target;
