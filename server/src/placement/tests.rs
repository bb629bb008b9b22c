//! The planner as a whole: what every plan must satisfy, over histories of growth, drains and changed weights.

use std::collections::{BTreeMap, BTreeSet};

use carousel_protocol::{NodeId, ShardId, SlotId, SlotMap, SlotRun};
use proptest::prelude::*;

use super::quota::{Claim, quotas};
use super::{PlacementMember, Plan, initial_placement, plan, ring};

fn id(n: u8) -> NodeId {
    NodeId(std::array::from_fn(|i| if i == 0 { n } else { n.wrapping_mul(31).wrapping_add(i as u8) }))
}

fn member(n: u8, weight: u32, zone: &str) -> PlacementMember {
    PlacementMember { id: id(n), weight, zone: zone.to_owned() }
}

fn equal(count: u8) -> Vec<PlacementMember> {
    (1..=count).map(|n| member(n, 4, "")).collect()
}

fn created(members: &[PlacementMember], replicas: u8) -> SlotMap {
    SlotMap::new(initial_placement(members, replicas))
}

fn applied(map: &SlotMap, plan: &Plan) -> SlotMap {
    let mut map = map.clone();
    plan.targets.iter().for_each(|run| map.set(run.clone()));
    map
}

/// Slots led and slots held, by node.
fn counts(map: &SlotMap) -> (BTreeMap<NodeId, u32>, BTreeMap<NodeId, u32>) {
    let (mut leads, mut holds) = (BTreeMap::new(), BTreeMap::new());
    for run in map.runs() {
        *leads.entry(run.primary()).or_default() += run.len() as u32;
        run.replicas.iter().for_each(|&node| *holds.entry(node).or_default() += run.len() as u32);
    }
    (leads, holds)
}

fn values(counts: &BTreeMap<NodeId, u32>) -> Vec<u32> {
    let mut values: Vec<u32> = counts.values().copied().collect();
    values.sort_unstable();
    values
}

/// Runs as a client sees them, who cares for primaries only.
fn primary_runs(map: &SlotMap) -> usize {
    1 + map.runs().windows(2).filter(|w| w[0].primary() != w[1].primary()).count()
}

/// What holds for every map: all slots, each on the right number of distinct nodes, zones apart while they suffice.
fn check_map(map: &SlotMap, members: &[PlacementMember], replicas: u8) -> Result<(), TestCaseError> {
    prop_assert_eq!(map.runs().iter().map(SlotRun::len).sum::<usize>(), 16384);
    let weighted: Vec<_> = members.iter().filter(|m| m.weight > 0).collect();
    let size = usize::from(replicas).min(weighted.len());
    let zone = |node: &NodeId| {
        let member = weighted.iter().find(|m| m.id == *node).expect("only members with a weight hold slots");
        if member.zone.is_empty() { node.to_string() } else { member.zone.clone() }
    };
    let mut nodes_of: BTreeMap<String, usize> = BTreeMap::new();
    weighted.iter().for_each(|m| *nodes_of.entry(zone(&m.id)).or_default() += 1);
    let limit = (1..=size).find(|&l| nodes_of.values().map(|&n| n.min(l)).sum::<usize>() >= size).unwrap();
    for run in map.runs() {
        prop_assert_eq!(run.replicas.len(), size);
        prop_assert_eq!(run.replicas.iter().collect::<BTreeSet<_>>().len(), size, "distinct nodes");
        let mut per_zone: BTreeMap<String, usize> = BTreeMap::new();
        run.replicas.iter().for_each(|node| *per_zone.entry(zone(node)).or_default() += 1);
        prop_assert!(per_zone.values().all(|&n| n <= limit), "{:?} with limit {}", per_zone, limit);
    }
    Ok(())
}

