//! Which members this node reaches: it asks each for a sign of life every [`PING_PAUSE`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use carousel_protocol::NodeId;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::message::{Request, encode};
use super::types::peer_address;
use crate::config::ClusterState;
use crate::peer::rpc::{RpcError, RpcPool};

/// Pause between an answer and the next question.
const PING_PAUSE: Duration = Duration::from_millis(200);
/// A member not heard for this long is unreachable.
const SILENCE: Duration = Duration::from_millis(600);
/// Least pause, where a lost connection asks for haste.
const HASTE_PAUSE: Duration = Duration::from_millis(10);

/// What is known of the other members.
#[derive(Clone)]
pub(super) struct Reach {
    /// Members that are not reached, for whatever reason.
    pub(super) unreachable: watch::Sender<BTreeSet<NodeId>>,
    /// Those of them whose port refuses connections: their process is gone.
    pub(super) refused: watch::Sender<BTreeSet<NodeId>>,
}

impl Reach {
    /// All are taken to be reachable until the opposite shows.
    pub(super) fn new() -> Self {
        Self { unreachable: watch::Sender::default(), refused: watch::Sender::default() }
    }

    fn set(&self, id: NodeId, unreachable: bool, refused: bool) {
        set_member(&self.unreachable, id, unreachable);
        set_member(&self.refused, id, refused);
    }
}

fn set_member(set: &watch::Sender<BTreeSet<NodeId>>, id: NodeId, is_in: bool) {
    set.send_if_modified(|set| if is_in { set.insert(id) } else { set.remove(&id) });
}

/// Watches all members but `me`, as they come and go, until aborted.
pub(super) async fn run(
    pool: RpcPool,
    me: NodeId,
    mut state: watch::Receiver<Arc<ClusterState>>,
    reach: Reach,
) {
    let mut watches = JoinSet::new();
    let mut watched: BTreeMap<NodeId, AbortHandle> = BTreeMap::new();
    loop {
        let members: BTreeSet<NodeId> = state.borrow_and_update().members.keys().copied().collect();
        watched.retain(|id, watch| {
            let stays = members.contains(id);
            if !stays {
                watch.abort();
                reach.set(*id, false, false);
            }
            stays
        });
        for id in members.into_iter().filter(|id| *id != me) {
            watched.entry(id).or_insert_with(|| {
                watches.spawn(watch_member(pool.clone(), id, state.clone(), reach.clone()))
            });
        }
        while watches.try_join_next().is_some() {}
        if state.changed().await.is_err() {
            return;
        }
    }
}

async fn watch_member(pool: RpcPool, id: NodeId, state: watch::Receiver<Arc<ClusterState>>, reach: Reach) {
    let mut heard = Instant::now();
    loop {
        let address = state.borrow().members.get(&id).map(|member| peer_address(&member.spec));
        let Some(address) = address else { return };
        let lost = pool.lost();
        tokio::pin!(lost);
        lost.as_mut().enable();
        // Asked one pause after the last sign, so that with no answer the silence is complete.
        match pool.call(&address, Some(id), encode(&Request::Ping), SILENCE - PING_PAUSE).await {
            Ok(_) => {
                heard = Instant::now();
                reach.set(id, false, false);
            }
            Err(RpcError::Refused { .. }) => reach.set(id, true, true),
            Err(_) if heard.elapsed() >= SILENCE => reach.set(id, true, false),
            Err(_) => {}
        }
        tokio::time::sleep(HASTE_PAUSE).await;
        tokio::select! {
            () = tokio::time::sleep(PING_PAUSE - HASTE_PAUSE) => {}
            () = &mut lost => {}
        }
    }
}
