//! Who votes in the config group: one node of one or two, three of three or four, five of more; every other
//! member is a learner and receives the log. Kept so by the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use carousel_protocol::NodeId;
use openraft::{BasicNode, ChangeMembers, ServerState};
use tokio::sync::watch;

use super::types::{Metrics, Raft, peer_address};
use crate::config::{ClusterState, Member};

/// A change that did not come about is tried again after this.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// A learner so close to the leader's log may become a voter: it will not hold up the group.
const CAUGHT_UP_ENTRIES: u64 = 100;

/// How many voters a cluster of `members` nodes has.
pub fn voter_target(members: usize) -> usize {
    match members {
        0 => 0,
        1 | 2 => 1,
        3 | 4 => 3,
        _ => 5,
    }
}

/// What is to change next.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    /// Members that the group does not know, or not at this address.
    Nodes(ChangeMembers<NodeId, BasicNode>),
    /// Learners to promote.
    Promote(BTreeSet<NodeId>),
}

/// The next step from the group's present membership to the one that the members call for.
fn next_step(
    members: &BTreeMap<NodeId, Member>,
    nodes: &BTreeMap<NodeId, BasicNode>,
    voters: &BTreeSet<NodeId>,
    caught_up: &BTreeSet<NodeId>,
) -> Option<Step> {
    let wanted = members.iter().map(|(id, member)| (*id, BasicNode::new(peer_address(&member.spec))));
    let (moved, unknown): (BTreeMap<_, _>, BTreeMap<_, _>) =
        wanted.filter(|(id, node)| nodes.get(id) != Some(node)).partition(|(id, _)| nodes.contains_key(id));
    if !unknown.is_empty() {
        return Some(Step::Nodes(ChangeMembers::AddNodes(unknown)));
    }
    if !moved.is_empty() {
        return Some(Step::Nodes(ChangeMembers::SetNodes(moved)));
    }
    let promoted = promotions(members, voters, caught_up);
    (!promoted.is_empty()).then_some(Step::Promote(promoted))
}

/// Learners to promote: as many as bring the group to the largest odd number of voters that it should and can
/// have, since an even one only adds a node whose loss counts. New zones first, then by id.
fn promotions(
    members: &BTreeMap<NodeId, Member>,
    voters: &BTreeSet<NodeId>,
    caught_up: &BTreeSet<NodeId>,
) -> BTreeSet<NodeId> {
    let mut learners: BTreeSet<NodeId> =
        caught_up.iter().filter(|id| members.contains_key(id) && !voters.contains(id)).copied().collect();
    let possible = voter_target(members.len()).min(voters.len() + learners.len());
    let target = possible.saturating_sub(usize::from(possible.is_multiple_of(2)));
    let zone = |id: &NodeId| members.get(id).map(|member| member.spec.zone.as_str()).unwrap_or_default();
    let mut zones: Vec<&str> = voters.iter().map(zone).collect();
    let mut promoted = BTreeSet::new();
    while voters.len() + promoted.len() < target {
        let voters_in = |id: &NodeId| zones.iter().filter(|other| **other == zone(id)).count();
        let Some(next) = learners.iter().min_by_key(|id| voters_in(id)).copied() else { break };
        learners.remove(&next);
        zones.push(zone(&next));
        promoted.insert(next);
    }
    promoted
}

fn step_from(metrics: &Metrics, state: &ClusterState) -> Option<Step> {
    let membership = metrics.membership_config.membership();
    let nodes = membership.nodes().map(|(id, node)| (*id, node.clone())).collect();
    let voters = membership.voter_ids().collect();
    let last = metrics.last_log_index.unwrap_or_default();
    let progress = metrics.replication.iter().flatten();
    let caught_up = progress
        .filter(|(_, matched)| matched.is_some_and(|id| id.index + CAUGHT_UP_ENTRIES >= last))
        .map(|(id, _)| *id)
        .collect();
    next_step(&state.members, &nodes, &voters, &caught_up)
}

