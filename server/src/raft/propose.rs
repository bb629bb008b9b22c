//! Getting a command into the config group's log from any node.
//!
//! A proposal goes to the leader as this node knows it, and again to the next one when that changes or the call
//! fails. It has an id, and the state machine applies each id once, so sending it again is safe.

use std::time::Duration;

use carousel_protocol::NodeId;
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::group::Core;
use super::message::{Answer, Request, decode, encode};
use super::types::{Metrics, Proposal};
use crate::config::{ConfigCommand, ConfigReply};

/// Longest command; one entry must fit a call with room to spare.
pub const COMMAND_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Pause after a leader could not be asked.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// The proposal's reply did not come.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// Never handed to a leader, so not applied.
    #[error("the config group has had no leader that could be asked for {after:?}: {last}")]
    NoLeader {
        /// How long was tried.
        after: Duration,
        /// The last obstacle.
        last: String,
    },
    /// Handed to a leader that did not answer. It may have been applied, or may be yet.
    #[error("the config group did not answer within {after:?}, outcome unknown: {last}")]
    Unknown {
        /// How long was tried.
        after: Duration,
        /// The last obstacle.
        last: String,
    },
    /// Refused before it was proposed.
    #[error("a config command of {bytes} bytes, at most {COMMAND_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// This node's config group has stopped, for example because its disk failed.
    #[error("this node's config group has stopped: {0}")]
    Stopped(String),
}

/// What one attempt came to.
enum Attempt {
    /// Applied, as the entry of this index.
    Applied(ConfigReply, u64),
    /// Asked, and the leader may have it.
    Unknown(String),
    /// Surely not in any log by this attempt.
    NotAsked(String),
}

impl Core {
    pub(super) async fn propose(
        &self,
        command: ConfigCommand,
        after: Duration,
    ) -> Result<ConfigReply, ProposeError> {
        let proposal = Proposal { id: self.next_proposal(), command };
        let bytes = encode(&proposal).len();
        if bytes > COMMAND_BYTES_MAX {
            return Err(ProposeError::TooLong { bytes });
        }
        let deadline = Instant::now() + after;
        let mut metrics = self.raft.metrics();
        let mut asked = false;
        let mut last = "none is known".to_owned();
        loop {
            let leader = {
                let metrics = metrics.borrow_and_update();
                if let Err(fatal) = &metrics.running_state {
                    return Err(ProposeError::Stopped(fatal.to_string()));
                }
                metrics.current_leader
            };
            let attempt = async {
                let Some(leader) = leader else {
                    let _ = leader_other_than(metrics.clone(), None).await;
                    return Attempt::NotAsked("none is known".into());
                };
                // A leader that stopped answering is asked no longer once another is known.
                tokio::select! {
                    attempt = self.ask(leader, &proposal, deadline) => attempt,
                    () = leader_other_than(metrics.clone(), Some(leader)) => {
                        Attempt::Unknown(format!("node {leader} lost its leadership"))
                    }
                }
            };
            match timeout_at(deadline, Box::pin(attempt)).await {
                Ok(Attempt::Applied(reply, index)) => {
                    self.wait_applied(index, deadline).await;
                    return Ok(reply);
                }
                Ok(Attempt::Unknown(why)) => (asked, last) = (true, why),
                Ok(Attempt::NotAsked(why)) => last = why,
                Err(_) => {
                    asked |= leader.is_some();
                    if let Some(leader) = leader {
                        last = format!("node {leader} leads it and did not answer");
                    }
                }
            }
            if Instant::now() + RETRY_PAUSE >= deadline {
                let error = if asked {
                    ProposeError::Unknown { after, last }
                } else {
                    ProposeError::NoLeader { after, last }
                };
                return Err(error);
            }
            if leader.is_some() && metrics.borrow().current_leader == leader {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    async fn ask(&self, leader: NodeId, proposal: &Proposal, deadline: Instant) -> Attempt {
        let answer = if leader == self.me {
            self.write(proposal.clone()).await
        } else {
            let Some(address) = self.address_of(leader) else {
                return Attempt::NotAsked(format!("the address of its leader {leader} is not known"));
            };
            let request = encode(&Request::Propose(proposal.clone()));
            let limit = deadline.saturating_duration_since(Instant::now());
            match self.pool.call(&address, Some(leader), request, limit).await {
                Ok(answer) => decode(&answer).unwrap_or_else(Answer::Failed),
                Err(error) if error.was_not_sent() => return Attempt::NotAsked(error.to_string()),
                Err(error) => return Attempt::Unknown(error.to_string()),
            }
        };
        match answer {
            Answer::Proposed { reply, index } => Attempt::Applied(reply, index),
            Answer::NotLeader(Some(other)) => {
                Attempt::NotAsked(format!("node {leader} names {other} as its leader"))
            }
            Answer::NotLeader(None) => Attempt::NotAsked(format!("node {leader} leads it no longer")),
            Answer::Failed(why) => Attempt::Unknown(format!("node {leader}: {why}")),
            other => Attempt::Unknown(format!("node {leader} gave another answer: {other:?}")),
        }
    }

    /// Proposes as the leader; [`Answer::Proposed`] once applied here.
    pub(super) async fn write(&self, proposal: Proposal) -> Answer {
        match Box::pin(self.raft.client_write(proposal)).await {
            Ok(written) => Answer::Proposed { reply: written.data, index: written.log_id.index },
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Answer::NotLeader(forward.leader_id)
            }
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    /// Until this node has applied the entry as well, so that the proposer finds its own change in the state.
    /// A node that does not follow the log fast enough is not waited for beyond the deadline.
    async fn wait_applied(&self, index: u64, deadline: Instant) {
        let mut metrics = self.raft.metrics();
        let applied = metrics.wait_for(|metrics| {
            metrics.last_applied.is_some_and(|id| id.index >= index) || metrics.running_state.is_err()
        });
        let _ = timeout_at(deadline, applied).await;
    }
}

/// Completes once a leader is known and it is not `known`.
async fn leader_other_than(mut metrics: watch::Receiver<Metrics>, known: Option<NodeId>) {
    let other = |metrics: &Metrics| {
        metrics.running_state.is_err() || metrics.current_leader.is_some_and(|leader| Some(leader) != known)
    };
    let _ = metrics.wait_for(other).await;
}
