//! Each command's contract, then any sequence of commands against the invariants of the agreed state.

use std::collections::BTreeMap;

use carousel_protocol::{Epoch, Incarnation, NodeId, SlotId, SlotMap, SlotRun};
use proptest::prelude::*;

use super::*;

fn node(n: u8) -> NodeId {
    NodeId([n; 20])
}

fn slot(raw: u16) -> SlotId {
    SlotId::new(raw).unwrap()
}

fn spec(n: u8, process: u64) -> MemberSpec {
    MemberSpec {
        id: node(n),
        host: "127.0.0.1".into(),
        port: 7000 + u16::from(n),
        peer_port: 17000 + u16::from(n),
        shards: 2,
        weight: 2,
        zone: String::new(),
        process,
    }
}

fn run(first: u16, last: u16, set: &[u8]) -> SlotRun {
    SlotRun {
        first: slot(first),
        last: slot(last),
        replicas: set.iter().map(|n| node(*n)).collect(),
        epoch: Epoch(0),
        recovering: false,
    }
}

fn change(first: u16, last: u16, expected: u64, set: &[u8]) -> SlotChange {
    let run = run(first, last, set);
    SlotChange {
        first: run.first,
        last: run.last,
        expected_epoch: Epoch(expected),
        replicas: run.replicas,
        incarnations: Vec::new(),
    }
}

fn create_command() -> ConfigCommand {
    ConfigCommand::Create {
        cluster_id: node(0xcc),
        members: vec![spec(1, 1), spec(2, 1), spec(3, 1)],
        slots: vec![run(0, 5000, &[1, 2]), run(5001, 10_000, &[2, 3]), run(10_001, 16_383, &[3, 1])],
        replicas: 2,
        write_quorum: 2,
    }
}

fn created() -> ClusterState {
    let mut state = ClusterState::default();
    assert_eq!(apply(&mut state, &create_command()), ConfigReply::Done);
    state
}

