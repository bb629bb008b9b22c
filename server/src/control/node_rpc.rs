//! What nodes ask each other besides the config group's own messages.

use std::sync::Arc;
use std::time::Duration;

use carousel_protocol::{Epoch, NodeId, Position, SlotId};
use futures::channel::oneshot;
use serde::{Deserialize, Serialize};

use crate::raft::{ConfigGroup, PeerTarget};
use crate::shard::drive::ToShard;
use crate::shard::mailbox::Sender;

/// How long a node may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// A question to another node's control thread.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum NodeRequest {
    /// Promise to refuse everything below this epoch for these slots, and report.
    Seal {
        /// The epoch.
        epoch: Epoch,
        /// Ranges of slots, inclusive.
        slots: Vec<(SlotId, SlotId)>,
    },
    /// How much do you hold?
    Stats,
}

/// The answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum NodeReply {
    /// To [`NodeRequest::Seal`].
    Sealed(Vec<SlotReport>),
    /// To [`NodeRequest::Stats`].
    Stats(NodeStats),
    /// The question came from another version.
    NotUnderstood(String),
}

/// Where a node's copy of a slot stands.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SlotReport {
    /// The slot.
    pub slot: SlotId,
    /// Position of its complete copy.
    pub copy: Option<Position>,
    /// The copy has everything that the node ever acknowledged.
    pub whole: bool,
}

/// Sums over a node's shards.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct NodeStats {
    /// Keys in all slots held.
    pub keys: u64,
    /// Keys in the slots led.
    pub keys_led: u64,
    /// Bytes of keys and values held.
    pub bytes: u64,
    /// Keys sent in transfers since the current plan began.
    pub keys_sent: u64,
    /// Bytes sent in transfers since the current plan began.
    pub bytes_sent: u64,
}

/// Asks all shards of this node to seal.
pub(super) async fn seal_here(
    shards: &[Sender<ToShard>],
    epoch: Epoch,
    slots: &[(SlotId, SlotId)],
) -> Vec<SlotReport> {
    let all = slots.iter().flat_map(|(first, last)| (first.get()..=last.get()).filter_map(SlotId::new));
    let slots: Arc<Vec<SlotId>> = Arc::new(all.collect());
    let mut waits = Vec::with_capacity(shards.len());
    for shard in shards {
        let (reply, reports) = oneshot::channel();
        shard.send(ToShard::Seal { epoch, slots: slots.clone(), reply });
        waits.push(reports);
    }
    let mut all = Vec::with_capacity(slots.len());
    for reports in waits {
        // A shard that stopped reports nothing: its slots' recovery waits for others.
        let reports = reports.await.unwrap_or_default();
        all.extend(reports.into_iter().map(|(slot, copy, whole)| SlotReport { slot, copy, whole }));
    }
    all
}

/// How a question or an answer travels.
pub(super) fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_stdvec(message).expect("messages of plain data always encode")
}

/// Asks `node`.
///
/// # Errors
/// One line: who did not answer, and why.
pub(super) async fn ask(
    group: &ConfigGroup,
    node: NodeId,
    request: &NodeRequest,
) -> Result<NodeReply, String> {
    let answer = group.peer_rpc(&PeerTarget::Node(node), encode(request), ASK_TIMEOUT).await;
    let bytes = answer.map_err(|error| format!("node {node}: {error}"))?;
    postcard::from_bytes(&bytes)
        .map_err(|_| format!("node {node} answered what this version does not understand"))
}
