use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

type Model = HashMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

fn hasher() -> KeyHasher {
    KeyHasher::new(0x5eed)
}

fn name(key: usize) -> Vec<u8> {
    format!("key:{key}").into_bytes()
}

/// What the table holds, by walking it; panics where a key comes twice.
fn contents(table: &Table) -> Model {
    let mut found = Model::new();
    let end = table.scan(&hasher(), ScanPosition::START, usize::MAX, &mut |entry| {
        let old = found.insert(entry.key().to_vec(), (entry.bytes().to_vec(), entry.expire_at_ms()));
        assert!(old.is_none(), "a key once");
    });
    assert_eq!(end, None);
    found
}

/// The memory by counting everything instead of keeping sums.
fn counted_bytes(table: &Table) -> usize {
    let segment = |s: &Segment| s.heap_bytes() + s.entries().iter().map(Entry::heap_bytes).sum::<usize>();
    match &table.segments {
        Segments::One(one) => segment(one),
        Segments::Many(directory) => directory.own_bytes() + directory.segments().map(segment).sum::<usize>(),
    }
}

fn assert_agrees(table: &Table, model: &Model) {
    assert_eq!(&contents(table), model);
    assert_eq!(table.len(), model.len());
    assert_eq!(table.is_empty(), model.is_empty());
    assert_eq!(table.volatile_len(), model.values().filter(|(_, expiry)| expiry.is_some()).count());
    assert_eq!(table.used_bytes(), counted_bytes(table));
    for (key, (value, expire_at_ms)) in model {
        let entry = table.get(hasher().hash(key), key).expect("a key that is there is found");
        assert_eq!((entry.bytes(), entry.expire_at_ms()), (value.as_slice(), *expire_at_ms));
    }
}

#[derive(Clone, Debug)]
enum Op {
    Set { key: usize, value: Vec<u8>, expire_at_ms: Option<u64> },
    SetExpire { key: usize, expire_at_ms: Option<u64> },
    Patch { key: usize, offset: usize, bytes: Vec<u8> },
    Remove { key: usize },
    SetMany { first: usize, count: usize },
    RemoveMany { first: usize, count: usize },
}

fn op() -> impl Strategy<Value = Op> {
    let key = || 0..3000usize;
    let bytes = || prop::collection::vec(any::<u8>(), 0..400);
    let count = 0..2500usize;
    prop_oneof![
        4 => (key(), bytes(), any::<Option<u64>>())
            .prop_map(|(key, value, expire_at_ms)| Op::Set { key, value, expire_at_ms }),
        2 => (key(), any::<Option<u64>>()).prop_map(|(key, expire_at_ms)| Op::SetExpire { key, expire_at_ms }),
        2 => (key(), 0..300usize, bytes()).prop_map(|(key, offset, bytes)| Op::Patch { key, offset, bytes }),
        2 => key().prop_map(|key| Op::Remove { key }),
        2 => (key(), count.clone()).prop_map(|(first, count)| Op::SetMany { first, count }),
        2 => (key(), count).prop_map(|(first, count)| Op::RemoveMany { first, count }),
    ]
}

