//! The calls of other nodes' config groups.

use std::sync::{Arc, Weak};

use carousel_protocol::NodeId;
use futures::future::BoxFuture;
use openraft::error::RaftError;

use super::group::Core;
use super::message::{Answer, RaftMessage, Request, decode, encode};
use crate::peer::rpc::RpcService;

/// Serves as long as the group lives; a listener may outlive it.
pub(super) struct Service {
    pub(super) core: Weak<Core>,
    pub(super) me: NodeId,
}

impl RpcService for Service {
    fn node(&self) -> NodeId {
        self.me
    }

    fn serve(self: Arc<Self>, from: NodeId, request: Vec<u8>) -> BoxFuture<'static, Vec<u8>> {
        Box::pin(async move {
            let Some(core) = self.core.upgrade() else {
                return encode(&Answer::Failed("its config group has stopped".into()));
            };
            let answer = match decode(&request) {
                Ok(request) => core.answer(from, request).await,
                Err(why) => Answer::Failed(format!("not understood: {why}")),
            };
            encode(&answer)
        })
    }
}

impl Core {
    async fn answer(&self, from: NodeId, request: Request) -> Answer {
        match request {
            Request::Ping => Answer::Pong,
            Request::Raft { cluster, message } => {
                let mine = self.state.borrow().cluster_id;
                match (cluster, mine) {
                    // An entry of another cluster would overwrite this one's.
                    (Some(theirs), Some(mine)) if theirs != mine => {
                        Answer::Failed(format!("node {} belongs to cluster {mine}, not {theirs}", self.me))
                    }
                    _ => self.raft_message(message).await,
                }
            }
            Request::Propose(proposal) => self.write(proposal).await,
            Request::Node(request) => Answer::Node((self.handler)(from, request).await),
        }
    }

    async fn raft_message(&self, message: RaftMessage) -> Answer {
        match message {
            RaftMessage::Append(request) => {
                // Before and after: while entries wait for this node's disk, their leader is there. A leader of
                // an earlier term does not count.
                let current = request.vote >= self.raft.metrics().borrow().vote;
                if current {
                    self.contact.heard();
                }
                let response = Box::pin(self.raft.append_entries(request)).await;
                if current {
                    self.contact.heard();
                }
                response.map_or_else(|error| Answer::Failed(error.to_string()), Answer::Append)
            }
            RaftMessage::Vote(request) => match Box::pin(self.raft.vote(request)).await {
                Ok(response) => {
                    if response.vote_granted {
                        self.contact.heard();
                    }
                    Answer::Vote(response)
                }
                Err(error) => Answer::Failed(error.to_string()),
            },
            RaftMessage::Snapshot(request) => {
                self.contact.heard();
                let response = Box::pin(self.raft.install_snapshot(request)).await;
                self.contact.heard();
                match response {
                    Ok(response) => Answer::Snapshot(response),
                    Err(RaftError::APIError(mismatch)) => Answer::SnapshotMismatch(mismatch),
                    Err(error) => Answer::Failed(error.to_string()),
                }
            }
        }
    }
}
