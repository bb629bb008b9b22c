//! The Raft library's messages, as calls to the peer ports of the other nodes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use carousel_protocol::NodeId;
use openraft::BasicNode;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use tokio::sync::watch;

use super::message::{Answer, RaftMessage, Request, decode, encode};
use super::types::{TypeConfig, peer_address};
use crate::config::ClusterState;
use crate::peer::rpc::RpcPool;

/// After a failed message the library pauses this long before the next to the same node.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Makes links to nodes.
pub(super) struct Network {
    pub(super) pool: RpcPool,
    pub(super) state: watch::Receiver<Arc<ClusterState>>,
}

/// The way to one node.
pub(super) struct Link {
    pool: RpcPool,
    state: watch::Receiver<Arc<ClusterState>>,
    target: NodeId,
    /// Its address in the membership; the agreed state's is newer where it has one.
    address: String,
}

type Failed<E> = RPCError<NodeId, BasicNode, RaftError<NodeId, E>>;

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> Link {
        Link { pool: self.pool.clone(), state: self.state.clone(), target, address: node.addr.clone() }
    }
}

impl Link {
    async fn send(&self, message: RaftMessage, timeout: Duration) -> Result<Answer, Unreachable> {
        let (cluster, address) = {
            let state = self.state.borrow();
            let member = state.members.get(&self.target);
            (
                state.cluster_id,
                member.map_or_else(|| self.address.clone(), |member| peer_address(&member.spec)),
            )
        };
        let request = encode(&Request::Raft { cluster, message });
        // Whatever fails is "unreachable" to the library: of its errors only that one makes it pause.
        let answer = self.pool.call(&address, Some(self.target), request, timeout).await;
        match decode(&answer.map_err(|error| Unreachable::new(&error))?) {
            Ok(Answer::Failed(why)) => Err(strange(&why)),
            Ok(answer) => Ok(answer),
            Err(why) => Err(strange(&why)),
        }
    }
}

fn strange(why: &str) -> Unreachable {
    Unreachable::new(&io::Error::other(why.to_owned()))
}

impl RaftNetwork<TypeConfig> for Link {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, Failed<openraft::error::Infallible>> {
        match self.send(RaftMessage::Append(request), option.hard_ttl()).await? {
            Answer::Append(response) => Ok(response),
            other => Err(strange(&format!("not an answer to entries: {other:?}")).into()),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Result<VoteResponse<NodeId>, Failed<openraft::error::Infallible>> {
        match self.send(RaftMessage::Vote(request), option.hard_ttl()).await? {
            Answer::Vote(response) => Ok(response),
            other => Err(strange(&format!("not an answer to a candidate: {other:?}")).into()),
        }
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<NodeId>, Failed<InstallSnapshotError>> {
        match self.send(RaftMessage::Snapshot(request), option.hard_ttl()).await? {
            Answer::Snapshot(response) => Ok(response),
            Answer::SnapshotMismatch(error) => {
                Err(RemoteError::new(self.target, RaftError::APIError(error)).into())
            }
            other => Err(strange(&format!("not an answer to a snapshot: {other:?}")).into()),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY_PAUSE))
    }
}