/// Makes the group's membership follow the members while this node leads; runs until aborted or the library stops.
pub(super) async fn run(raft: Raft, mut state: watch::Receiver<Arc<ClusterState>>) {
    let mut metrics = raft.metrics();
    loop {
        let step = {
            let metrics = metrics.borrow_and_update();
            let state = state.borrow_and_update();
            (metrics.state == ServerState::Leader).then(|| step_from(&metrics, &state)).flatten()
        };
        if let Some(step) = step {
            let (changes, what) = match step {
                Step::Nodes(changes) => (changes, "nodes"),
                Step::Promote(learners) => (ChangeMembers::AddVoterIds(learners), "voters"),
            };
            match Box::pin(raft.change_membership(changes, true)).await {
                Ok(_) => continue,
                // Another change is under way, or this node leads no longer.
                Err(error) => tracing::debug!(%error, what, "the config group's membership did not change"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
            continue;
        }
        let changed = tokio::select! {
            changed = metrics.changed() => changed,
            changed = state.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MemberSpec;
    use carousel_protocol::Incarnation;

    fn id(n: u8) -> NodeId {
        NodeId([n; 20])
    }

    fn ids(of: &[u8]) -> BTreeSet<NodeId> {
        of.iter().copied().map(id).collect()
    }

    /// Member `n` is in the `n`th zone of `zones`, the first being 1.
    fn members(zones: &[&str]) -> BTreeMap<NodeId, Member> {
        let member = |(i, zone): (usize, &&str)| {
            let spec = MemberSpec {
                id: id(i as u8 + 1),
                host: "h".into(),
                port: 1,
                peer_port: 100 + i as u16,
                shards: 1,
                weight: 1,
                zone: zone.to_string(),
                process: 0,
            };
            (spec.id, Member { spec, incarnation: Incarnation(1) })
        };
        zones.iter().enumerate().map(member).collect()
    }

    fn nodes(of: &BTreeMap<NodeId, Member>) -> BTreeMap<NodeId, BasicNode> {
        of.iter().map(|(id, member)| (*id, BasicNode::new(peer_address(&member.spec)))).collect()
    }

    #[test]
    fn the_number_of_voters_follows_the_number_of_members() {
        let targets: Vec<_> = (1..=7).map(voter_target).collect();
        assert_eq!(targets, [1, 1, 3, 3, 5, 5, 5]);
        for n in 1..=7 {
            let members = members(&vec![""; n]);
            let all: BTreeSet<_> = members.keys().copied().collect();
            assert_eq!(1 + promotions(&members, &ids(&[1]), &all).len(), voter_target(n));
        }
    }

    #[test]
    fn the_number_of_voters_stays_odd() {
        let members = members(&[""; 5]);
        assert_eq!(promotions(&members, &ids(&[1]), &ids(&[2])), ids(&[]));
        assert_eq!(promotions(&members, &ids(&[1]), &ids(&[2, 3, 4])), ids(&[2, 3]));
        assert_eq!(promotions(&members, &ids(&[1, 2, 3]), &ids(&[5])), ids(&[]));
        assert_eq!(promotions(&members, &ids(&[1, 2, 3]), &ids(&[4, 5])), ids(&[4, 5]));
    }

    #[test]
    fn voters_go_to_distinct_zones_first() {
        let members = members(&["a", "a", "a", "b", "c"]);
        assert_eq!(promotions(&members, &ids(&[1]), &ids(&[2, 3, 4, 5])), ids(&[2, 3, 4, 5]));
        let four: BTreeMap<_, _> = members.into_iter().take(4).collect();
        assert_eq!(promotions(&four, &ids(&[1]), &ids(&[2, 3, 4])), ids(&[2, 4]));
    }

    #[test]
    fn members_join_and_move_before_anyone_is_promoted() {
        let members = members(&[""; 3]);
        let mut known = nodes(&members);
        let caught_up = ids(&[2, 3]);
        assert_eq!(next_step(&members, &known, &ids(&[1, 2, 3]), &caught_up), None);
        assert_eq!(
            next_step(&members, &known, &ids(&[1]), &caught_up),
            Some(Step::Promote(caught_up.clone()))
        );

        known.insert(id(2), BasicNode::new("elsewhere:1"));
        let moved = BTreeMap::from([(id(2), BasicNode::new("h:101"))]);
        let step = Step::Nodes(ChangeMembers::SetNodes(moved));
        assert_eq!(next_step(&members, &known, &ids(&[1]), &caught_up), Some(step));

        known.remove(&id(3));
        let unknown = BTreeMap::from([(id(3), BasicNode::new("h:102"))]);
        let step = Step::Nodes(ChangeMembers::AddNodes(unknown));
        assert_eq!(next_step(&members, &known, &ids(&[1]), &caught_up), Some(step));
    }
}
