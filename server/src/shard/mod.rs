//! A shard: one core's slots, with their keys, records, copies and moves, as one state machine.
//!
//! Its drivers (`drive`, `conn`) feed it requests, messages and maps, and once per turn of the event loop take
//! what is to be sent and logged ([`Shard::end_turn`]) and say when that is durable ([`Shard::durable`]). The
//! parts are beside the ideas they belong to: requests in [`execute`], redirects in [`route`], the slot map in
//! [`adopt`], streams in `replication`, copies in `transfer`.

pub mod adopt;
pub mod blocking;
pub mod checkpoint;
pub mod drive;
pub mod encoded;
pub mod execute;
pub mod journal;
pub mod mailbox;
pub mod memory;
pub mod replay;
pub mod route;
pub mod slot;
#[cfg(test)]
pub(crate) mod testing;
pub mod transaction;
pub mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use carousel_protocol::{Incarnation, NodeId, Seq, ShardId, SlotId};

use crate::command::{DatabaseKeys, EffectSink, Evictor, ExpireCycle, Tables};
use crate::config::ClusterState;
use crate::limits::ShardLimits;
use crate::replication::Frames;
use crate::shard::slot::{LinkId, PeerIndex, Serve, Slot};
use crate::store::{KeyHasher, Packing};

pub use execute::{Hold, HoldState, Request, Room};
pub use memory::MemoryRules;
pub use route::Refusal;
pub use transaction::Wanted;
pub use turn::{ReadyChange, TurnOutput};

/// What a shard is told at its making.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// Its number.
    pub id: ShardId,
    /// Shards of the node.
    pub shard_count: u16,
    /// The node.
    pub me: NodeId,
    /// Seed of the key hasher; secret, so that clients cannot make keys collide.
    pub hash_seed: u64,
    /// How many databases commands may name.
    pub databases: u16,
    /// Up to where collections are packed, until [`Shard::set_memory`] says otherwise.
    pub packing: Packing,
    /// Records are written to a log (`appendonly yes`).
    pub log: bool,
    /// Bounds of its work.
    pub limits: ShardLimits,
}

/// The node's place in a cluster.
#[derive(Clone, Debug)]
pub enum Standing {
    /// No cluster: every slot is served, alone.
    Lone,
    /// Promised to a cluster that is being created or joined: serves nothing until it is in, or the deadline passes.
    Reserved {
        /// Monotonic time at which the node is on its own again.
        until_ns: u64,
        /// Number of whoever reserved it; only that one can prolong or release it.
        token: u64,
    },
    /// A member, as of this state. `incarnation` is set once this very process is registered: before, it leads
    /// and acknowledges nothing, and drops nothing either, for its map may be old.
    Member {
        /// The agreed state.
        state: Arc<ClusterState>,
        /// This process' registration.
        incarnation: Option<Incarnation>,
    },
}

impl Standing {
    /// The agreed state of the cluster, of a member.
    fn cluster(&self) -> Option<&Arc<ClusterState>> {
        match self {
            Self::Member { state, .. } => Some(state),
            Self::Lone | Self::Reserved { .. } => None,
        }
    }
}

/// What came of a wish to reserve a shard; see [`Shard::reserve`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reservation {
    /// No client gets in until it is released or over.
    Made,
    /// It holds keys, which a node that joins must not.
    HoldsKeys,
    /// Somebody else has reserved it.
    Taken,
    /// It is a member of a cluster.
    Member,
}

