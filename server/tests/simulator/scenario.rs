//! What a seed stands for: the shape of the cluster and which faults it meets how often.

use carousel_protocol::{SlotId, key_slot};
use carousel_server::limits::ShardLimits;

use super::random::Rng;

/// A microsecond of virtual time.
pub const US: u64 = 1_000;
/// A millisecond of virtual time.
pub const MS: u64 = 1_000_000;

/// Most that a node's wall clock differs from virtual time.
pub const CLOCK_SKEW_MS: u64 = 20;

/// How firmly a log holds what was acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logging {
    /// `appendonly no`.
    Off,
    /// `appendfsync everysec`.
    EverySecond,
    /// `appendfsync always`.
    Always,
}

/// A fault that the simulator can cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// kill -9 of a process at once.
    Kill,
    /// kill -9 in the middle of a turn.
    KillInTurn,
    /// kill -9 of all processes.
    KillAll,
    /// A machine loses its power: what was not synced is gone.
    PowerLoss,
    /// All machines lose their power.
    PowerLossAll,
    /// A link is reset, and its ends learn of it at different times.
    ResetLink,
    /// Nothing passes between two nodes, one way or both, for a while.
    Partition,
    /// Nothing passes between a node and any other for a while; now and then it dies in that time.
    Isolate,
    /// A node does not reach the config group for a while.
    CutFromGroup,
    /// A process stands still for a while.
    Pause,
    /// An operator plans moves.
    Plan,
    /// An operator plans a move, and something happens to the nodes that take part in it at once.
    MoveUnderFire,
    /// An operator adds a node.
    AddNode,
    /// The leadership of the config group changes, or two nodes believe that they have it.
    ChangeLeader,
    /// The config group is told of a new process of a node whose old one is alive.
    PhantomRegistration,
}

/// What a seed stands for.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Nodes of the new cluster.
    pub nodes: usize,
    /// Most nodes that it grows to.
    pub nodes_max: usize,
    /// N.
    pub replicas: u8,
    /// W.
    pub write_quorum: u8,
    /// How firmly logs hold.
    pub logging: Logging,
    /// The slots that are simulated: one or two groups of a shard.
    pub slots: Vec<SlotId>,
    /// Those of them that clients use.
    pub hot_slots: Vec<SlotId>,
    /// Number of clients.
    pub clients: usize,
    /// How many of a hundred requests read what another client writes.
    pub peeks: u64,
    /// Mean pause of a client between two requests.
    pub think_ns: u64,
    /// Mean time between faults.
    pub fault_ns: u64,
    /// How long a crashed node stays down, at least and at most.
    pub down_ns: (u64, u64),
    /// One in so many proposals to the config group is lost.
    pub proposals_lost: u64,
    /// Which faults, by weight.
    pub faults: Vec<(Fault, u64)>,
    /// A process may be superseded while it is alive. Without leases (they are still to come) it may then answer
    /// reads from the past for a while, so clients of these seeds only write.
    pub phantoms: bool,
    /// Bounds of the shards' work: small, so that slots of few keys meet them.
    pub limits: ShardLimits,
    /// A restarted node may have another number of shards.
    pub resharding: bool,
}

impl Scenario {
    /// The scenario of a seed.
    pub fn of(rng: &mut Rng) -> Self {
        let groups: &[u16] = if rng.one_in(2) { &[0] } else { &[0, 512] };
        let slots: Vec<_> = groups
            .iter()
            .flat_map(|group| group * 16..group * 16 + 16)
            .map(|raw| SlotId::new(raw).expect("groups are below the slot count"))
            .collect();
        let hot = rng.between(2, 6) as usize;
        let mut hot_slots = slots.clone();
        rng.shuffle(&mut hot_slots);
        hot_slots.truncate(hot);
        let nodes = if rng.one_in(8) { 2 } else { 3 };
        let (replicas, write_quorum) = match rng.below(10) {
            0 => (3, 1),
            1 => (3, 3),
            2 => (2, 1),
            3 => (2, 2),
            _ => (3, 2),
        };
        let logging = match rng.below(10) {
            0 => Logging::Off,
            1 | 2 => Logging::Always,
            _ => Logging::EverySecond,
        };
        let phantoms = rng.one_in(6);
        let mut faults = Self::profile(rng);
        if phantoms {
            faults.push((Fault::PhantomRegistration, 6));
        }
        Self {
            nodes,
            nodes_max: 5,
            replicas,
            write_quorum,
            logging,
            slots,
            hot_slots,
            clients: rng.between(3, 7) as usize,
            peeks: rng.pick(&[5, 20, 50]),
            think_ns: rng.between(5, 60) * MS,
            fault_ns: rng.between(30, 250) * MS,
            down_ns: (10 * MS, 500 * MS),
            proposals_lost: rng.pick(&[5, 20, 100]),
            faults,
            phantoms,
            limits: Self::small_limits(rng),
            resharding: rng.one_in(6),
        }
    }

    fn small_limits(rng: &mut Rng) -> ShardLimits {
        ShardLimits {
            tail_bytes: rng.pick(&[0, 300, 3_000, 1 << 20]),
            chunk_keys: rng.between(1, 8) as usize,
            chunk_bytes: rng.pick(&[1, 100, 1_000]),
            turn_bytes: rng.pick(&[100, 1_000, 100_000]),
            window_bytes: rng.pick(&[1, 500, 5_000, 100_000]),
            changes_active: rng.between(1, 8) as usize,
        }
    }

    fn profile(rng: &mut Rng) -> Vec<(Fault, u64)> {
        use Fault::*;
        match rng.below(5) {
            // Moves on a good day: hand-overs must be perfect.
            0 => vec![(Plan, 20), (MoveUnderFire, 5), (AddNode, 1), (Pause, 2), (ResetLink, 2)],
            // A bad network.
            1 => {
                vec![(Plan, 8), (ResetLink, 10), (Partition, 5), (CutFromGroup, 3), (Pause, 4), (AddNode, 1)]
            }
            // Crashes.
            2 => vec![
                (Plan, 6),
                (MoveUnderFire, 6),
                (Kill, 5),
                (KillInTurn, 8),
                (KillAll, 1),
                (Isolate, 3),
                (ChangeLeader, 3),
                (AddNode, 1),
            ],
            // Power.
            3 => vec![
                (Plan, 6),
                (Kill, 2),
                (PowerLoss, 4),
                (PowerLossAll, 1),
                (ChangeLeader, 2),
                (ResetLink, 2),
            ],
            // Everything.
            _ => vec![
                (Plan, 10),
                (MoveUnderFire, 5),
                (Kill, 3),
                (KillInTurn, 4),
                (KillAll, 1),
                (ResetLink, 4),
                (Partition, 3),
                (Isolate, 2),
                (CutFromGroup, 2),
                (Pause, 3),
                (ChangeLeader, 3),
                (AddNode, 1),
            ],
        }
    }
}

/// A hash tag whose keys are in `slot`.
pub fn tag_of(slot: SlotId) -> String {
    use std::sync::OnceLock;
    static TAGS: OnceLock<Vec<u32>> = OnceLock::new();
    let tags = TAGS.get_or_init(|| {
        let mut tags = vec![u32::MAX; SlotId::COUNT.into()];
        let mut missing = tags.len();
        for tag in 0.. {
            let place = &mut tags[key_slot(tag.to_string().as_bytes()).index()];
            if *place == u32::MAX {
                *place = tag;
                missing -= 1;
                if missing == 0 {
                    break;
                }
            }
        }
        tags
    });
    tags[slot.index()].to_string()
}