/// A plan's own numbers, the quotas where nothing caps them, and that planning again finds nothing to do.
fn check_plan(
    before: &SlotMap,
    plan_made: &Plan,
    members: &[PlacementMember],
    replicas: u8,
) -> Result<SlotMap, TestCaseError> {
    let after = applied(before, plan_made);
    check_map(&after, members, replicas)?;
    let (mut slots, mut moved, mut copies) = (0, 0, 0);
    for slot in SlotId::all() {
        let (old, new) = (before.run_of(slot).unwrap(), after.run_of(slot).unwrap());
        slots += u32::from(old.replicas != new.replicas);
        moved += u32::from(old.primary() != new.primary());
        copies += new.replicas.iter().filter(|node| !old.replicas.contains(node)).count() as u32;
    }
    prop_assert_eq!((plan_made.slots, plan_made.primaries_moved, plan_made.copies), (slots, moved, copies));
    let (leads, holds) = counts(&after);
    for share in &plan_made.nodes {
        prop_assert_eq!(share.primaries_after, leads.get(&share.id).copied().unwrap_or(0));
        prop_assert_eq!(share.slots_after, holds.get(&share.id).copied().unwrap_or(0));
    }
    for (share, (lead_quota, hold_quota)) in
        plan_made.nodes.iter().zip(quotas_of(plan_made, members, replicas))
    {
        if plan_made.targets.is_empty() {
            prop_assert!(share.primaries_after.abs_diff(lead_quota) <= lead_quota.div_ceil(100));
            prop_assert!(share.slots_after.abs_diff(hold_quota) <= hold_quota.div_ceil(100));
        } else {
            prop_assert_eq!((share.primaries_after, share.slots_after), (lead_quota, hold_quota));
        }
    }
    let weight: u64 = members.iter().map(|m| u64::from(m.weight)).sum();
    for member in members.iter().filter(|_| !plan_made.targets.is_empty()) {
        let has = leads.get(&member.id).copied().unwrap_or(0);
        let share = 16384.0 * f64::from(member.weight) / weight as f64;
        prop_assert!((f64::from(has) - share).abs() < 1.0, "{:?} leads {} of {}", member.id, has, share);
    }
    let again = plan(&after, members, replicas);
    prop_assert_eq!(again.targets, vec![], "a balanced cluster is left alone");
    Ok(after)
}

/// Slots to lead and to hold, per node of the plan.
fn quotas_of(plan_made: &Plan, members: &[PlacementMember], replicas: u8) -> Vec<(u32, u32)> {
    let mut zones: Vec<String> = Vec::new();
    let claims: Vec<Claim> = plan_made
        .nodes
        .iter()
        .map(|share| {
            let member = members.iter().find(|m| m.id == share.id);
            let zone =
                member.map(|m| m.zone.clone()).filter(|z| !z.is_empty()).unwrap_or(share.id.to_string());
            let known = zones.iter().position(|z| *z == zone);
            let zone = known.unwrap_or_else(|| {
                zones.push(zone);
                zones.len() - 1
            });
            let weight = member.map_or(0, |m| m.weight);
            Claim { weight, zone, leads: share.primaries_before, holds: share.slots_before }
        })
        .collect();
    let quotas = quotas(&claims, zones.len(), replicas).expect("some node has a weight");
    quotas.leads.into_iter().zip(quotas.holds).collect()
}

/// Copies and primaries that any plan between these maps must at least move: what nodes lack in the end.
fn least(before: &SlotMap, after: &SlotMap) -> (u32, u32) {
    let lacking = |old: &BTreeMap<NodeId, u32>, new: &BTreeMap<NodeId, u32>| {
        new.iter().map(|(node, &n)| n.saturating_sub(old.get(node).copied().unwrap_or(0))).sum()
    };
    let ((old_leads, old_holds), (new_leads, new_holds)) = (counts(before), counts(after));
    (lacking(&old_leads, &new_leads), lacking(&old_holds, &new_holds))
}

#[test]
fn four_equal_nodes_hold_equal_parts_exactly() {
    let map = created(&equal(4), 3);
    let (leads, holds) = counts(&map);
    assert_eq!(values(&leads), [4096; 4]);
    assert_eq!(values(&holds), [12288; 4]);
    assert_eq!(primary_runs(&map), 4);
}

#[test]
fn three_equal_nodes_differ_by_a_slot() {
    let (leads, holds) = counts(&created(&equal(3), 3));
    assert_eq!(values(&leads), [5461, 5461, 5462]);
    assert_eq!(values(&holds), [16384; 3]);
}

#[test]
fn a_fourth_node_takes_its_part_and_nothing_else_moves() {
    let before = created(&equal(3), 3);
    let made = plan(&before, &equal(4), 3);
    assert_eq!((made.primaries_moved, made.copies), (4096, 12288));
    let after = applied(&before, &made);
    let (leads, holds) = counts(&after);
    assert_eq!(values(&leads), [4096; 4]);
    assert_eq!(values(&holds), [12288; 4]);
    let kept = SlotId::all().all(|slot| {
        let (old, new) = (before.run_of(slot).unwrap(), after.run_of(slot).unwrap());
        new.replicas.contains(&old.primary())
    });
    assert!(kept, "an old primary stays as a replica");
    assert!(primary_runs(&after) <= 7, "{} runs", primary_runs(&after));
}