/// See the module.
pub struct Shard {
    pub(crate) options: ShardOptions,
    pub(crate) standing: Standing,
    /// What the process may claim of its copies, once that is settled: whether it has everything that its node ever
    /// acknowledged. See [`Shard::begin`].
    pub(crate) begun: Option<bool>,
    /// The keys.
    pub tables: Tables,
    pub(crate) slots: Vec<Slot>,
    /// By slot as well, and asked first by every request: a byte each, close together, so that it is in the cache.
    pub(crate) serve: Vec<Serve>,
    pub(crate) effects: EffectSink,
    pub(crate) locks: transaction::Locks,
    pub(crate) blocked: blocking::Blocked,
    pub(crate) turn: turn::Turn,
    pub(crate) peers: Vec<Peer>,
    pub(crate) peer_index: BTreeMap<(NodeId, ShardId), PeerIndex>,
    pub(crate) links: BTreeMap<LinkId, Inbound>,
    /// Members that the node does not reach; their slots answer CLUSTERDOWN instead of MOVED.
    pub(crate) unreachable: Arc<BTreeSet<NodeId>>,
    pub(crate) last_attach: u64,
    /// Bounds the memory of all slots' tails: slots in the order of their records.
    pub(crate) tail_order: VecDeque<(usize, Seq)>,
    pub(crate) tail_bytes: usize,
    /// Slots whose change waits for its turn.
    pub(crate) changes_queued: VecDeque<SlotId>,
    /// Changes begun and not ended.
    pub(crate) changes_active: usize,
    pub(crate) expire_cycle: ExpireCycle,
    pub(crate) memory: MemoryRules,
    pub(crate) evictor: Evictor,
    /// The last step has found nothing that may go.
    pub(crate) nothing_to_evict: bool,
    /// The checkpoint under way.
    pub(crate) checkpoint: Option<Box<checkpoint::CheckpointWalk>>,
    /// Counted since the start, for progress and INFO.
    pub counters: Counters,
}

/// Numbers of keys.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct KeyCounts {
    /// In slots that are led here.
    pub led: u64,
    /// In all slots that have a copy here.
    pub held: u64,
}

/// Sums since the start of the process.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    /// Keys sent in transfers.
    pub keys_sent: u64,
    /// Bytes of effects sent in transfers.
    pub bytes_sent: u64,
    /// Of `keys_sent`, those since the current plan began.
    pub plan_keys_sent: u64,
    /// Of `bytes_sent`, those since the current plan began.
    pub plan_bytes_sent: u64,
    /// The plan that the last two count for.
    pub plan: u64,
}

/// A remote shard that holds, or is to hold, copies of slots led here.
pub(crate) struct Peer {
    pub(crate) up: bool,
    pub(crate) out: Vec<u8>,
    pub(crate) frames: Frames,
    /// Acknowledged frames sent on this link.
    pub(crate) sent: u64,
    pub(crate) in_flight: VecDeque<InFlight>,
    /// Bytes of transfers sent and not acknowledged: their window.
    pub(crate) transfer_bytes: usize,
    /// Slots that wait to be transferred, or are.
    pub(crate) transfers: VecDeque<(SlotId, u64)>,
}

/// A frame that awaits its ack.
pub(crate) struct InFlight {
    pub(crate) count: u64,
    pub(crate) slot: SlotId,
    pub(crate) attach: u64,
    /// What the ack says about the slot; `None` for the parts of a transfer.
    pub(crate) seq: Option<Seq>,
    pub(crate) transfer_bytes: usize,
}

/// A link from a remote primary.
pub(crate) struct Inbound {
    pub(crate) from: NodeId,
    pub(crate) frames: Frames,
    /// Acknowledged frames received.
    pub(crate) received: u64,
    pub(crate) acked: u64,
    pub(crate) out: Vec<u8>,
}

impl Shard {
    /// A shard without keys, on its own.
    pub fn new(options: ShardOptions) -> Self {
        let mut hasher = KeyHasher::new(options.hash_seed);
        hasher.set_packing(options.packing);
        let tables = Tables::new(options.id, options.shard_count, hasher);
        let slots: Vec<_> = tables.slots().map(|_| Slot::lone()).collect();
        let serve = vec![Serve::Leading; slots.len()];
        let mut effects = EffectSink::new();
        effects.set_recording(options.log);
        Self {
            tables,
            slots,
            serve,
            effects,
            locks: transaction::Locks::default(),
            blocked: blocking::Blocked::default(),
            options,
            standing: Standing::Lone,
            begun: None,
            turn: turn::Turn::default(),
            peers: Vec::new(),
            peer_index: BTreeMap::new(),
            links: BTreeMap::new(),
            unreachable: Arc::default(),
            last_attach: 0,
            tail_order: VecDeque::new(),
            tail_bytes: 0,
            changes_queued: VecDeque::new(),
            changes_active: 0,
            expire_cycle: ExpireCycle::new(),
            memory: MemoryRules::default(),
            evictor: Evictor::default(),
            nothing_to_evict: false,
            checkpoint: None,
            counters: Counters::default(),
        }
    }

