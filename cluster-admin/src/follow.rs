//! Asking a cluster how it does, whichever of its members answers.

use std::time::Duration;

use anyhow::{Result, bail};
use carousel_client::Address;
use carousel_protocol::admin::Status;
use tokio::time::Instant;

use crate::ask::Target;

/// One member's answer must come within this, or another one is asked.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A cluster of which no member answers for this long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Pause after all members were asked in vain.
const PAUSE: Duration = Duration::from_millis(250);

/// Asks one member, and others while that one does not answer.
#[derive(Debug)]
pub struct Follower {
    target: Target,
    members: Vec<Address>,
    next: usize,
}

impl Follower {
    /// Starts with the node that the user named; further members are learned from the answers.
    pub fn new(target: &Target) -> Self {
        Self { target: target.clone(), members: vec![target.node.clone()], next: 0 }
    }

    /// Further members to ask.
    pub fn learn<'a>(&mut self, addresses: impl IntoIterator<Item = &'a str>) {
        for address in addresses {
            // What a node calls an address but is none cannot be asked.
            if let Ok(address) = address.parse::<Address>()
                && !self.members.contains(&address)
            {
                self.members.push(address);
            }
        }
    }

    /// The status, from the member that answered last or the next one that does.
    ///
    /// # Errors
    /// When none answered for a minute, with the fault of the last.
    pub async fn status(&mut self) -> Result<Status> {
        let started = Instant::now();
        loop {
            let mut last = None;
            for _ in 0..self.members.len() {
                let member = self.members[self.next % self.members.len()].clone();
                match self.target.at(member).carousel::<Status>(&["STATUS"], ANSWER_TIMEOUT).await {
                    Ok(status) => {
                        self.learn(status.nodes.iter().map(|node| node.address.as_str()));
                        return Ok(status);
                    }
                    Err(error) => last = Some(error),
                }
                self.next += 1;
            }
            if started.elapsed() >= SILENCE_MAX {
                let fault = last.map(|error| format!("{error:#}")).unwrap_or_default();
                bail!("no member answered for {} s; last: {fault}", SILENCE_MAX.as_secs());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use carousel_client::mock::{Act, MockServer, listener};
    use carousel_protocol::admin::{NodeStatus, Progress};

    /// A member as in most tests.
    pub fn node(address: &str, primaries: u32, slots: u32) -> NodeStatus {
        NodeStatus {
            id: "0123456789abcdef0123456789abcdef01234567".into(),
            address: address.into(),
            voter: true,
            reachable: true,
            shards: 2,
            weight: 100,
            incarnation: 1,
            primaries,
            slots,
            keys: 1_000,
            bytes: 2_048,
        }
    }

    /// A healthy cluster of these members.
    pub fn status(nodes: Vec<NodeStatus>, rebalance: Option<Progress>) -> Status {
        Status {
            cluster_id: Some("c".repeat(40)),
            answered_by: nodes[0].id.clone(),
            config_version: 7,
            config_leader: Some(nodes[0].id.clone()),
            replicas: 3,
            write_quorum: 2,
            nodes,
            slots_served: 16_384,
            slots_down: vec![],
            rebalance,
            notes: vec![],
        }
    }

    /// The answer to `CAROUSEL STATUS`.
    pub fn answer(status: &Status) -> Act {
        Act::bulk(&serde_json::to_vec(status).unwrap())
    }

    #[tokio::test]
    async fn when_the_asked_node_goes_another_member_answers() {
        let (heir, address) = listener().await;
        let nodes = vec![node("127.0.0.1:1", 9, 9), node(address.as_str(), 7, 7)];
        let reply = answer(&status(nodes.clone(), None));
        let first = MockServer::start(move |_| reply.clone()).await;
        let mut later = status(nodes, None);
        later.answered_by = "f".repeat(40);
        let heir = MockServer::on(heir, move |_| answer(&later));
        let target = Target { node: first.address().clone(), password: None };
        let mut follower = Follower::new(&target);
        assert_eq!(follower.status().await.unwrap().answered_by, node("127.0.0.1:1", 9, 9).id);
        assert!(heir.seen().is_empty());
        drop(first);
        assert_eq!(follower.status().await.unwrap().answered_by, "f".repeat(40));
    }
}