#[test]
fn sets_grow_with_the_cluster_until_they_are_complete() {
    let mut map = created(&equal(1), 3);
    for (count, primaries, copies) in [(2, 8192, 16384), (3, 5461, 16384)] {
        let made = plan(&map, &equal(count), 3);
        assert_eq!(made.copies, copies, "a copy of everything for the newcomer");
        assert!(made.primaries_moved.abs_diff(primaries) <= 1);
        map = applied(&map, &made);
        check_map(&map, &equal(count), 3).unwrap();
    }
}

#[test]
fn fewer_replicas_cost_no_copy() {
    let made = plan(&created(&equal(5), 3), &equal(5), 2);
    assert_eq!((made.copies, made.primaries_moved), (0, 0));
    check_plan(&created(&equal(5), 3), &made, &equal(5), 2).unwrap();
}

#[test]
fn a_drained_node_and_a_stranger_lose_everything() {
    let before = created(&equal(5), 3);
    let mut members = equal(5);
    members[0].weight = 0;
    let made = plan(&before, &members, 3);
    let after = check_plan(&before, &made, &members, 3).unwrap();
    assert_eq!(least(&before, &after), (made.primaries_moved, made.copies));
    // One who is no longer a member at all is drained the same way.
    assert_eq!(plan(&before, &members[1..], 3).targets, made.targets);
}

#[test]
fn within_one_percent_is_left_alone() {
    let mut map = created(&equal(4), 3);
    let run = map.runs()[0].clone();
    let mut replicas = run.replicas.clone();
    replicas.swap(0, 1);
    let last = SlotId::new(run.first.get() + 39).unwrap();
    map.set(SlotRun { last, replicas, ..run.clone() });
    assert!(plan(&map, &equal(4), 3).targets.is_empty(), "40 of 4096 are less than 1%");
    let last = SlotId::new(run.first.get() + 59).unwrap();
    map.set(SlotRun { last, replicas: map.runs()[0].replicas.clone(), ..run });
    assert_eq!(plan(&map, &equal(4), 3).primaries_moved, 60);
}

#[test]
fn zones_that_appear_are_respected() {
    let before = created(&equal(6), 3);
    let members: Vec<_> = (1..=6).map(|n| member(n, 4, ["a", "b", "c"][usize::from(n) % 3])).collect();
    let made = plan(&before, &members, 3);
    check_plan(&before, &made, &members, 3).unwrap();
}

#[test]
fn nowhere_to_go_is_an_empty_plan() {
    let members = [member(1, 0, "")];
    assert_eq!(plan(&created(&equal(2), 3), &members, 3).targets, []);
    assert_eq!(initial_placement(&members, 3), []);
    assert_eq!(plan(&SlotMap::default(), &equal(3), 3).targets, []);
}

#[test]
fn the_heirs_of_a_primary_share_its_slots() {
    let map = created(&equal(3), 3);
    let lost = map.runs()[0].primary();
    let mut heirs: BTreeMap<NodeId, u32> = BTreeMap::new();
    map.runs()
        .iter()
        .filter(|run| run.primary() == lost)
        .for_each(|run| *heirs.entry(run.replicas[1]).or_default() += run.len() as u32);
    assert!(values(&heirs).iter().all(|&slots| slots >= 2000), "{heirs:?}");
}

#[test]
fn repeated_growth_keeps_few_runs_and_even_shards() {
    const SHARDS: u16 = 8;
    let mut map = created(&equal(3), 3);
    for count in 4..=12 {
        map = applied(&map, &plan(&map, &equal(count), 3));
        // A newcomer takes a piece from every other node, so that runs grow with the square of the nodes.
        let nodes = usize::from(count);
        assert!(primary_runs(&map) <= nodes * (nodes + 2) / 3, "{nodes} nodes: {}", primary_runs(&map));
        assert!(map.runs().len() <= 16 + nodes * nodes, "{nodes} nodes: {}", map.runs().len());
        for n in 1..=count {
            let mut led = [0_u32; SHARDS as usize];
            SlotId::all()
                .filter(|&slot| map.run_of(slot).unwrap().primary() == id(n))
                .for_each(|slot| led[ShardId::of_slot(slot, SHARDS).index()] += 1);
            let (most, total) = (*led.iter().max().unwrap(), led.iter().sum::<u32>());
            assert!(f64::from(most * u32::from(SHARDS)) <= 1.15 * f64::from(total), "{nodes} nodes: {led:?}");
        }
    }
}