    /// Its number.
    pub fn id(&self) -> ShardId {
        self.options.id
    }

    /// The agreed state, in a cluster.
    pub fn cluster(&self) -> Option<&Arc<ClusterState>> {
        self.standing.cluster()
    }

    /// This process is a registered member.
    pub(crate) fn active(&self) -> bool {
        matches!(self.standing, Standing::Member { incarnation: Some(_), .. })
    }

    pub(crate) fn index(&self, slot: SlotId) -> usize {
        self.tables.local_index(slot)
    }

    /// How many keys there are.
    pub fn key_counts(&self) -> KeyCounts {
        let mut counts = KeyCounts::default();
        for (index, slot) in self.tables.slots().enumerate() {
            let keys = self.tables.keys_of(slot) as u64;
            counts.held += keys;
            if !matches!(self.serve[index], Serve::Elsewhere) {
                counts.led += keys;
            }
        }
        counts
    }

    /// The keys that clients see, by database.
    pub fn keys_by_database(&self) -> Vec<DatabaseKeys> {
        self.tables.keys_by_database(&|slot| !matches!(self.serve(slot), Serve::Elsewhere))
    }

    /// The slot of that index; see [`Self::index`].
    pub(crate) fn slot_at(&self, index: usize) -> SlotId {
        self.tables.local_slots().slot_at(index).expect("indices come from slots")
    }

    /// Whether commands are executed on the slot here.
    #[inline]
    pub fn serve(&self, slot: SlotId) -> Serve {
        self.serve[self.tables.local_index(slot)]
    }

    /// The slot's state.
    pub fn slot(&self, slot: SlotId) -> &Slot {
        &self.slots[self.tables.local_index(slot)]
    }

    /// The peer that holds copies of `slot` on `node`, made known and asked to be dialled if it is new.
    pub(crate) fn peer(&mut self, node: NodeId, slot: SlotId) -> Option<PeerIndex> {
        let state = self.cluster()?;
        let spec = &state.members.get(&node)?.spec;
        let shard = ShardId::of_slot(slot, spec.shards);
        if let Some(&index) = self.peer_index.get(&(node, shard)) {
            return Some(index);
        }
        let index = self.peers.len();
        self.peers.push(Peer {
            up: false,
            out: Vec::new(),
            frames: Frames::default(),
            sent: 0,
            in_flight: VecDeque::new(),
            transfer_bytes: 0,
            transfers: VecDeque::new(),
        });
        self.peer_index.insert((node, shard), index);
        self.turn.dial.push((index, node, shard));
        Some(index)
    }

    /// Members that the node does not reach, as its control thread sees it.
    pub fn set_unreachable(&mut self, unreachable: Arc<BTreeSet<NodeId>>) {
        self.unreachable = unreachable;
    }

    /// Bytes of a record read from the buffer of a link or of a turn.
    pub(crate) fn keep_tail(&mut self, index: usize, seq: Seq, record: Bytes) {
        let len = record.len();
        self.slots[index].replication_mut().tail.push_back(slot::TailRecord { seq, record });
        self.tail_order.push_back((index, seq));
        self.tail_bytes += len;
        while let Some(&(oldest, seq)) = self.tail_order.front() {
            let tail = &mut self.slots[oldest].replication_mut().tail;
            // A tail may have been cleared since; then its entries are gone already.
            let gone = tail.front().is_none_or(|front| front.seq != seq);
            if !gone {
                if self.tail_bytes <= self.options.limits.tail_bytes {
                    break;
                }
                self.tail_bytes -= tail.pop_front().expect("has a front").record.len();
            }
            self.tail_order.pop_front();
        }
    }

    /// Forgets the tail of a slot whose history changed.
    pub(crate) fn clear_tail(&mut self, index: usize) {
        let tail = std::mem::take(&mut self.slots[index].replication_mut().tail);
        self.tail_bytes -= tail.iter().map(|kept| kept.record.len()).sum::<usize>();
    }
}
