//! What Carousel's crates share: identifiers, slots, the slot map, RESP, the command table and the
//! messages of the operators' interface. Everything here is pure: no socket, file, clock or randomness.

pub mod admin;
pub mod command_table;
pub mod ids;
pub mod resp;
pub mod slot_map;

pub use ids::{Database, Epoch, Incarnation, NodeId, Position, Seq, ShardId, SlotId, key_slot};
pub use slot_map::{SlotMap, SlotRun};

/// What is added to a node's client port to get its peer port unless a setting says otherwise, as Redis does for its
/// cluster bus.
pub const PEER_PORT_OFFSET: u16 = 10_000;