#[test]
fn a_hundred_nodes_are_planned_at_once() {
    let map = created(&equal(100), 3);
    let made = plan(&map, &equal(101), 3);
    let after = check_plan(&map, &made, &equal(101), 3).unwrap();
    assert_eq!(least(&map, &after), (made.primaries_moved, made.copies));
    let mut unequal = equal(101);
    unequal.iter_mut().enumerate().for_each(|(at, member)| member.weight = 1 + at as u32 % 7);
    let made = plan(&after, &unequal, 3);
    check_plan(&after, &made, &unequal, 3).unwrap();
}

/// One step in the life of a cluster.
#[derive(Clone, Debug)]
enum Change {
    Join { weight: u32, zone: u8 },
    Weigh { which: prop::sample::Index, weight: u32 },
    Leave { which: prop::sample::Index },
    Replicas(u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (1_u32..=4, 0_u8..3).prop_map(|(weight, zone)| Change::Join { weight, zone }),
        2 => (any::<prop::sample::Index>(), 0_u32..=4).prop_map(|(which, weight)| Change::Weigh { which, weight }),
        1 => any::<prop::sample::Index>().prop_map(|which| Change::Leave { which }),
        1 => (1_u8..=4).prop_map(Change::Replicas),
    ]
}

/// Applies a change; keeps at least one node with a weight.
fn change_members(
    members: &mut Vec<PlacementMember>,
    replicas: &mut u8,
    change: &Change,
    next: u8,
    zoned: bool,
) {
    let before = members.clone();
    match change {
        Change::Join { weight, zone } => {
            let zone = if zoned { ["a", "b", "c"][usize::from(*zone)] } else { "" };
            members.push(member(next, *weight, zone));
        }
        Change::Weigh { which, weight } => which.get_mut(members).weight = *weight,
        Change::Leave { which } => drop(members.remove(which.index(members.len()))),
        Change::Replicas(n) => *replicas = *n,
    }
    if members.iter().all(|m| m.weight == 0) {
        *members = before;
    }
}

proptest! {
    #[test]
    fn growth_of_equal_nodes_moves_the_least(start in 1_u8..6, steps in prop::collection::vec(1_u8..4, 1..5), replicas in 1_u8..5) {
        let mut count = start;
        let mut map = created(&equal(count), replicas);
        check_map(&map, &equal(count), replicas)?;
        for step in steps {
            count += step;
            let made = plan(&map, &equal(count), replicas);
            let after = check_plan(&map, &made, &equal(count), replicas)?;
            prop_assert_eq!((made.primaries_moved, made.copies), least(&map, &after));
            let size = u32::from(replicas.min(count));
            let ideal = 16384 * size / u32::from(count);
            prop_assert!(counts(&after).1.values().all(|held| held.abs_diff(ideal) <= 1));
            map = after;
        }
    }

    #[test]
    fn any_history_ends_in_a_good_map(
        zoned: bool,
        first in prop::collection::vec((1_u32..=4, 0_u8..3), 1..6),
        changes in prop::collection::vec(change(), 1..8),
        replicas in 1_u8..4,
    ) {
        let mut members = Vec::new();
        let mut replicas = replicas;
        let mut next = 1;
        for (weight, zone) in first {
            change_members(&mut members, &mut replicas, &Change::Join { weight, zone }, next, zoned);
            next += 1;
        }
        let mut map = created(&members, replicas);
        check_map(&map, &members, replicas)?;
        for change in changes {
            change_members(&mut members, &mut replicas, &change, next, zoned);
            next += 1;
            let made = plan(&map, &members, replicas);
            let after = check_plan(&map, &made, &members, replicas)?;
            map = after;
        }
    }

    #[test]
    fn the_order_of_members_does_not_matter(weights in prop::collection::vec(0_u32..5, 2..9), seed: u64) {
        let members: Vec<_> = weights.iter().enumerate().map(|(n, &w)| member(n as u8, w + u32::from(n == 0), "")).collect();
        let mut shuffled = members.clone();
        shuffled.sort_by_key(|m| ring::token(m.id) ^ seed);
        prop_assert_eq!(initial_placement(&members, 3), initial_placement(&shuffled, 3));
        let map = created(&equal(4), 3);
        prop_assert_eq!(plan(&map, &members, 3), plan(&map, &shuffled, 3));
    }
}