fn refused(reply: ConfigReply) -> String {
    match reply {
        ConfigReply::Refused(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

/// Applies a command that must be refused and must change nothing but the version.
fn apply_refused(state: &mut ClusterState, command: &ConfigCommand) -> String {
    let before = state.clone();
    let why = refused(apply(state, command));
    assert_eq!(*state, ClusterState { version: before.version + 1, ..before });
    assert!(!why.contains('\n') && !why.is_empty());
    why
}

#[test]
fn create_places_every_slot_at_epoch_one() {
    let state = created();
    assert_eq!(state.version, 1);
    assert_eq!(state.cluster_id, Some(node(0xcc)));
    assert_eq!((state.replicas, state.write_quorum, state.last_epoch), (2, 2, Epoch(1)));
    assert!(state.members.values().all(|member| member.incarnation == Incarnation(1)));
    assert!(state.slots.runs().iter().all(|run| run.epoch == Epoch(1) && !run.recovering));
    assert_eq!(state.slots.run_of(slot(5001)).unwrap().primary(), node(2));
}

#[test]
fn create_is_refused_when_it_does_not_make_a_whole_cluster() {
    type Spoil = fn(&mut Vec<MemberSpec>, &mut Vec<SlotRun>, &mut u8, &mut u8);
    let spoils: [(Spoil, &str); 12] = [
        (|members, _, _, _| members.clear(), "at least one node"),
        (|members, _, _, _| members.push(spec(1, 9)), "is a member already"),
        (|members, _, _, _| members.push(MemberSpec { id: node(9), ..spec(1, 9) }), "the address"),
        (|_, _, n, w| (*n, *w) = (2, 3), "write quorum 3"),
        (|_, _, _, w| *w = 0, "write quorum 0"),
        (|_, slots, _, _| drop(slots.remove(0)), "slots 0..5001 are not placed"),
        (|_, slots, _, _| drop(slots.remove(1)), "slots 5001..10001 are not placed"),
        (|_, slots, _, _| drop(slots.pop()), "slots 10001..16384 are not placed"),
        (|_, slots, _, _| slots[1].first = slot(4000), "placed twice"),
        (|_, slots, _, _| slots[1].replicas.clear(), "needs a primary"),
        (|_, slots, _, _| slots[1].replicas = vec![node(2), node(2)], "twice"),
        (|_, slots, _, _| slots[1].replicas = vec![node(2), node(7)], "not a member"),
    ];
    for (spoil, expected) in spoils {
        let ConfigCommand::Create { cluster_id, mut members, mut slots, mut replicas, mut write_quorum } =
            create_command()
        else {
            unreachable!()
        };
        spoil(&mut members, &mut slots, &mut replicas, &mut write_quorum);
        let command = ConfigCommand::Create { cluster_id, members, slots, replicas, write_quorum };
        let why = apply_refused(&mut ClusterState::default(), &command);
        assert!(why.contains(expected), "{why:?} does not say {expected:?}");
    }
}

#[test]
fn a_second_create_is_refused() {
    let why = apply_refused(&mut created(), &create_command());
    assert!(why.contains("exists already"), "{why}");
}

#[test]
fn without_a_cluster_every_other_command_is_refused() {
    for command in [
        ConfigCommand::AddMember(spec(1, 1)),
        ConfigCommand::Register { spec: spec(1, 1), expected: Incarnation(1) },
        ConfigCommand::TakeEpoch,
        ConfigCommand::ChangeSlots { changes: vec![], epoch: None },
        ConfigCommand::SetPlan { expected_version: 0, targets: vec![] },
    ] {
        apply_refused(&mut ClusterState::default(), &command);
    }
}

#[test]
fn a_new_member_holds_no_slot() {
    let mut state = created();
    let slots = state.slots.clone();
    assert_eq!(
        apply(&mut state, &ConfigCommand::AddMember(spec(4, 5))),
        ConfigReply::Registered(Incarnation(1))
    );
    assert_eq!(state.slots, slots);
    assert_eq!(state.members[&node(4)], Member { spec: spec(4, 5), incarnation: Incarnation(1) });
}

#[test]
fn a_taken_id_or_address_is_refused() {
    let mut state = created();
    let mut other_peer_port = spec(4, 5);
    other_peer_port.port = spec(1, 1).peer_port;
    for member in [spec(2, 9), MemberSpec { id: node(4), ..spec(2, 9) }, other_peer_port] {
        apply_refused(&mut state, &ConfigCommand::AddMember(member));
    }
    let elsewhere = MemberSpec { id: node(4), host: "10.0.0.9".into(), ..spec(2, 9) };
    assert_eq!(
        apply(&mut state, &ConfigCommand::AddMember(elsewhere)),
        ConfigReply::Registered(Incarnation(1))
    );
}

#[test]
fn a_started_process_gets_the_next_incarnation_and_leads_nothing_until_recovered() {
    let mut state = created();
    let spec = MemberSpec { shards: 8, port: 7100, ..spec(2, 2) };
    assert_eq!(
        apply(&mut state, &ConfigCommand::Register { spec: spec.clone(), expected: Incarnation(1) }),
        ConfigReply::Registered(Incarnation(2))
    );
    assert_eq!(state.members[&node(2)], Member { spec, incarnation: Incarnation(2) });
    for run in state.slots.runs() {
        assert_eq!(run.recovering, run.primary() == node(2), "{run:?}");
        assert_eq!(run.epoch, Epoch(1));
    }
}

#[test]
fn registering_the_same_process_again_changes_nothing() {
    let mut state = created();
    apply(&mut state, &ConfigCommand::Register { spec: spec(2, 2), expected: Incarnation(1) });
    let recovered =
        ConfigCommand::ChangeSlots { changes: vec![change(5001, 10_000, 1, &[2, 3])], epoch: None };
    apply(&mut state, &recovered);
    let before = state.clone();
    let again =
        ConfigCommand::Register { spec: MemberSpec { shards: 9, ..spec(2, 2) }, expected: Incarnation(1) };
    assert_eq!(apply(&mut state, &again), ConfigReply::Registered(Incarnation(2)));
    assert_eq!(state, ClusterState { version: before.version + 1, ..before });
}

#[test]
fn what_a_dead_process_had_sent_does_not_supersede_the_one_after_it() {
    let mut state = created();
    let register = |process| ConfigCommand::Register { spec: spec(2, process), expected: Incarnation(1) };
    apply(&mut state, &register(3));
    let before = state.members.clone();
    apply_refused(&mut state, &register(2));
    assert_eq!(state.members, before);
}

#[test]
fn strangers_and_processes_at_another_members_address_do_not_register() {
    let mut state = created();
    apply_refused(&mut state, &ConfigCommand::Register { spec: spec(9, 1), expected: Incarnation(1) });
    apply_refused(
        &mut state,
        &ConfigCommand::Register { spec: MemberSpec { id: node(1), ..spec(2, 7) }, expected: Incarnation(1) },
    );
}

#[test]
fn a_node_without_shards_or_with_more_than_there_can_be_is_no_member() {
    let mut state = created();
    for shards in [0, SHARDS_MAX + 1, u16::MAX] {
        let odd = |n, process| MemberSpec { shards, ..spec(n, process) };
        let why = apply_refused(&mut state, &ConfigCommand::AddMember(odd(4, 1)));
        assert!(why.contains(&format!("{shards} shards")), "{why}");
        let register = ConfigCommand::Register { spec: odd(1, 2), expected: Incarnation(1) };
        apply_refused(&mut state, &register);
        let ConfigCommand::Create { cluster_id, slots, replicas, write_quorum, .. } = create_command() else {
            unreachable!()
        };
        let members = vec![spec(1, 1), spec(2, 1), odd(3, 1)];
        let create = ConfigCommand::Create { cluster_id, members, slots, replicas, write_quorum };
        apply_refused(&mut ClusterState::default(), &create);
    }
}

#[test]
fn a_change_is_judged_slot_by_slot() {
    let mut state = created();
    let first = ConfigCommand::ChangeSlots { changes: vec![change(10, 19, 1, &[3, 2])], epoch: None };
    assert_eq!(
        apply(&mut state, &first),
        ConfigReply::Changed(vec![ChangeOutcome { changed: 10, stale: 0, refused: 0 }])
    );
    assert_eq!(state.last_epoch, Epoch(2));

    let second = ConfigCommand::ChangeSlots {
        changes: vec![change(0, 29, 1, &[1, 3]), change(25, 34, 1, &[2, 3])],
        epoch: None,
    };
    // The second change finds slots 25-29 at the epoch that the first one just gave them.
    assert_eq!(
        apply(&mut state, &second),
        ConfigReply::Changed(vec![
            ChangeOutcome { changed: 20, stale: 10, refused: 0 },
            ChangeOutcome { changed: 5, stale: 5, refused: 0 }
        ])
    );
    let expect = |first, last, set: &[u8], epoch| SlotRun { epoch: Epoch(epoch), ..run(first, last, set) };
    assert_eq!(
        state.slots.runs()[..5],
        [
            expect(0, 9, &[1, 3], 3),
            expect(10, 19, &[3, 2], 2),
            expect(20, 29, &[1, 3], 3),
            expect(30, 34, &[2, 3], 3),
            expect(35, 5000, &[1, 2], 1),
        ]
    );
}

#[test]
fn a_change_that_changes_nothing_uses_no_epoch() {
    let mut state = created();
    let stale = ConfigCommand::ChangeSlots { changes: vec![change(0, 9, 7, &[1])], epoch: None };
    let before = state.clone();
    assert_eq!(
        apply(&mut state, &stale),
        ConfigReply::Changed(vec![ChangeOutcome { changed: 0, stale: 10, refused: 0 }])
    );
    assert_eq!(state, ClusterState { version: before.version + 1, ..before });
}

#[test]
fn a_recovery_uses_the_epoch_taken_for_it_and_ends_recovering() {
    let mut state = created();
    apply(&mut state, &ConfigCommand::Register { spec: spec(2, 2), expected: Incarnation(1) });
    assert_eq!(apply(&mut state, &ConfigCommand::TakeEpoch), ConfigReply::Epoch(Epoch(2)));
    assert_eq!(apply(&mut state, &ConfigCommand::TakeEpoch), ConfigReply::Epoch(Epoch(3)));
    let changes = vec![change(5001, 9000, 1, &[3, 2])];
    let recovery = ConfigCommand::ChangeSlots { changes: changes.clone(), epoch: Some(Epoch(2)) };
    assert_eq!(
        apply(&mut state, &recovery),
        ConfigReply::Changed(vec![ChangeOutcome { changed: 4000, stale: 0, refused: 0 }])
    );
    assert_eq!(state.last_epoch, Epoch(3));
    let recovered = state.slots.run_of(slot(6000)).unwrap();
    assert_eq!((recovered.epoch, recovered.recovering, recovered.primary()), (Epoch(2), false, node(3)));
    assert!(state.slots.run_of(slot(9500)).unwrap().recovering);

    // The same recovery committed twice finds nothing left at its expected epoch.
    assert_eq!(
        apply(&mut state, &recovery),
        ConfigReply::Changed(vec![ChangeOutcome { changed: 0, stale: 4000, refused: 0 }])
    );
    for epoch in [Epoch(1), Epoch(4)] {
        let why = apply_refused(
            &mut state,
            &ConfigCommand::ChangeSlots { changes: changes.clone(), epoch: Some(epoch) },
        );
        assert!(why.contains("must be above 1 and at most 3"), "{why}");
    }
}

#[test]
fn a_change_that_counts_on_a_process_which_is_gone_is_refused() {
    let mut state = created();
    let incarnations = vec![Incarnation(1), Incarnation(1)];
    let prepared = SlotChange { incarnations, ..change(0, 9, 1, &[2, 3]) };
    apply(&mut state, &ConfigCommand::Register { spec: spec(3, 77), expected: Incarnation(1) });
    let entry = ConfigCommand::ChangeSlots { changes: vec![prepared.clone()], epoch: None };
    let outcome = ChangeOutcome { changed: 0, stale: 0, refused: 10 };
    assert_eq!(apply(&mut state, &entry), ConfigReply::Changed(vec![outcome]));
    // Prepared with the new process it goes through.
    let incarnations = vec![Incarnation(1), Incarnation(2)];
    let entry =
        ConfigCommand::ChangeSlots { changes: vec![SlotChange { incarnations, ..prepared }], epoch: None };
    let outcome = ChangeOutcome { changed: 10, stale: 0, refused: 0 };
    assert_eq!(apply(&mut state, &entry), ConfigReply::Changed(vec![outcome]));
}

#[test]
fn only_a_recovery_changes_slots_whose_primary_is_gone() {
    let mut state = created();
    apply(&mut state, &ConfigCommand::Register { spec: spec(1, 77), expected: Incarnation(1) });
    let changes = vec![change(0, 9, 1, &[1, 3])];
    let entry = ConfigCommand::ChangeSlots { changes: changes.clone(), epoch: None };
    let outcome = ChangeOutcome { changed: 0, stale: 10, refused: 0 };
    assert_eq!(apply(&mut state, &entry), ConfigReply::Changed(vec![outcome]));
    let ConfigReply::Epoch(epoch) = apply(&mut state, &ConfigCommand::TakeEpoch) else { panic!("no epoch") };
    let entry = ConfigCommand::ChangeSlots { changes, epoch: Some(epoch) };
    let outcome = ChangeOutcome { changed: 10, stale: 0, refused: 0 };
    assert_eq!(apply(&mut state, &entry), ConfigReply::Changed(vec![outcome]));
}

#[test]
fn a_bad_set_or_range_refuses_the_whole_entry() {
    let mut state = created();
    let backwards = SlotChange { first: slot(9), last: slot(8), ..change(0, 0, 1, &[1]) };
    for bad in [change(0, 9, 1, &[]), change(0, 9, 1, &[1, 1]), change(0, 9, 1, &[1, 9]), backwards] {
        let changes = vec![change(100, 109, 1, &[2, 1]), bad];
        apply_refused(&mut state, &ConfigCommand::ChangeSlots { changes, epoch: None });
    }
}

#[test]
fn a_plan_shrinks_with_the_changes_and_ends_with_the_last() {
    let mut state = created();
    let targets = vec![run(0, 99, &[1, 2]), run(100, 199, &[2, 1]), run(6000, 6009, &[1, 2])];
    let reply = apply(&mut state, &ConfigCommand::SetPlan { expected_version: 1, targets });
    assert_eq!(reply, ConfigReply::Planned(Some(2)));
    let plan = state.plan.clone().unwrap();
    assert_eq!((plan.id, plan.slots_total), (2, 110));
    assert_eq!(plan.targets.runs(), [run(100, 199, &[2, 1]), run(6000, 6009, &[1, 2])]);

    let mut step = |changes| {
        apply(&mut state, &ConfigCommand::ChangeSlots { changes, epoch: None });
        state.plan.clone().map(|plan| {
            assert_eq!((plan.id, plan.slots_total), (2, 110));
            plan.targets.runs().to_vec()
        })
    };
    // Another set than the target is no completion; neither is the right set in the wrong order.
    let left = step(vec![change(6000, 6004, 1, &[3, 1]), change(6005, 6009, 1, &[2, 1])]);
    assert_eq!(left.unwrap(), [run(100, 199, &[2, 1]), run(6000, 6009, &[1, 2])]);
    let left = step(vec![change(150, 250, 1, &[2, 1])]);
    assert_eq!(left.unwrap(), [run(100, 149, &[2, 1]), run(6000, 6009, &[1, 2])]);
    assert_eq!(step(vec![change(100, 149, 1, &[2, 1]), change(6000, 6009, 3, &[1, 2])]), None);
}

#[test]
fn a_plan_with_nothing_to_do_ends_at_once() {
    let mut state = created();
    let set_plan = |version, set: &[u8]| ConfigCommand::SetPlan {
        expected_version: version,
        targets: vec![run(0, 99, set)],
    };
    assert_eq!(apply(&mut state, &set_plan(1, &[1, 2])), ConfigReply::Planned(None));
    assert_eq!(state.plan, None);
}

#[test]
fn a_plan_of_another_version_or_beside_another_or_with_bad_targets_is_refused() {
    let mut state = created();
    let set_plan = |expected_version, targets| ConfigCommand::SetPlan { expected_version, targets };
    let target = run(0, 99, &[2, 1]);
    let why = apply_refused(&mut state, &set_plan(0, vec![target.clone()]));
    assert!(why.contains("plan again"), "{why}");
    for bad in [run(0, 9, &[]), run(0, 9, &[9]), run(0, 9, &[1, 1])] {
        let version = state.version;
        apply_refused(&mut state, &set_plan(version, vec![bad]));
    }
    let version = state.version;
    apply_refused(&mut state, &set_plan(version, vec![target.clone(), target.clone()]));
    let version = state.version;
    assert!(matches!(
        apply(&mut state, &set_plan(version, vec![target.clone()])),
        ConfigReply::Planned(Some(_))
    ));
    let version = state.version;
    let why = apply_refused(&mut state, &set_plan(version, vec![target]));
    assert!(why.contains("in progress"), "{why}");
}

#[test]
fn a_plans_number_is_never_given_again() {
    let mut state = created();
    apply(&mut state, &ConfigCommand::TakeEpoch);
    let plan = |state: &mut ClusterState, set: &[u8]| {
        let expected_version = state.version;
        apply(state, &ConfigCommand::SetPlan { expected_version, targets: vec![run(0, 0, set)] })
    };
    assert_eq!(plan(&mut state, &[2, 1]), ConfigReply::Planned(Some(3)));
    // A recovery with the epoch taken before completes the plan without moving the counter.
    let changes = vec![change(0, 0, 1, &[2, 1])];
    apply(&mut state, &ConfigCommand::ChangeSlots { changes, epoch: Some(Epoch(2)) });
    assert_eq!(state.plan, None);
    assert_eq!(plan(&mut state, &[1, 2]), ConfigReply::Planned(Some(4)));
}

/// Slots come from the edges of the created runs, so that commands often meet; most runs and sets are good ones.
fn any_run() -> impl Strategy<Value = SlotRun> {
    let edge = prop_oneof![0u16..6, 4998u16..5004, 16_380u16..16_384];
    let good = proptest::sample::subsequence(vec![1, 2, 3], 1..=3).prop_shuffle();
    let set = prop_oneof![9 => good, 1 => proptest::collection::vec(1u8..7, 0..4)];
    let backwards = prop_oneof![19 => Just(false), 1 => Just(true)];
    (edge.clone(), edge, set, backwards).prop_map(|(a, b, set, backwards)| {
        let (low, high) = (a.min(b), a.max(b));
        if backwards { run(high, low, &set) } else { run(low, high, &set) }
    })
}

fn any_command() -> impl Strategy<Value = ConfigCommand> {
    let any_change = (any_run(), prop_oneof![Just(1u64), 0u64..12]).prop_map(|(run, epoch)| SlotChange {
        first: run.first,
        last: run.last,
        expected_epoch: Epoch(epoch),
        replicas: run.replicas,
        incarnations: Vec::new(),
    });
    prop_oneof![
        1 => Just(create_command()),
        2 => (1u8..7, 0u64..4).prop_map(|(n, process)| ConfigCommand::AddMember(spec(n, process))),
        3 => (1u8..7, 0u64..4).prop_map(|(n, process)| ConfigCommand::Register { spec: spec(n, process), expected: Incarnation(1 + process % 2) }),
        2 => Just(ConfigCommand::TakeEpoch),
        8 => (proptest::collection::vec(any_change, 0..4), proptest::option::weighted(0.2, 0u64..12))
            .prop_map(|(changes, epoch)| ConfigCommand::ChangeSlots { changes, epoch: epoch.map(Epoch) }),
        3 => (0u64..30, proptest::collection::vec(any_run(), 0..3))
            .prop_map(|(expected_version, targets)| ConfigCommand::SetPlan { expected_version, targets }),
    ]
}

/// What must hold in every state of a cluster.
fn check_state(state: &ClusterState) {
    let runs = state.slots.runs();
    assert_eq!(runs[0].first.get(), 0);
    assert_eq!(runs[runs.len() - 1].last.get(), SlotId::COUNT - 1);
    assert!(
        runs.windows(2).all(|w| w[0].last.get() + 1 == w[1].first.get()),
        "every slot is in exactly one run"
    );
    for run in runs {
        assert!(run.epoch >= Epoch(1) && run.epoch <= state.last_epoch);
        let set: BTreeSet<_> = run.replicas.iter().collect();
        assert!(!set.is_empty() && set.len() == run.replicas.len(), "one primary, nobody twice");
        assert!(set.iter().all(|id| state.members.contains_key(id)), "only members hold slots");
    }
    let Some(plan) = &state.plan else { return };
    assert!(!plan.targets.is_empty());
    for target in plan.targets.runs() {
        assert_eq!((target.epoch, target.recovering), (Epoch(0), false));
        for slot in target.slots() {
            assert_ne!(state.slots.run_of(slot).unwrap().replicas, target.replicas, "reached targets leave");
        }
    }
}

proptest! {
    #[test]
    fn any_sequence_of_commands_keeps_the_invariants(
        mut commands in proptest::collection::vec(any_command(), 1..40),
        pin_versions in any::<bool>(),
    ) {
        let mut state = created();
        // Per slot, the sets by epoch: an epoch names one set for ever.
        let mut history: BTreeMap<(SlotId, Epoch), Vec<NodeId>> = BTreeMap::new();
        let mut given = BTreeSet::from([Epoch(1)]);
        let watched = [0, 1, 2, 3, 4, 5, 4998, 4999, 5000, 5001, 5002, 5003, 16_380, 16_381, 16_382, 16_383].map(slot);
        for command in &mut commands {
            if let ConfigCommand::SetPlan { expected_version, .. } = command && pin_versions {
                *expected_version = state.version;
            }
            let before = state.clone();
            let reply = apply(&mut state, command);
            prop_assert_eq!(state.version, before.version + 1);
            prop_assert!(state.last_epoch >= before.last_epoch);
            check_state(&state);
            match (&*command, &reply) {
                (_, ConfigReply::Refused(_)) => {
                    prop_assert_eq!(&state, &ClusterState { version: state.version, ..before.clone() });
                }
                (ConfigCommand::TakeEpoch, ConfigReply::Epoch(epoch)) => {
                    prop_assert!(given.insert(*epoch), "epoch {} given out twice", epoch);
                }
                (ConfigCommand::SetPlan { .. }, ConfigReply::Planned(id)) => {
                    if let Some(id) = id {
                        prop_assert!(given.insert(Epoch(*id)), "plan number {} given out twice", id);
                    }
                }
                (ConfigCommand::ChangeSlots { changes, epoch }, ConfigReply::Changed(outcomes)) => {
                    prop_assert_eq!(changes.len(), outcomes.len());
                    for (change, outcome) in changes.iter().zip(outcomes) {
                        let len = change.last.get() - change.first.get() + 1;
                        prop_assert_eq!(outcome.changed + outcome.stale, len);
                    }
                    if epoch.is_none() && outcomes.iter().any(|outcome| outcome.changed > 0) {
                        prop_assert!(given.insert(state.last_epoch), "epoch given out twice");
                    }
                    if let Some(plan) = &state.plan {
                        prop_assert_eq!(plan.id, before.plan.as_ref().unwrap().id);
                    }
                }
                (ConfigCommand::Register { spec, .. } | ConfigCommand::AddMember(spec), ConfigReply::Registered(now)) => {
                    let had = before.members.get(&spec.id);
                    let same = had.is_some_and(|member| member.spec.process == spec.process);
                    let expected = had.map_or(1, |member| member.incarnation.0 + u64::from(!same));
                    prop_assert_eq!(now.0, expected);
                    prop_assert_eq!(state.members[&spec.id].incarnation, *now);
                }
                (command, reply) => prop_assert!(false, "{:?} answered {:?}", command, reply),
            }
            for slot in watched {
                let old = before.slots.run_of(slot).unwrap();
                let new = state.slots.run_of(slot).unwrap();
                if old.epoch == new.epoch {
                    prop_assert_eq!(&old.replicas, &new.replicas, "a set changes only with its epoch");
                } else {
                    prop_assert!(new.epoch > old.epoch && !new.recovering);
                }
                let set = history.entry((slot, new.epoch)).or_insert_with(|| new.replicas.clone());
                prop_assert_eq!(&*set, &new.replicas, "an epoch of a slot names one set for ever");
            }
        }
    }

    #[test]
    fn replacing_slot_by_slot_equals_setting_the_run(edits in proptest::collection::vec(any_run(), 1..12)) {
        let mut expected = created().slots;
        let mut by_slot = BySlot::new(&expected);
        for edit in edits.into_iter().filter(|run| run.first <= run.last && !run.replicas.is_empty()) {
            expected.set(edit.clone());
            prop_assert_eq!(usize::from(by_slot.replace(edit.clone(), |_| true)), edit.len());
        }
        let map: SlotMap = by_slot.into_map();
        prop_assert_eq!(map, expected);
    }
}