fn apply(table: &mut Table, model: &mut Model, op: Op) {
    let hasher = hasher();
    match op {
        Op::Set { key, value, expire_at_ms } => {
            let key = name(key);
            let existed = table.set(&hasher, hasher.hash(&key), &key, &value, expire_at_ms);
            assert_eq!(existed, model.insert(key, (value, expire_at_ms)).is_some());
        }
        Op::SetExpire { key, expire_at_ms } => {
            let key = name(key);
            let held = model.get_mut(&key);
            assert_eq!(table.set_expire(hasher.hash(&key), &key, expire_at_ms), held.is_some());
            if let Some(held) = held {
                held.1 = expire_at_ms;
            }
        }
        Op::Patch { key, offset, bytes } => {
            let key = name(key);
            table.patch(&hasher, hasher.hash(&key), &key, offset, &bytes);
            let value = &mut model.entry(key).or_default().0;
            value.resize(value.len().max(offset + bytes.len()), 0);
            value[offset..offset + bytes.len()].copy_from_slice(&bytes);
        }
        Op::Remove { key } => {
            let key = name(key);
            assert_eq!(table.remove(hasher.hash(&key), &key), model.remove(&key).is_some());
        }
        Op::SetMany { first, count } => {
            for key in first..first + count {
                apply(table, model, Op::Set { key, value: name(key), expire_at_ms: None });
            }
        }
        Op::RemoveMany { first, count } => {
            for key in first..first + count {
                apply(table, model, Op::Remove { key });
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_table_does_what_a_map_does(ops in prop::collection::vec(op(), 1..40)) {
        let (mut table, mut model) = (Table::new(), Model::new());
        for op in ops {
            apply(&mut table, &mut model, op);
            prop_assert_eq!(table.len(), model.len());
        }
        assert_agrees(&table, &model);
    }

    #[test]
    fn a_scan_over_a_changing_table_visits_what_stays_exactly_once(
        start in 0..4000usize,
        budget in 1..200usize,
        changes in prop::collection::vec((any::<bool>(), 3000..12_000usize, 0..1500usize), 0..40),
    ) {
        const STAYS: usize = 700;
        let hasher = hasher();
        let (mut table, mut model) = (Table::new(), Model::new());
        apply(&mut table, &mut model, Op::SetMany { first: 0, count: STAYS });
        apply(&mut table, &mut model, Op::SetMany { first: 3000, count: start });

        let mut seen = HashMap::<Vec<u8>, usize>::new();
        let mut from = Some(ScanPosition::START);
        let mut changes = changes.into_iter();
        while let Some(position) = from {
            let before: usize = seen.values().sum();
            from = table.scan(&hasher, position, budget, &mut |entry| {
                assert!(ScanPosition::of_hash(hasher.hash(entry.key())) >= position);
                *seen.entry(entry.key().to_vec()).or_default() += 1;
            });
            if let Some(next) = from {
                prop_assert!(next > position);
                prop_assert_eq!(next.get() & ((1 << ScanPosition::SPARE_BITS) - 1), 0);
                let visited = seen.values().sum::<usize>() - before;
                prop_assert!((budget..budget + 8).contains(&visited), "{} of {}", visited, budget);
            }
            if let Some((set, first, count)) = changes.next() {
                let op = if set { Op::SetMany { first, count } } else { Op::RemoveMany { first, count } };
                apply(&mut table, &mut model, op);
            }
        }
        for key in 0..STAYS {
            prop_assert_eq!(seen.get(&name(key)), Some(&1));
        }
    }
}

#[test]
fn an_empty_table_has_no_memory_and_gives_all_of_it_back() {
    let (mut table, mut model) = (Table::new(), Model::new());
    assert_eq!(table.used_bytes(), 0);
    apply(&mut table, &mut model, Op::SetMany { first: 0, count: 5000 });
    assert!(matches!(table.segments, Segments::Many(_)));
    apply(&mut table, &mut model, Op::RemoveMany { first: 0, count: 5000 });
    assert_eq!(table.used_bytes(), 0);
}

#[test]
fn a_table_that_has_shrunk_becomes_one_segment_again() {
    let (mut table, mut model) = (Table::new(), Model::new());
    apply(&mut table, &mut model, Op::SetMany { first: 0, count: 5000 });
    apply(&mut table, &mut model, Op::RemoveMany { first: 100, count: 4900 });
    apply(&mut table, &mut model, Op::Set { key: 9999, value: vec![], expire_at_ms: None });
    assert!(matches!(table.segments, Segments::One(_)));
    assert_agrees(&table, &model);
}

#[test]
fn segments_stay_bounded_while_a_table_grows() {
    let (mut table, mut model) = (Table::new(), Model::new());
    apply(&mut table, &mut model, Op::SetMany { first: 0, count: 40_000 });
    let Segments::Many(directory) = &table.segments else { panic!("40,000 keys are many") };
    assert!(directory.segments().all(|segment| segment.len() <= SEGMENT_ENTRIES_MAX));
    assert!(directory.segments().count() < 40_000 / (SEGMENT_ENTRIES_MAX / 2) * 3 / 2);
    assert_agrees(&table, &model);
}

#[test]
fn a_scan_from_a_keys_own_position_begins_with_that_key() {
    let hasher = hasher();
    for count in [50, 3000] {
        let (mut table, mut model) = (Table::new(), Model::new());
        apply(&mut table, &mut model, Op::SetMany { first: 0, count });
        let order: BTreeMap<_, _> =
            model.keys().map(|key| (ScanPosition::of_hash(hasher.hash(key)), key.clone())).collect();
        assert_eq!(order.len(), count, "no two of these share a position");
        for &from in order.keys() {
            let mut seen = Vec::new();
            table.scan(&hasher, from, usize::MAX, &mut |entry| seen.push(entry.key().to_vec()));
            seen.sort();
            let mut expected: Vec<_> = order.range(from..).map(|(_, key)| key.clone()).collect();
            expected.sort();
            assert_eq!(seen, expected);
        }
    }
}

#[test]
fn expire_steps_find_exactly_the_keys_whose_time_has_passed() {
    let hasher = hasher();
    let (mut table, mut model) = (Table::new(), Model::new());
    let no_expiry = table.expire_step(&hasher, ScanPosition::START, u64::MAX, 10, &mut |_| panic!("no key"));
    assert_eq!(no_expiry, None);
    for key in 0..1000 {
        let expire_at_ms = [None, Some(key as u64), Some(500)][key % 3];
        apply(&mut table, &mut model, Op::Set { key, value: vec![], expire_at_ms });
    }
    let mut due = Vec::new();
    let mut from = Some(ScanPosition::START);
    while let Some(position) = from {
        from = table.expire_step(&hasher, position, 500, 20, &mut |entry| {
            due.push(entry.key().to_vec());
            true
        });
    }
    due.sort();
    let mut expected: Vec<_> = (0..500).filter(|key| key % 3 == 1).map(name).collect();
    expected.sort();
    assert_eq!(due, expected);
}

#[test]
fn random_keys_reach_every_key() {
    assert!(Table::new().random(7).is_none());
    for count in [1, 40, 1500] {
        let (mut table, mut model) = (Table::new(), Model::new());
        apply(&mut table, &mut model, Op::SetMany { first: 0, count });
        let mut dice = 1u64;
        for _ in 0..count * 50 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mixed = (dice ^ dice >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            model.remove(table.random(mixed ^ mixed >> 32).unwrap().key());
        }
        assert!(model.is_empty(), "{} of {count} never came", model.len());
    }
}

#[test]
fn prefetching_changes_nothing_whatever_is_there() {
    for count in [0, 1, 50, 2000] {
        let (mut table, mut model) = (Table::new(), Model::new());
        apply(&mut table, &mut model, Op::SetMany { first: 0, count });
        for hash in [0, 1 << 20, u64::MAX, hasher().hash(&name(0))] {
            for depth in [PrefetchDepth::Table, PrefetchDepth::Words, PrefetchDepth::Entry] {
                table.prefetch(hash, depth);
            }
        }
        assert_agrees(&table, &model);
    }
}

#[test]
fn stamps_follow_their_keys_through_every_change_of_size() {
    let (hasher, mut table) = (hasher(), Table::new());
    let stamp_of = |key: usize| Stamp::new(key as u32 * 7 + 1);
    let check = |table: &Table, keys: std::ops::Range<usize>| {
        for key in keys {
            let name = name(key);
            let expected = if key % 3 == 0 { stamp_of(key) } else { Stamp::UNSET };
            assert_eq!(table.stamp(hasher.hash(&name), &name), Some(expected), "key {key}");
        }
        assert_eq!(table.used_bytes(), counted_bytes(table));
    };
    let plain = |keys: usize| {
        let mut table = Table::new();
        for key in 0..keys {
            let name = name(key);
            table.set(&hasher, hasher.hash(&name), &name, b"v", None);
        }
        table.used_bytes()
    };
    for key in 0..5000 {
        let name = name(key);
        table.set(&hasher, hasher.hash(&name), &name, b"v", None);
        if key % 3 == 0 {
            assert!(table.get_noting(hasher.hash(&name), &name, |_| stamp_of(key)).is_some());
        }
        if [1, 40, 511, 512, 513, 4999].contains(&key) {
            check(&table, 0..key + 1);
        }
    }
    let per_key = (table.used_bytes() - plain(5000)) as f64 / 5000.0;
    assert!((3.0..5.0).contains(&per_key), "{per_key} bytes for a stamp");
    assert_eq!(table.get_noting(hasher.hash(b"none"), b"none", |stamp| stamp).map(|_| ()), None);
    for key in 20..5000 {
        let name = name(key);
        assert!(table.remove(hasher.hash(&name), &name));
    }
    check(&table, 0..20);
    // The next insertion makes it one segment again.
    table.set(&hasher, hasher.hash(&name(20)), &name(20), b"v", None);
    check(&table, 0..20);
    let noted = table.used_bytes();
    table.forget_stamps();
    assert!(table.used_bytes() < noted && table.used_bytes() == counted_bytes(&table));
    assert_eq!(table.stamp(hasher.hash(&name(3)), &name(3)), Some(Stamp::UNSET));
}

#[test]
fn a_sample_is_of_neighbours_and_of_volatile_keys_if_asked() {
    let (hasher, mut table) = (hasher(), Table::new());
    let sample = |table: &Table, dice: u64, count, only_volatile| {
        let mut keys = Vec::new();
        table.sample(dice, count, only_volatile, &mut |entry, _| keys.push(entry.key().to_vec()));
        keys
    };
    assert!(sample(&table, 5, 3, false).is_empty());
    for key in 0..3000 {
        let (name, expiry) = (name(key), (key % 10 == 0).then_some(9));
        table.set(&hasher, hasher.hash(&name), &name, b"v", expiry);
        if key < 3 {
            assert_eq!(
                sample(&table, 1 << 40 | 7, 8, false).len(),
                key + 1,
                "no more than there are, and each once"
            );
        }
    }
    let mut seen = BTreeMap::new();
    for dice in 0..20_000u64 {
        let dice = dice.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let keys = sample(&table, dice, 5, true);
        assert_eq!(keys.len(), 5);
        for key in keys {
            assert_eq!(table.get(hasher.hash(&key), &key).unwrap().expire_at_ms(), Some(9));
            *seen.entry(key).or_insert(0u32) += 1;
        }
    }
    // 333 each if all were equally likely; a key behind a wide gap is drawn more often.
    assert!(
        seen.len() == 300 && seen.values().all(|&times| (5..3000).contains(&times)),
        "{:?}",
        seen.values()
    );
}
